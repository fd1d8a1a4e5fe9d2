import { foldLogits, sliceGradient, sliceStats } from '../../src/kernels/sliced_cross_entropy.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** One slice of a tied output projection's logits: what follows its matrix product. */
export function slicedCrossEntropyRows({ T, V }: Size): Row[] {
  const [rows, C] = [Math.ceil(T * 0.15), Math.min(V, 5440)]
  const [n, shape] = [rows * C, `${rows}x${C}`]
  const prepare = (work: Workspace) => ({
    ...{ z: work.floats(n, -3, 3), bias: work.floats(C), labels: work.uints(rows, C) },
    ...{ first: 0, C, V: C, rows },
  })
  return [
    {
      name: 'sliced_cross_entropy.fold',
      shape,
      flops: 5 * n,
      bytes: 4 * n,
      setup(gpu) {
        const work = new Workspace(gpu)
        const given = prepare(work)
        const [stats, own] = [work.empty(sliceStats(rows, 1)), work.empty(rows)]
        const job = () => foldLogits(gpu, { ...given, stats, own, slice: 0, slices: 1 })
        return work.job(job, { view: stats, n: sliceStats(rows, 1) })
      },
    },
    {
      name: 'sliced_cross_entropy.gradient',
      shape,
      flops: 4 * n,
      bytes: 8 * n,
      setup(gpu) {
        const work = new Workspace(gpu)
        const given = prepare(work)
        const views = { tops: work.floats(2 * rows, 3, 4), dlosses: work.floats(rows) }
        return work.job(() => sliceGradient(gpu, { ...given, ...views }), { view: given.z, n })
      },
    },
  ]
}
