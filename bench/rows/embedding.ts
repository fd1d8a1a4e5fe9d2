import { groupIds } from '../../src/ids.ts'
import { embedding, embeddingBackward, scatterAddRows } from '../../src/kernels/embedding.ts'
import { generator } from '../../src/testing/index.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Word plus position rows of every token, the gradient of the unique words, and a merge of two such gradients. */
export function embeddingRows({ T, H, V, S, B }: Size): Row[] {
  const n = T * H
  const next = generator(3)
  const ids = Uint32Array.from({ length: T }, () => Math.floor(next() * V))
  const grouped = groupIds(ids)
  const U = grouped.rows.length
  const categories = 64 // width of the widest categorical table
  return [
    {
      name: 'embedding.forward+position',
      shape: `T ${T} H ${H} V ${V}`,
      flops: n,
      bytes: 4 * (3 * n + 2 * T),
      setup(gpu) {
        const work = new Workspace(gpu)
        const out = work.empty(n)
        const table = [{ view: work.floats(V * H), firstRow: 0, rows: V }]
        const position = {
          table: [{ view: work.floats(S * H), firstRow: 0, rows: S }],
          ids: work.uints(T, S),
        }
        const idView = work.put(ids)
        return work.job(() => embedding(gpu, { table, ids: idView, out, n: T, H, position }), {
          view: out,
          n,
        })
      },
    },
    {
      name: 'embedding.forward',
      shape: `B ${B} H ${categories} V ${V}`,
      flops: 0,
      bytes: 4 * (2 * B * categories + B),
      setup(gpu) {
        const work = new Workspace(gpu)
        const out = work.empty(B * categories)
        const table = [{ view: work.floats(V * categories), firstRow: 0, rows: V }]
        const idView = work.uints(B, V)
        const job = () => embedding(gpu, { table, ids: idView, out, n: B, H: categories })
        return work.job(job, { view: out, n: B * categories })
      },
    },
    {
      name: 'embedding.backward',
      shape: `T ${T} H ${H} U ${U}`,
      flops: n,
      bytes: 4 * (n + U * H + T + U),
      setup(gpu) {
        const work = new Workspace(gpu)
        const [dy, grad] = [work.floats(n), work.empty(U * H)]
        const [offsets, positions] = [work.put(grouped.offsets), work.put(grouped.positions)]
        const job = () => embeddingBackward(gpu, { dy, offsets, positions, grad, U, H })
        return work.job(job, { view: grad, n: U * H })
      },
    },
    {
      name: 'embedding.scatterAddRows',
      shape: `U ${U} H ${H}`,
      flops: U * H,
      bytes: 4 * (3 * U * H + U),
      setup(gpu) {
        const work = new Workspace(gpu)
        const [source, target] = [work.floats(U * H, -1e-3, 1e-3), work.floats(U * H)]
        const map = work.put(Uint32Array.from({ length: U }, (_, i) => U - 1 - i))
        const job = () => scatterAddRows(gpu, { source, map, target, n: U, H })
        return work.job(job, { view: target, n: U * H })
      },
    },
  ]
}
