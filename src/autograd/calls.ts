// Checks of what the tape is called with.
import { expectNumber, FINITE } from '../check.ts'
import { ArgumentError, KernelgradError, ShapeError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { expectDevice, expectTensor, FLOATS } from './checks.ts'
import { Tensor } from './tensor.ts'

/** The tensors that `op` is called with, before anything is launched. */
export function checkInputs(name: string, gpu: Gpu, inputs: Tensor[]): void {
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i]!
    if (!(input instanceof Tensor) || input.disposed)
      expectTensor(name, `input ${i}`, input, [...FLOATS, 'u32'])
    if (input.gpu !== gpu) expectDevice(name, `input ${i}`, input.gpu, 'the call', gpu)
  }
}

/** Where a backward pass is to start. */
export function checkStart(loss: Tensor, scale: number, seed: Tensor | undefined): void {
  if (!(loss instanceof Tensor)) expectTensor('backward', 'loss', loss)
  expectNumber('backward: scale', scale, FINITE)
  const shape = `[${loss.shape}]`
  if (seed === undefined) {
    if (loss.size === 1) return
    throw new ShapeError(
      `backward() starts at one element, this result has shape ${shape}: take mean() or sum() of it, or give a seed, its gradient of that shape`,
    )
  }
  expectTensor('backward', 'seed', seed)
  if (seed.shape.join() !== loss.shape.join())
    throw new ShapeError(`backward() starts at a seed of the result's shape ${shape}, got [${seed.shape}]`)
  if (seed.dtype !== loss.dtype)
    throw new ArgumentError(
      `backward: seed is ${seed.dtype}, expected ${loss.dtype} as the result; cast() it`,
    )
  expectDevice('backward', 'seed', seed.gpu, 'the result', loss.gpu)
}

/** Why there is nothing to walk back from. */
export function notRecorded(loss: Tensor): KernelgradError {
  const before = 'backward() needs a result recorded on the tape:'
  if ('init' in loss) return new KernelgradError(`${before} this is a parameter, and no result`)
  if (!loss.requiresGrad)
    return new KernelgradError(
      `${before} none was, as no tensor it was computed from has requiresGrad, or it was computed inside noGrad()`,
    )
  return new KernelgradError(
    `${before} this one was consumed already, by an earlier backward() or because its graph was freed; compute it again (or it is a leaf)`,
  )
}
