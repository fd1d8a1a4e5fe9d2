import { ADAMW_BLOCK, adamw, adamwHistory, adamwRows } from '../../src/kernels/adamw.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

const STEP = { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 }
const OPS = 14 // per element: decay, two moments, denominator, update, clipping
const MISSED = 10 // steps the rows of a table sat out

/** One dense arena, and the rows of a batch in the word table after ten steps without them. */
export function adamwRowsOf({ arena, V, H, T }: Size): Row[] {
  const history = (steps: number) =>
    Float32Array.from(Array.from({ length: steps }, (_, i) => adamwHistory(STEP, i + 1)).flat())
  const rows = Math.min(T, Math.floor(V / 2))
  const n = rows * H
  return [
    {
      name: 'adamw.dense',
      shape: `${arena}`,
      flops: OPS * arena,
      bytes: 28 * arena + 4 * (arena / ADAMW_BLOCK),
      setup(gpu) {
        const work = new Workspace(gpu)
        const blocks = arena / ADAMW_BLOCK
        const [w, g] = [work.floats(arena), work.floats(arena)]
        const [m, v] = [work.floats(arena), work.floats(arena, 0.1, 1)]
        const numbers = { history: work.put(history(1)), clip: work.put(Float32Array.of(0.5)), groups: 1 }
        const slots = work.put(new Uint32Array(blocks))
        const job = () => adamw(gpu, { w, m, v, g, ...numbers, slots, blocks, step: 0 })
        return work.job(job, { view: w, n: arena }, { view: m, n: arena }, { view: v, n: arena })
      },
    },
    ...[0, MISSED].map(
      (missed): Row => ({
        name: missed ? 'adamw.rows+catch-up' : 'adamw.rows',
        shape: `${rows}x${H} of ${V}${missed ? `, ${missed} steps missed` : ''}`,
        flops: (OPS + missed * (OPS - 4)) * n,
        bytes: 28 * n + 8 * rows,
        setup(gpu) {
          const work = new Workspace(gpu)
          const all = V * H
          const [w, m, v] = [work.floats(all), work.floats(all), work.floats(all, 0.1, 1)]
          const numbers = {
            history: work.put(history(missed + 1)),
            clip: work.put(Float32Array.of(0.5)),
            groups: 1,
          }
          const every = Math.floor(V / rows)
          const entries = work.put(
            Uint32Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? 0 : (i / 2) * every)),
          )
          const g = work.floats(n)
          const which = { entries, firstEntry: 0, n: rows, width: H, group: 0, until: missed }
          const job = () => adamwRows(gpu, { w, m, v, ...numbers, ...which, g })
          return work.job(job, { view: w, n: all }, { view: m, n: all }, { view: v, n: all })
        },
      }),
    ),
  ]
}
