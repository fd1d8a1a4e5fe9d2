import { topK, vectorScores } from '../../src/kernels/index.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Cached vectors of a batch's size; `npm run bench -- serve` takes a million. */
const VECTORS = { tiny: 4_096, small: 65_536, full: 262_144 }
const E = 128

/** A query against all vectors of a cache, and the best of its scores. */
export function vectorScoresRows({ name }: Size): Row[] {
  const N = VECTORS[name as keyof typeof VECTORS]
  const scores = [false, true].map(
    (bytes): Row => ({
      name: 'vector_scores',
      variant: bytes ? 'bytes' : 'float32',
      shape: `${N}x${E}`,
      flops: 2 * N * E,
      bytes: N * E * (bytes ? 1 : 4) + 4 * (N + E),
      setup(gpu) {
        const work = new Workspace(gpu)
        const query = work.floats(E)
        const vectors = bytes ? work.uints((N * E) / 4, 2 ** 32) : work.floats(N * E)
        const scores = work.empty(N)
        return work.job(() => vectorScores(gpu, { query, vectors, scores, N, E, bytes }), {
          view: scores,
          n: N,
        })
      },
    }),
  )
  const best = [10, 1000].map(
    (k): Row => ({
      name: `topk.${k}`,
      shape: `1x${N}`,
      flops: N,
      bytes: 4 * (N + k),
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, indices] = [work.floats(N), work.empty(k)]
        return work.job(() => topK(gpu, { x, indices, O: 1, R: N, I: 1, k }), { view: indices, n: k })
      },
    }),
  )
  return [...scores, ...best]
}
