import { type AxisReduction, axisReduce } from '../../src/kernels/axis_reduce.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** Reductions of the feed-forward layer's activations over either dimension. */
export function axisReduceRows({ T, F }: Size): Row[] {
  const n = T * F
  const row = (kind: AxisReduction, axis: 0 | 1): Row => ({
    name: `axis_reduce.${kind}`,
    shape: `${T}x${F} over ${axis}`,
    flops: (kind === 'logSumExp' ? 3 : 1) * n,
    bytes: 4 * n,
    setup(gpu) {
      const work = new Workspace(gpu)
      const left = axis ? T : F
      const [x, out] = [work.floats(n), work.empty(left)]
      return work.job(() => axisReduce(gpu, { kind, x, shape: [T, F], axes: [axis], out }), {
        view: out,
        n: left,
      })
    },
  })
  return [row('sum', 0), row('sum', 1), row('max', 1), row('logSumExp', 0), row('logSumExp', 1)]
}
