import { expectArrays, expectSizes, given } from './checks.ts'

/**
 * y[r,c] = exp(x[r,c]) / Σ exp(x[r,·]), with the row's maximum taken off first so that nothing overflows.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html
 *
 * @param options.x [rows, C]
 * @returns y [rows, C]
 */
export function softmax(options: { x: ArrayLike<number>; rows: number; C: number }): Float64Array {
  const { x, rows, C } = given('softmax', options)
  expectSizes('softmax', { rows, C })
  expectArrays('softmax', { x }, rows * C)
  const y = new Float64Array(rows * C)
  for (let r = 0; r < rows; r++) {
    let max = -Infinity
    for (let c = 0; c < C; c++) max = Math.max(max, x[r * C + c]!)
    let total = 0
    for (let c = 0; c < C; c++) {
      y[r * C + c] = Math.exp(x[r * C + c]! - max)
      total += y[r * C + c]!
    }
    for (let c = 0; c < C; c++) y[r * C + c]! /= total
  }
  return y
}

/**
 * dx = y (dy - Σ dy y), the sum over the row.
 *
 * @param options.y the output of {@link softmax}, [rows, C]
 * @param options.dy [rows, C]
 * @returns dx [rows, C]
 */
export function softmaxBackward(options: {
  y: ArrayLike<number>
  dy: ArrayLike<number>
  rows: number
  C: number
}): Float64Array {
  const { y, dy, rows, C } = given('softmaxBackward', options)
  expectSizes('softmaxBackward', { rows, C })
  expectArrays('softmaxBackward', { y, dy }, rows * C)
  const dx = new Float64Array(rows * C)
  for (let r = 0; r < rows; r++) {
    let dot = 0
    for (let c = 0; c < C; c++) dot += dy[r * C + c]! * y[r * C + c]!
    for (let c = 0; c < C; c++) dx[r * C + c] = y[r * C + c]! * (dy[r * C + c]! - dot)
  }
  return dx
}

/**
 * The logarithm of the softmax of each row.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
 *
 * @param options.x [rows, C]
 * @returns y [rows, C]
 */
export function logSoftmax({ x, rows, C }: { x: ArrayLike<number>; rows: number; C: number }): Float64Array {
  const y = new Float64Array(rows * C)
  for (let r = 0; r < rows; r++) {
    let top = Number.NEGATIVE_INFINITY
    for (let c = 0; c < C; c++) top = Math.max(top, x[r * C + c]!)
    let total = 0
    for (let c = 0; c < C; c++) total += Math.exp(x[r * C + c]! - top)
    for (let c = 0; c < C; c++) y[r * C + c] = x[r * C + c]! - top - Math.log(total)
  }
  return y
}

/**
 * dx = dy - exp(y) Σ dy, the sum over the row.
 *
 * @param options.y the output of {@link logSoftmax}
 * @param options.dy [rows, C]
 * @returns dx [rows, C]
 */
export function logSoftmaxBackward({
  y,
  dy,
  rows,
  C,
}: {
  y: ArrayLike<number>
  dy: ArrayLike<number>
  rows: number
  C: number
}): Float64Array {
  const dx = new Float64Array(rows * C)
  for (let r = 0; r < rows; r++) {
    let total = 0
    for (let c = 0; c < C; c++) total += dy[r * C + c]!
    for (let c = 0; c < C; c++) dx[r * C + c] = dy[r * C + c]! - Math.exp(y[r * C + c]!) * total
  }
  return dx
}
