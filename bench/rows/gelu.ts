import { gelu, geluBackward } from '../../src/kernels/gelu.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** x (1 + erf(x / √2)) / 2: 5 operations; its derivative times dy: 11. */
export function geluRows({ T, F }: Size): Row[] {
  const n = T * F
  const shape = `${T}x${F}`
  return [
    {
      name: 'gelu.forward',
      shape,
      flops: 5 * n,
      bytes: 8 * n,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, y] = [work.floats(n, -4, 4), work.empty(n)]
        return work.job(() => gelu(gpu, { x, y, n }), { view: y, n })
      },
    },
    {
      name: 'gelu.backward',
      shape,
      flops: 11 * n,
      bytes: 12 * n,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, dy, dx] = [work.floats(n, -4, 4), work.floats(n), work.empty(n)]
        return work.job(() => geluBackward(gpu, { x, dy, dx, n }), { view: dx, n })
      },
    },
  ]
}
