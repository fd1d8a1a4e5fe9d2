import { relu, reluBackward } from '../../src/kernels/relu.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** At the first MLP layer, and at the feed-forward's size, where memory shows instead of the launch. */
export function reluRows({ B, T, F, mlp }: Size): Row[] {
  const rowsOf = (rows: number, width: number): Row[] => {
    const n = rows * width
    const shape = `${rows}x${width}`
    return [
      {
        name: 'relu.forward',
        shape,
        flops: n,
        bytes: 8 * n,
        setup(gpu) {
          const work = new Workspace(gpu)
          const [x, y] = [work.floats(n), work.empty(n)]
          return work.job(() => relu(gpu, { x, y, n }), { view: y, n })
        },
      },
      {
        name: 'relu.backward',
        shape,
        flops: n,
        bytes: 12 * n,
        setup(gpu) {
          const work = new Workspace(gpu)
          const [y, dy, dx] = [work.floats(n), work.floats(n), work.empty(n)]
          return work.job(() => reluBackward(gpu, { y, dy, dx, n }), { view: dx, n })
        },
      },
    ]
  }
  return [...rowsOf(B, mlp[1]!), ...rowsOf(T, F)]
}
