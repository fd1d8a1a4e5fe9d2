import { lstm, lstmBackward } from '../../src/kernels/lstm.ts'
import { type Row, Workspace } from '../row.ts'
import { packed, type Size } from '../size.ts'

/** One direction; what the input gives is a matmul's row. */
export function lstmRows(size: Size): Row[] {
  const { B, T } = size
  const H = Math.min(size.H, 128)
  const { cuSeqlens } = packed(size)
  const shape = `${T}x${H} in ${B}`
  return [
    {
      name: 'lstm',
      shape,
      flops: 8 * T * H * H + 30 * T * H,
      bytes: 4 * (4 * H * H + 11 * T * H),
      setup(gpu) {
        const work = new Workspace(gpu)
        const read = {
          gatesIn: work.floats(4 * T * H),
          weight: work.floats(4 * H * H, -0.1, 0.1),
          bias: work.floats(4 * H),
        }
        const [h, cell, before] = [work.empty(T * H), work.empty(T * H), work.empty(T * H)]
        const gates = work.empty(4 * T * H)
        const run = { ...read, cuSeqlens: work.put(cuSeqlens), h, gates, cell, before, B, T, H }
        return work.job(() => lstm(gpu, run), { view: h, n: T * H })
      },
    },
    {
      name: 'lstm.backward',
      shape,
      flops: 8 * T * H * H + 30 * T * H,
      bytes: 4 * (4 * H * H + 10 * T * H),
      setup(gpu) {
        const work = new Workspace(gpu)
        const dgates = work.empty(4 * T * H)
        const read = {
          gates: work.floats(4 * T * H, 0, 1),
          cell: work.floats(T * H),
          dh: work.floats(T * H),
          weight: work.floats(4 * H * H, -0.1, 0.1),
        }
        const run = { ...read, cuSeqlens: work.put(cuSeqlens), dgates, carry: work.empty(B * H), B, T, H }
        return work.job(() => lstmBackward(gpu, run), { view: dgates, n: 4 * T * H })
      },
    },
  ]
}
