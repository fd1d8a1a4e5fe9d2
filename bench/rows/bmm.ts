import { bmm } from '../../src/kernels/bmm.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Scores of every text's tokens against each other, head by head, and what is made of the values by them. */
export function bmmRows({ B, S, H, A }: Size): Row[] {
  const D = H / A
  const row = (name: string, layout: 'NN' | 'NT', M: number, N: number, K: number): Row => {
    const [Z, n] = [B * A, B * A * M * N]
    return {
      name: `bmm.${name}`,
      shape: `${Z} of ${M}x${N}x${K}`,
      flops: 2 * n * K,
      bytes: 4 * (n + Z * K * (M + N)),
      setup(gpu) {
        const work = new Workspace(gpu)
        const [a, b, c] = [work.floats(Z * M * K), work.floats(Z * K * N), work.empty(n)]
        const batches = [B, A]
        const sizes = { M, N, K, batches, aBatches: batches, bBatches: batches, layout }
        return work.job(() => bmm(gpu, { a, b, c, ...sizes }), { view: c, n })
      },
    }
  }
  return [row('NT', 'NT', S, S, D), row('NN', 'NN', S, D, S)]
}
