import { matmul } from './matmul.ts'

/**
 * Products of many matrices, whose batches are broadcast as NumPy does.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.matmul.html
 *
 * @param options.a [...aBatches, M, K], or with layout TN [..., K, M]
 * @param options.b [...bBatches, K, N], or with layout NT [..., N, K]
 * @param options.batches what aBatches and bBatches are broadcast to
 * @returns c [...batches, M, N]
 */
export function bmm({
  a,
  b,
  M,
  N,
  K,
  layout,
  batches,
  aBatches,
  bBatches,
}: {
  a: ArrayLike<number>
  b: ArrayLike<number>
  M: number
  N: number
  K: number
  layout: 'NN' | 'NT' | 'TN'
  batches: readonly number[]
  aBatches: readonly number[]
  bBatches: readonly number[]
}): Float64Array {
  const count = batches.reduce((product, size) => product * size, 1)
  const c = new Float64Array(count * M * N)
  const [left, right] = [Array.from(a), Array.from(b)]
  /** The matrix of an operand that stands at batch z. */
  const matrixOf = (own: readonly number[], z: number) => {
    let [rest, at, stride] = [z, 0, 1]
    for (let d = 1; d <= batches.length; d++) {
      const size = batches[batches.length - d]!
      const mine = own[own.length - d] ?? 1
      if (mine !== 1) at += (rest % size) * stride
      stride *= mine
      rest = Math.floor(rest / size)
    }
    return at
  }
  for (let z = 0; z < count; z++) {
    const [i, j] = [matrixOf(aBatches, z), matrixOf(bBatches, z)]
    const one = { a: left.slice(i * M * K, (i + 1) * M * K), b: right.slice(j * K * N, (j + 1) * K * N) }
    c.set(matmul({ ...one, M, N, K, layout }), z * M * N)
  }
  return c
}
