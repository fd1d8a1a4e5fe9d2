// What operations ask of their tensors before anything is recorded: so that a wrong call leaves neither launches nor half an
// entry of the tape behind.
import { shown } from '../check.ts'
import { ArgumentError, DataError, KernelgradError, ShapeError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { type DType, Tensor } from './tensor.ts'

export { expectGpu } from '../kernels/checks.ts'

export const FLOATS: readonly DType[] = ['f32', 'f16']
export const FLOAT32: readonly DType[] = ['f32']
export const IDS: readonly DType[] = ['u32']
export const ANY: readonly DType[] = ['f32', 'f16', 'u32']

const devices = new WeakMap<Gpu, string>()
let opened = 0

/** A device in messages: 'device 2 (Google SwiftShader)', numbered in the order in which messages named them. */
function deviceName(gpu: Gpu): string {
  let name = devices.get(gpu)
  if (name === undefined) {
    const { description, device, vendor } = gpu.adapter.adapter.info
    name = `device ${++opened} (${description || device || vendor || 'unnamed'})`
    devices.set(gpu, name)
  }
  return name
}

/** @throws KernelgradError naming both devices, unless they are one */
export function expectDevice(op: string, name: string, gpu: Gpu, besides: string, expected: Gpu): void {
  if (gpu === expected || gpu.device === expected.device) return
  throw new ArgumentError(
    `${op}: ${name} is on another device than ${besides}: ${deviceName(gpu)} and ${deviceName(expected)}`,
  )
}

/** @throws ArgumentError unless `x` is a tensor whose memory is there, of one of the dtypes */
export function expectTensor(
  op: string,
  name: string,
  x: unknown,
  dtypes: readonly DType[] = FLOATS,
): asserts x is Tensor {
  if (!(x instanceof Tensor))
    throw new ArgumentError(`${op}: ${name} is ${shown(x)}, ${expectedTensor(x, dtypes)}`)
  if (!dtypes.includes(x.dtype)) {
    const hint = dtypes === IDS ? '; ids and labels are tensor(gpu, Uint32Array.of(…))' : ''
    throw new ArgumentError(`${op}: ${name} is ${x.dtype}, expected ${dtypes.join(' or ')}${hint}`)
  }
  if (x.disposed) throw gone(op, name, x)
}

function expectedTensor(x: unknown, dtypes: readonly DType[]): string {
  const plain = Array.isArray(x) || ArrayBuffer.isView(x)
  const make = dtypes === IDS ? 'tensor(gpu, Uint32Array.of(…))' : 'tensor(gpu, …)'
  return `expected a tensor${plain ? `: ${make} makes one` : ''}`
}

function gone(op: string, name: string, x: Tensor): KernelgradError {
  const what = `${op}: ${name}, of shape [${x.shape}],`
  return 'init' in x
    ? new KernelgradError(`${what} is a parameter that has no memory yet; call model.to(gpu) first`)
    : new KernelgradError(
        `${what} is used after its memory was freed; keep() it, or return it from its scope`,
      )
}

/**
 * Checks tensors by name: what they are, and that all are on one device.
 * @param beside A tensor that was checked before, whose device counts.
 * @returns the device
 */
export function expectTensors(
  op: string,
  named: Record<string, unknown>,
  dtypes: readonly DType[] = FLOATS,
  beside?: { name: string; gpu: Gpu },
): Gpu {
  let [first, gpu] = [beside?.name, beside?.gpu]
  for (const name in named) {
    const x = named[name]
    expectTensor(op, name, x, dtypes)
    if (gpu === undefined) {
      first = name
      gpu = x.gpu
    } else if (x.gpu !== gpu) expectDevice(op, name, x.gpu, first!, gpu)
  }
  return gpu!
}

/** @throws ShapeError unless a tensor has one of these numbers of dimensions; `says` names them: '[T, H]'. */
export function expectRank(
  op: string,
  name: string,
  { shape }: Tensor,
  says: string,
  ...ranks: number[]
): void {
  if (!ranks.includes(shape.length))
    throw new ShapeError(`${op}: ${name} has shape [${shape}], expected ${says}`)
}

/** @throws ShapeError unless the last dimension of `x` has `size` elements; `as` says why it should. */
export function expectLast(op: string, name: string, { shape }: Tensor, size: number, as: string): void {
  if (shape.at(-1) === size) return
  const has = shape.length ? `${shape.at(-1)} features in its last dimension` : 'no dimension'
  throw new ShapeError(`${op}: ${name} has ${has} (shape [${shape}]), expected ${size} (${as})`)
}

/**
 * Checks ids that are known on the host; those that the device computed are not read back.
 * @throws DataError naming the position of the first that is not below `limit`
 */
export function expectBelow(
  where: string,
  ids: ArrayLike<number> | undefined,
  limit: number,
  as: string,
): void {
  if (!ids) return
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! < limit) continue
    throw new DataError(
      `${where} ${ids[i]} at position ${i} is out of range, expected 0 to ${limit - 1} (${as})`,
    )
  }
}
