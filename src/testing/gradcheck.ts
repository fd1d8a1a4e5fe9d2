import type { Shape, Tensor } from '../autograd/index.ts'
import {
  expectDevice,
  expectDims,
  expectFunction,
  expectNumber,
  expectNumbers,
  expectOptions,
  FINITE,
  POSITIVE,
  shown,
} from '../check.ts'
import { ArgumentError, KernelgradError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'

/** How closely to compare. */
export interface GradcheckOptions {
  /** Largest error over the largest gradient: 2e-4 for what runs on a device, 1e-6 for plain functions, unless given. */
  tolerance?: number
  /** Step of the central difference. */
  step?: number
  /** Seed of the weighting that makes a scalar of the result. */
  seed?: number
}

/** An input of the operation under test; `data` is rounded to float32. */
export interface GradcheckInput {
  /** Row-major values. */
  data: ArrayLike<number>
  /** Sizes of the dimensions. */
  shape: Shape
}

/** A function of flat arrays with its derivative by hand: for an oracle, or a kernel that other code launches. */
export interface PlainFunction {
  /** The result, of the inputs' values. */
  forward: (...inputs: Float64Array[]) => ArrayLike<number>
  /** Gradients of the inputs in turn, given that of the result. */
  backward: (dy: Float64Array, ...inputs: Float64Array[]) => readonly ArrayLike<number>[]
}

type Oracle = (...inputs: Float64Array[]) => ArrayLike<number>

/**
 * Compares the gradients that the tape computes for `fn` with central differences of `oracle`, the same function in
 * float64 on plain arrays. The result is weighted with random numbers and summed to a scalar.
 *
 * @returns the largest error, relative to each input's largest gradient
 * @throws ArgumentError without inputs; ConfigError for options that cannot be
 * @throws KernelgradError with the worst element when they disagree, or an input got no gradient
 *
 * @example
 * ```ts
 * import { gelu, gradcheck } from 'kernelgrad'
 * import { gelu as oracle } from 'kernelgrad/reference'
 * import { uniform } from 'kernelgrad/testing'
 *
 * await gradcheck(gpu, gelu, oracle, [{ data: uniform(15, 1), shape: [3, 5] }])
 * ```
 */
export async function gradcheck(
  gpu: Gpu,
  fn: (...inputs: Tensor[]) => Tensor,
  oracle: Oracle,
  inputs: readonly GradcheckInput[],
  options?: GradcheckOptions,
): Promise<number>
/** The same for a plain function and its own backward; nothing runs on a device. */
export async function gradcheck(
  fn: PlainFunction,
  inputs: readonly ArrayLike<number>[],
  options?: GradcheckOptions,
): Promise<number>
export async function gradcheck(
  ...args:
    | [Gpu, (...inputs: Tensor[]) => Tensor, Oracle, readonly GradcheckInput[], GradcheckOptions?]
    | [PlainFunction, readonly ArrayLike<number>[], GradcheckOptions?]
): Promise<number> {
  const [given, wanted] = (args.length >= 4 ? args.slice(3) : args.slice(1)) as [unknown, unknown?]
  checkGiven(given, wanted)
  if (args.length >= 4) checkDevice(...(args as unknown[]))
  else checkPlain(args[0])
  if (args.length >= 4) {
    const [gpu, fn, oracle, inputs, options] = args as [
      Gpu,
      (...inputs: Tensor[]) => Tensor,
      Oracle,
      readonly GradcheckInput[],
      GradcheckOptions?,
    ]
    const plain = inputs.map(({ data }) => Float64Array.from(Float32Array.from(data)))
    const weights = Float32Array.from(oracle(...plain), weight(options))
    const found = await tapeGradients(gpu, fn, plain, inputs, weights)
    return compare(oracle, plain, weights, found, { tolerance: 2e-4, ...options })
  }
  const [fn, inputs, options] = args as [PlainFunction, readonly ArrayLike<number>[], GradcheckOptions?]
  for (const [i, data] of inputs.entries()) expectNumbers(`gradcheck: inputs[${i}]`, data)
  const plain = inputs.map(data => Float64Array.from(data))
  const weights = Float64Array.from(fn.forward(...plain), weight(options))
  const found = fn.backward(Float64Array.from(weights), ...plain)
  return compare(fn.forward, plain, weights, found, { tolerance: 1e-6, ...options })
}

/** @throws ArgumentError where nothing would be checked; ConfigError for options that cannot be */
function checkGiven(inputs: unknown, options: unknown = {}): void {
  if (!Array.isArray(inputs) || !inputs.length)
    throw new ArgumentError(`gradcheck: inputs are ${shown(inputs)}, expected an array of one or more`)
  expectOptions('gradcheck: options', options, ['tolerance', 'step', 'seed'])
  const { tolerance, step, seed } = options as GradcheckOptions
  if (tolerance !== undefined) expectNumber('gradcheck: tolerance', tolerance, POSITIVE)
  if (step !== undefined) expectNumber('gradcheck: step', step, POSITIVE)
  if (seed !== undefined) expectNumber('gradcheck: seed', seed, FINITE)
}

function checkDevice(gpu?: unknown, fn?: unknown, oracle?: unknown, inputs?: unknown): void {
  expectDevice('gradcheck: gpu', gpu)
  expectFunction('gradcheck: fn', fn)
  expectFunction('gradcheck: oracle', oracle)
  for (const [i, input] of (inputs as unknown[]).entries()) {
    expectOptions(`gradcheck: inputs[${i}]`, input, ['data', 'shape'])
    const { data, shape } = input as GradcheckInput
    expectNumbers(`gradcheck: inputs[${i}].data`, data)
    expectDims(`gradcheck: inputs[${i}].shape`, shape)
  }
}

function checkPlain(fn: unknown): void {
  expectOptions('gradcheck: fn', fn, ['forward', 'backward'])
  const { forward, backward } = fn as PlainFunction
  expectFunction('gradcheck: fn.forward', forward)
  expectFunction('gradcheck: fn.backward', backward)
}

const weight =
  ({ seed = 1 }: GradcheckOptions = {}) =>
  (_: unknown, i: number) =>
    Math.sin(seed * 12.9898 + i * 78.233)

async function tapeGradients(
  gpu: Gpu,
  fn: (...inputs: Tensor[]) => Tensor,
  plain: Float64Array[],
  inputs: readonly GradcheckInput[],
  weights: Float32Array,
): Promise<(Float32Array | undefined)[]> {
  // Imported here, so that whoever tests without a device loads none of it.
  const { scope, tensor } = await import('../autograd/index.ts')
  const grads = scope(() => {
    const leaves = inputs.map(({ shape }, i) =>
      tensor(gpu, Float32Array.from(plain[i]!), shape, { requiresGrad: true }),
    )
    const y = fn(...leaves)
    y.backward({ seed: tensor(gpu, weights, y.shape) })
    return leaves.map(leaf => leaf.grad?.retain())
  })
  const read = await Promise.all(grads.map(grad => grad?.read()))
  for (const grad of grads) grad?.dispose()
  return read
}

function compare(
  oracle: Oracle,
  inputs: Float64Array[],
  weights: ArrayLike<number>,
  found: readonly (ArrayLike<number> | undefined)[],
  { tolerance, step = 1e-5 }: GradcheckOptions & { tolerance: number },
): number {
  const scalar = () => {
    const y = oracle(...inputs)
    let sum = 0
    for (let i = 0; i < y.length; i++) sum += weights[i]! * y[i]!
    return sum
  }
  let largestError = 0
  for (const [i, x] of inputs.entries()) {
    const gradient = found[i]
    if (!gradient) throw new KernelgradError(`gradcheck: input ${i} got no gradient`)
    if (gradient.length !== x.length) {
      throw new KernelgradError(
        `gradcheck: input ${i} has ${x.length} elements, its gradient ${gradient.length}`,
      )
    }
    const numeric = x.map((value, j) => {
      const h = step * Math.max(1, Math.abs(value))
      x[j] = value + h
      const above = scalar()
      x[j] = value - h
      const below = scalar()
      x[j] = value
      return (above - below) / (2 * h)
    })
    const largest = numeric.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-12)
    let worst = { error: 0, at: 0 }
    for (let j = 0; j < numeric.length; j++) {
      const error = Math.abs(gradient[j]! - numeric[j]!) / largest
      if (!(error <= worst.error)) worst = { error, at: j }
      if (Number.isNaN(error)) break
    }
    if (!(worst.error <= tolerance)) {
      throw new KernelgradError(
        `gradcheck: input ${i} element ${worst.at}: the backward step says ${gradient[worst.at]}, differences say ${numeric[worst.at]} (error ${worst.error} > ${tolerance})`,
      )
    }
    largestError = Math.max(largestError, worst.error)
  }
  return largestError
}
