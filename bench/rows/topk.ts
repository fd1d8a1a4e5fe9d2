import { topK } from '../../src/kernels/topk.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

/** The best of a batch's scores. */
export function topkRows({ B, F }: Size): Row[] {
  return [1, 10].map(k => ({
    name: `topk.${k}`,
    shape: `${B}x${F}`,
    flops: k * B * F,
    bytes: 4 * B * (F + k),
    setup(gpu) {
      const work = new Workspace(gpu)
      const [x, indices] = [work.floats(B * F), work.empty(B * k)]
      return work.job(() => topK(gpu, { x, indices, O: B, R: F, I: 1, k }), { view: indices, n: B * k })
    },
  }))
}
