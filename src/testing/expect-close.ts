import { expectDims, expectNumber, expectNumbers, expectOptions, NATURAL, NON_NEGATIVE } from '../check.ts'
import { KernelgradError, ShapeError } from '../errors.ts'
import { maxError } from './measures.ts'

/** How to compare, and what the message says. */
export interface ExpectCloseOptions {
  /** Compare errors themselves with the bound, not over the largest expected value. */
  absolute?: boolean
  /** What the message calls the values. */
  label?: string
  /** The array's shape: the message then has the element's index in every dimension. */
  shape?: readonly number[]
}

/** Thrown by `expectClose`; its fields are the worst element's. */
export class CloseError extends KernelgradError {
  /** In every dimension, where a shape was given. */
  readonly index: readonly number[]
  /** What it is. */
  readonly actual: number
  /** What it was to be. */
  readonly expected: number
  /** As the bound counts it. */
  readonly error: number
  /** What was allowed. */
  readonly bound: number

  constructor(
    message: string,
    worst: { index: readonly number[]; actual: number; expected: number; error: number; bound: number },
  ) {
    super(message)
    this.index = worst.index
    this.actual = worst.actual
    this.expected = worst.expected
    this.error = worst.error
    this.bound = worst.bound
  }
}

/**
 * Passes where the largest error, over the largest expected value unless `absolute`, is at most `bound`. NaN is never close, an
 * infinity only to itself.
 *
 * @example
 * ```ts
 * import { gelu, tensor } from 'kernelgrad'
 * import * as reference from 'kernelgrad/reference'
 * import { expectClose, uniform } from 'kernelgrad/testing'
 *
 * const x = uniform(15, 1)
 * const y = gelu(tensor(gpu, x, [3, 5]))
 * expectClose(await y.read(), reference.gelu(x), 1e-6, { label: 'gelu', shape: [3, 5] })
 * // gelu: worst element [2, 4] of [3, 5]: got 0.8411, expected 0.8413, error 1.9e-4 of the largest value 1.02, bound 1e-6; 7 of 15 are over it
 * ```
 *
 * @throws CloseError with the worst element, its index, what it is and was to be, the error and the bound
 * @throws ConfigError for a bound that nothing or everything passes
 * @throws ShapeError when the lengths differ, or `shape` has another number of elements
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: number,
  options: ExpectCloseOptions = {},
): void {
  expectOptions('expectClose: options', options, ['absolute', 'label', 'shape'])
  const { absolute = false, label = 'values', shape } = options
  expectNumber('expectClose: bound', bound, NON_NEGATIVE)
  expectNumbers(`${label}: what came`, actual)
  expectNumbers(`${label}: what is expected`, expected)
  if (shape !== undefined) expectDims('expectClose: shape', shape)
  if (actual.length !== expected.length)
    throw new ShapeError(`${label}: got ${actual.length} elements, expected ${expected.length}`)
  if (shape && shape.reduce((n, size) => n * size, 1) !== expected.length)
    throw new ShapeError(`${label}: ${expected.length} elements do not have shape [${shape.join(', ')}]`)
  const { error, index: flat, scale } = maxError(actual, expected, { absolute })
  if (error <= bound) return
  const index = shape ? unravel(flat, shape) : [flat]
  let over = 0
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i] && !(Math.abs(actual[i]! - expected[i]!) / scale <= bound)) over++
  }
  const of = absolute || scale === 1 ? '' : ` of the largest value ${short(scale)}`
  throw new CloseError(
    `${label}: worst element [${index.join(', ')}]${shape ? ` of [${shape.join(', ')}]` : ''}: got ${actual[flat]}, ` +
      `expected ${expected[flat]}, error ${short(error)}${of}, bound ${bound}; ${over} of ${expected.length} are over it`,
    { index, actual: actual[flat]!, expected: expected[flat]!, error, bound },
  )
}

const short = (value: number) => String(Number(value.toPrecision(4)))

/** The index in every dimension of an element of a row-major array. */
export function unravel(flat: number, shape: readonly number[]): number[] {
  expectDims('unravel: shape', shape)
  expectNumber('unravel: flat', flat, NATURAL)
  const size = shape.reduce((n, size) => n * size, 1)
  if (flat >= size)
    throw new ShapeError(`unravel: flat is ${flat}, and shape [${shape.join(', ')}] has ${size} elements`)
  const index: number[] = []
  let rest = flat
  for (const size of shape.toReversed()) {
    index.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return index
}
