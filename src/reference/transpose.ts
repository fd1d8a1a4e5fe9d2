import { expectArrays, expectSizes, given } from './checks.ts'

/** The transpose of x [R, C]: [C, R]. Source: `torch.t`. */
export function transpose(options: { x: ArrayLike<number>; R: number; C: number }): Float64Array {
  const { x, R, C } = given('transpose', options)
  expectSizes('transpose', { R, C })
  expectArrays('transpose', { x }, R * C)
  const y = new Float64Array(R * C)
  for (let r = 0; r < R; r++) for (let c = 0; c < C; c++) y[c * R + r] = x[r * C + c]!
  return y
}
