import { transpose } from '../../src/kernels/transpose.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** A layer's widest weight, as the matrix product turns it where its rows share cache sets. */
export function transposeRows({ H }: Size): Row[] {
  const [R, C] = [H, 4 * H]
  return [
    {
      name: 'transpose',
      shape: `${R}x${C}`,
      flops: 0,
      bytes: 8 * R * C,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, y] = [work.floats(R * C), work.empty(R * C)]
        return work.job(() => transpose(gpu, { x, y, R, C }), { view: y, n: R * C })
      },
    },
  ]
}
