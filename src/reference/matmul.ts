import { expectOneOf } from '../check.ts'
import { expectArrays, expectSizes, given } from './checks.ts'

/** Which operand lies transposed in memory: N as named, T transposed. */
export type MatmulLayout = 'NN' | 'NT' | 'TN'

/**
 * y[m,n] = sum over k of A[m,k] B[k,n] (+ bias[n]), where A and B are read from memory as `layout` says:
 *
 * | layout | a in memory | b in memory | used for                                  |
 * |--------|-------------|-------------|-------------------------------------------|
 * | NN     | [M, K]      | [K, N]      | dx = dy W, with W as `nn.Linear` holds it |
 * | NT     | [M, K]      | [N, K]      | y = x Wᵀ + bias                           |
 * | TN     | [K, M]      | [K, N]      | dW = dyᵀ x                                |
 *
 * The three are closed under differentiation, so the backward pass is two more calls:
 * NN: da = dy bᵀ (NT), db = aᵀ dy (TN); NT: da = dy b (NN), db = dyᵀ a (TN); TN: da = b dyᵀ (NT), db = a dy (NN).
 * The gradient of bias is `columnSum` of dy.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
 *
 * @param options.bias [N], optional
 * @returns y [M, N]
 */
export function matmul(options: {
  a: ArrayLike<number>
  b: ArrayLike<number>
  bias?: ArrayLike<number> | undefined
  M: number
  N: number
  K: number
  layout: MatmulLayout
}): Float64Array {
  const { a, b, bias, M, N, K, layout } = given('matmul', options)
  expectSizes('matmul', { M, N, K })
  expectOneOf('matmul: layout', layout, ['NN', 'NT', 'TN'])
  expectArrays('matmul', { a }, M * K)
  expectArrays('matmul', { b }, K * N)
  if (bias) expectArrays('matmul', { bias }, N)
  const y = new Float64Array(M * N)
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0
      for (let k = 0; k < K; k++) {
        const left = layout === 'TN' ? a[k * M + m]! : a[m * K + k]!
        const right = layout === 'NT' ? b[n * K + k]! : b[k * N + n]!
        sum += left * right
      }
      y[m * N + n] = sum + (bias ? bias[n]! : 0)
    }
  }
  return y
}
