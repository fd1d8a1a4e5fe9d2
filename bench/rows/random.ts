import { normalFill, uniformFill } from '../../src/kernels/random.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Starting values of parameters. Box and Muller takes 5 operations a number, the rest is integer work. */
export function randomRows({ H, F }: Size): Row[] {
  const n = H * F
  const shared = { shape: `${n}`, bytes: 4 * n }
  const common = { n, seed: 1, stream: 2 }
  return [
    {
      name: 'random.uniform',
      flops: 2 * n,
      ...shared,
      setup(gpu) {
        const work = new Workspace(gpu)
        const out = work.empty(n)
        return work.job(() => uniformFill(gpu, { out, ...common, low: -1, high: 1 }), { view: out, n })
      },
    },
    {
      name: 'random.normal',
      flops: 5 * n,
      ...shared,
      setup(gpu) {
        const work = new Workspace(gpu)
        const out = work.empty(n)
        return work.job(() => normalFill(gpu, { out, ...common, mean: 0, std: 0.02 }), { view: out, n })
      },
    },
  ]
}
