import { layerNorm, layerNormBackward } from '../../src/kernels/layernorm.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

const eps = 1e-12

/** Per element: mean 1, variance 3, normalize and affine 4 forward, residual 1; backward 15 with both column sums. */
export function layernormRows({ T, B, H, mlp }: Size): Row[] {
  const forward = (rows: number, H: number, residual: boolean): Row => ({
    name: `layernorm.forward${residual ? '+residual' : ''}`,
    shape: `${rows}x${H}`,
    flops: rows * H * (residual ? 9 : 8),
    bytes: 4 * (rows * H * (residual ? 4 : 2) + 2 * H + 2 * rows),
    setup(gpu) {
      const work = new Workspace(gpu)
      const n = rows * H
      const shared = {
        x: work.floats(n),
        weight: work.floats(H),
        bias: work.floats(H),
        y: work.empty(n),
        mean: work.empty(rows),
        rstd: work.empty(rows),
        rows,
        H,
        eps,
      }
      const output = { view: shared.y, n }
      if (!residual) return work.job(() => layerNorm(gpu, shared), output)
      const both = { ...shared, residual: work.floats(n), sum: work.empty(n) }
      return work.job(() => layerNorm(gpu, both), output, { view: both.sum, n })
    },
  })
  const backward = (rows: number, H: number): Row => ({
    name: 'layernorm.backward',
    shape: `${rows}x${H}`,
    flops: rows * H * 15,
    bytes: 4 * (rows * H * 3 + 3 * H + 2 * rows),
    setup(gpu) {
      const work = new Workspace(gpu)
      const n = rows * H
      const [dx, dweight, dbias] = [work.empty(n), work.empty(H), work.empty(H)]
      const shared = {
        dy: work.floats(n),
        x: work.floats(n),
        weight: work.floats(H),
        mean: work.floats(rows, -0.1, 0.1),
        rstd: work.floats(rows, 1, 2),
      }
      const job = () => layerNormBackward(gpu, { ...shared, dx, dweight, dbias, rows, H })
      return work.job(job, { view: dx, n }, { view: dweight, n: H }, { view: dbias, n: H })
    },
  })
  return [
    forward(T, H, false),
    forward(T, H, true),
    backward(T, H),
    forward(B, mlp[1]!, false),
    backward(B, mlp[1]!),
  ]
}
