import { dropout, dropoutBackward } from '../../src/kernels/dropout.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Operations are those on the values; the Philox rounds behind each mask bit are integer work. */
export function dropoutRows({ T, H }: Size): Row[] {
  const n = T * H
  const common = { p: 0.1, rng: { seed: 1, layer: 2, step: 3 }, n }
  const shared = { shape: `${T}x${H}`, flops: n, bytes: 8 * n }
  return [
    {
      name: 'dropout.forward',
      ...shared,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, y] = [work.floats(n), work.empty(n)]
        return work.job(() => dropout(gpu, { x, y, ...common }), { view: y, n })
      },
    },
    {
      name: 'dropout.backward',
      ...shared,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [dy, dx] = [work.floats(n), work.empty(n)]
        return work.job(() => dropoutBackward(gpu, { dy, dx, ...common }), { view: dx, n })
      },
    },
  ]
}
