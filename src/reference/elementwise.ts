import { expectNumber, FINITE } from '../check.ts'
import { expectArrays, expectSizes } from './checks.ts'

/** y = a + b. a, b, y: any one shape. The gradient of either operand is dy itself. */
export function add(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  expectArrays('add', { a })
  expectArrays('add', { b }, a.length)
  const y = new Float64Array(a.length)
  for (let i = 0; i < a.length; i++) y[i] = a[i]! + b[i]!
  return y
}

/** y = c x. x, y: any shape. Its own backward: dx = c dy. */
export function scale(x: ArrayLike<number>, c: number): Float64Array {
  expectArrays('scale', { x })
  expectNumber('scale: c', c, FINITE)
  const y = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) y[i] = c * x[i]!
  return y
}

/** [n], all of one value. */
export function fill(n: number, value: number): Float64Array {
  expectSizes('fill', { n })
  return new Float64Array(n).fill(value)
}
