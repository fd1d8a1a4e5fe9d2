import { type Steps, strided } from '../../src/kernels/strided.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Hidden states moved: their heads to the front, and a part of every row cut out. */
export function stridedRows({ T, H, A }: Size): Row[] {
  const row = (name: string, shape: number[], from: Steps): Row => {
    const n = shape.reduce((product, size) => product * size, 1)
    const to = { offset: 0, strides: shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1)) }
    return {
      name: `strided.${name}`,
      shape: shape.join('x'),
      flops: 0,
      bytes: 8 * n,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, y] = [work.floats(T * H), work.empty(n)]
        return work.job(() => strided(gpu, { x, y, shape, from, to }), { view: y, n })
      },
    }
  }
  const D = H / A
  return [
    row('permute', [A, T, D], { offset: 0, strides: [D, H, 1] }),
    row('transpose', [H, T], { offset: 0, strides: [1, H] }),
    row('slice', [T, H / 2], { offset: H / 4, strides: [H, 1] }),
  ]
}
