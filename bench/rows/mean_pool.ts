import { firstToken, firstTokenBackward, meanPool, meanPoolBackward } from '../../src/kernels/mean_pool.ts'
import { type Job, type Row, Workspace } from '../row.ts'
import { packed, type Size } from '../size.ts'

/** Mean over each packed row, and the first token of each row. */
export function meanPoolRows(size: Size): Row[] {
  const { T, B, H } = size
  const { cuSeqlens, rowIds } = packed(size)
  const shape = `T ${T} B ${B} H ${H}`
  const row = (
    name: string,
    flops: number,
    elements: number,
    setup: (work: Workspace, gpu: Parameters<Row['setup']>[0]) => Job,
  ): Row => ({
    name: `mean_pool.${name}`,
    shape,
    flops,
    bytes: 4 * (elements + T + B),
    setup: gpu => setup(new Workspace(gpu), gpu),
  })
  const ones = () => new Uint32Array(T).fill(1)
  return [
    row('forward', T * H + B * H, (T + B) * H, (work, gpu) => {
      const [x, out, counts] = [work.floats(T * H), work.empty(B * H), work.empty(B)]
      const views = { keyMask: work.put(ones()), cuSeqlens: work.put(cuSeqlens) }
      return work.job(() => meanPool(gpu, { x, ...views, out, counts, B, H }), { view: out, n: B * H })
    }),
    row('backward', T * H, (T + B) * H, (work, gpu) => {
      const [dy, dx] = [work.floats(B * H), work.empty(T * H)]
      const counts = work.put(Float32Array.from(size.lengths))
      const views = { keyMask: work.put(ones()), rowIds: work.put(rowIds) }
      return work.job(() => meanPoolBackward(gpu, { dy, ...views, counts, dx, T, H }), { view: dx, n: T * H })
    }),
    row('first', 0, 2 * B * H, (work, gpu) => {
      const [x, out, cu] = [work.floats(T * H), work.empty(B * H), work.put(cuSeqlens)]
      return work.job(() => firstToken(gpu, { x, cuSeqlens: cu, out, B, H }), { view: out, n: B * H })
    }),
    row('first_backward', 0, (T + B) * H, (work, gpu) => {
      const [dy, dx] = [work.floats(B * H), work.empty(T * H)]
      const views = { cuSeqlens: work.put(cuSeqlens), rowIds: work.put(rowIds) }
      return work.job(() => firstTokenBackward(gpu, { dy, ...views, dx, T, H }), { view: dx, n: T * H })
    }),
  ]
}
