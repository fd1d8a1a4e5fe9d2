import { expectNumbers, expectOptions } from '../check.ts'
import { ShapeError } from '../errors.ts'

/** Where two arrays differ most. */
export interface WorstError {
  /** |actual - expected| over `scale`; NaN where either is not a number and the other differs, and that counts as worst. */
  error: number
  /** Flat index of the element; 0 for empty arrays. */
  index: number
  /** What errors are divided by. */
  scale: number
}

function checkLengths(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expectNumbers(`${what}: actual`, actual)
  expectNumbers(`${what}: expected`, expected)
  if (actual.length !== expected.length)
    throw new ShapeError(`${what}: ${actual.length} values are compared with ${expected.length}`)
}

/**
 * The largest error over the largest expected value (over 1 where all are zero), or the largest error itself with
 * `absolute`. Equal infinities have no error.
 */
export function maxError(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  options: { absolute?: boolean } = {},
): WorstError {
  expectOptions('maxError: options', options, ['absolute'])
  const { absolute = false } = options
  checkLengths('maxError', actual, expected)
  let scale = 0
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!))
  if (absolute || scale === 0 || !Number.isFinite(scale)) scale = 1
  const worst = { error: 0, index: 0, scale }
  for (let i = 0; i < expected.length; i++) {
    const error = actual[i] === expected[i] ? 0 : Math.abs(actual[i]! - expected[i]!) / scale
    if (error <= worst.error) continue
    worst.error = error
    worst.index = i
    if (Number.isNaN(error)) break
  }
  return worst
}

/** Root mean square of the errors over that of the expected values (over 1 where all are zero). */
export function rmsError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  checkLengths('rmsError', actual, expected)
  let errors = 0
  let values = 0
  for (let i = 0; i < expected.length; i++) {
    errors += (actual[i]! - expected[i]!) ** 2
    values += expected[i]! ** 2
  }
  return expected.length === 0 ? 0 : Math.sqrt(errors / (values || expected.length))
}

/**
 * The largest distance in float32 numbers: how many of them lie between the actual and the expected value, both rounded to
 * float32. 0 and -0 are one number; infinite where one of the two is not a number.
 */
export function ulpError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  checkLengths('ulpError', actual, expected)
  let worst = 0
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(order(actual[i]!) - order(expected[i]!))
    worst = Math.max(worst, Number.isNaN(distance) ? Infinity : distance)
  }
  return worst
}

const float = new Float32Array(1)
const bits = new Int32Array(float.buffer)

/** Position of a float32 among all of them, in the order of their values. */
function order(value: number): number {
  if (Number.isNaN(value)) return NaN
  float[0] = value
  return bits[0]! < 0 ? -(bits[0]! & 0x7fffffff) : bits[0]!
}
