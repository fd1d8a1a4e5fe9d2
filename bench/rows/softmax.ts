import { logSoftmax, logSoftmaxBackward, softmax, softmaxBackward } from '../../src/kernels/softmax.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Class probabilities of a batch, and rows as wide as the MLP's last layer. */
export function softmaxRows({ B, mlp }: Size): Row[] {
  const rowsOf = (rows: number, C: number): Row[] => {
    const n = rows * C
    const shape = `${rows}x${C}`
    return [
      {
        name: 'softmax.forward',
        shape,
        flops: 5 * n,
        bytes: 8 * n,
        setup(gpu) {
          const work = new Workspace(gpu)
          const [x, y] = [work.floats(n, -3, 3), work.empty(n)]
          return work.job(() => softmax(gpu, { x, y, rows, C }), { view: y, n })
        },
      },
      {
        name: 'softmax.backward',
        shape,
        flops: 4 * n,
        bytes: 12 * n,
        setup(gpu) {
          const work = new Workspace(gpu)
          const [y, dy, dx] = [work.floats(n, 0, 1), work.floats(n), work.empty(n)]
          return work.job(() => softmaxBackward(gpu, { y, dy, dx, rows, C }), { view: dx, n })
        },
      },
      {
        name: 'softmax.log',
        shape,
        flops: 5 * n,
        bytes: 8 * n,
        setup(gpu) {
          const work = new Workspace(gpu)
          const [x, y] = [work.floats(n, -3, 3), work.empty(n)]
          return work.job(() => logSoftmax(gpu, { x, y, rows, C }), { view: y, n })
        },
      },
      {
        name: 'softmax.log.backward',
        shape,
        flops: 4 * n,
        bytes: 12 * n,
        setup(gpu) {
          const work = new Workspace(gpu)
          const [y, dy, dx] = [work.floats(n, -2, 0), work.floats(n), work.empty(n)]
          return work.job(() => logSoftmaxBackward(gpu, { y, dy, dx, rows, C }), { view: dx, n })
        },
      },
    ]
  }
  return [...rowsOf(B, 2), ...rowsOf(B * 16, mlp.at(-1)!)]
}
