import { topK } from '../../src/kernels/topk.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'
import { VECTORS } from './vector_scores.ts'

/** The best of a batch's scores, and of the scores of kept vectors. */
export function topkRows({ name, B, F }: Size): Row[] {
  const N = VECTORS[name]
  return [...[1, 10].map(k => row(B, F, k)), ...[10, 1000].map(k => row(1, N, Math.min(k, N)))]
}

function row(O: number, R: number, k: number): Row {
  return {
    name: `topk.${k}`,
    shape: `${O}x${R}`,
    flops: k * O * R,
    bytes: 4 * O * (R + k),
    setup(gpu) {
      const work = new Workspace(gpu)
      const [x, indices] = [work.floats(O * R), work.empty(O * k)]
      return work.job(() => topK(gpu, { x, indices, O, R, I: 1, k }), { view: indices, n: O * k })
    },
  }
}
