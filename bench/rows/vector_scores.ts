import { vectorScores } from '../../src/kernels/index.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Cached vectors of a batch's size; `npm run bench -- serve` takes a million. */
export const VECTORS: Record<Size['name'], number> = { quick: 515, tiny: 4_096, small: 65_536, full: 262_144 }
const E = 128

/** A query against all vectors of a cache. */
export function vectorScoresRows({ name }: Size): Row[] {
  const N = VECTORS[name]
  return [false, true].map(
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
}
