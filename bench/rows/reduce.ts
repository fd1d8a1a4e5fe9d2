import { columnSum, gradNorm, sum } from '../../src/kernels/reduce.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** The gradient norm with its clipping coefficient, the sum behind a mean, and the gradient of a bias. */
export function reduceRows({ arena, B, T, F }: Size): Row[] {
  return [
    {
      name: 'reduce.gradNorm',
      shape: `${arena}`,
      flops: 2 * arena,
      bytes: 4 * arena,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [view, norm, coefficient] = [work.floats(arena), work.empty(1), work.empty(1)]
        const parts = [{ view, n: arena }]
        const job = () => gradNorm(gpu, { parts, maxNorm: 1, norm, coefficient })
        return work.job(job, { view: norm, n: 1 }, { view: coefficient, n: 1 })
      },
    },
    ...[B, arena].map(
      (n): Row => ({
        name: 'reduce.sum',
        shape: `${n}`,
        flops: n,
        bytes: 4 * n,
        setup(gpu) {
          const work = new Workspace(gpu)
          const [x, out] = [work.floats(n), work.empty(1)]
          return work.job(() => sum(gpu, { x, out, n }), { view: out, n: 1 })
        },
      }),
    ),
    {
      name: 'reduce.columnSum',
      shape: `${T}x${F}`,
      flops: T * F,
      bytes: 4 * (T * F + F),
      setup(gpu) {
        const work = new Workspace(gpu)
        const [x, out] = [work.floats(T * F), work.empty(F)]
        return work.job(() => columnSum(gpu, { x, out, rows: T, C: F }), { view: out, n: F })
      },
    },
  ]
}
