import { expectNumber, NON_NEGATIVE } from '../check.ts'
import { expectArrays, expectSizes, given } from './checks.ts'

/** Σ x, in index order. x: any shape. The gradient of every element is that of the sum. */
export function sum(x: ArrayLike<number>): number {
  expectArrays('sum', { x })
  let total = 0
  for (let i = 0; i < x.length; i++) total += x[i]!
  return total
}

/** Σ x² over all elements of all arrays; its root is the norm that `torch.nn.utils.clip_grad_norm_` returns. */
export function sumOfSquares(arrays: readonly ArrayLike<number>[]): number {
  let total = 0
  for (const x of arrays) for (let i = 0; i < x.length; i++) total += x[i]! * x[i]!
  return total
}

/**
 * y[c] = Σ over rows of x[r,c]: the gradient of a bias.
 *
 * @param options.x [rows, C]
 * @returns y [C]
 */
export function columnSum(options: { x: ArrayLike<number>; rows: number; C: number }): Float64Array {
  const { x, rows, C } = given('columnSum', options)
  expectSizes('columnSum', { rows, C })
  expectArrays('columnSum', { x }, rows * C)
  const y = new Float64Array(C)
  for (let r = 0; r < rows; r++) for (let c = 0; c < C; c++) y[c]! += x[r * C + c]!
  return y
}

/**
 * What every gradient is multiplied by so that the norm does not pass maxNorm: min(1, maxNorm/(norm + 1e-6)).
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
 */
export function clipCoefficient(norm: number, maxNorm: number): number {
  expectNumber('clipCoefficient: norm', norm, NON_NEGATIVE)
  return Math.min(1, maxNorm / (norm + 1e-6))
}
