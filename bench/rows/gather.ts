import { gather, gatherBackward } from '../../src/kernels/gather.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Some values of every row by number. */
export function gatherRows({ T, H }: Size): Row[] {
  const K = H / 4
  const sizes = { O: T, R: H, I: 1, K }
  return [
    {
      name: 'gather.forward',
      shape: `${T}x${K} of ${H}`,
      flops: 0,
      bytes: 12 * T * K,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, indices, y] = [work.floats(T * H), work.uints(T * K, H), work.empty(T * K)]
        return work.job(() => gather(gpu, { x, indices, y, ...sizes }), { view: y, n: T * K })
      },
    },
    {
      name: 'gather.backward',
      shape: `${T}x${K} of ${H}`,
      flops: T * K,
      bytes: 8 * T * K + 4 * T * H,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [dy, indices, dx] = [work.floats(T * K), work.uints(T * K, H), work.empty(T * H)]
        return work.job(() => gatherBackward(gpu, { dy, indices, dx, ...sizes }), { view: dx, n: T * H })
      },
    },
  ]
}
