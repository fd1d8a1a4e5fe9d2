import { conv1dMax, conv1dMaxBackward } from '../../src/kernels/conv1d_max.ts'
import { type Row, Workspace } from '../row.ts'
import { packed, type Size } from '../size.ts'

/** Windows of three words, as many filters as word vectors have numbers. */
export function conv1dMaxRows(size: Size): Row[] {
  const { B, T, H } = size
  const W = 3
  const F = Math.min(H, 128)
  const I = F
  const { cuSeqlens, rowIds } = packed(size)
  const shape = `${T}x${I} in ${B}, ${F} of ${W}`
  const n = F * I * W
  return [
    {
      name: 'conv1d_max',
      shape,
      flops: 2 * T * n,
      bytes: 4 * (T * I + n + 2 * B * F),
      setup(gpu) {
        const work = new Workspace(gpu)
        const views = { x: work.floats(T * I), weight: work.floats(n, -0.05, 0.05), bias: work.floats(F) }
        const [y, at] = [work.empty(B * F), work.empty(B * F)]
        const run = { ...views, cuSeqlens: work.put(cuSeqlens), y, at, B, T, I, F, W }
        return work.job(() => conv1dMax(gpu, run), { view: y, n: B * F })
      },
    },
    {
      name: 'conv1d_max.backward',
      shape,
      flops: 4 * B * n,
      bytes: 4 * (2 * T * I + 2 * n + 2 * B * F),
      setup(gpu) {
        const work = new Workspace(gpu)
        const at = work.put(Uint32Array.from({ length: B * F }, (_, i) => cuSeqlens[Math.floor(i / F)]!))
        const [dx, dweight, dbias] = [work.empty(T * I), work.empty(n), work.empty(F)]
        const read = { x: work.floats(T * I), weight: work.floats(n), dy: work.floats(B * F), at }
        const run = { ...read, rowIds: work.put(rowIds), dx, dweight, dbias, B, T, I, F, W }
        return work.job(() => conv1dMaxBackward(gpu, run), { view: dx, n: T * I }, { view: dweight, n })
      },
    },
  ]
}
