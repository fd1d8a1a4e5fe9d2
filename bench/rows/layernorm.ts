import type { Gpu } from '../../src/gpu/index.ts'
import { layerNorm, layerNormBackward } from '../../src/kernels/layernorm.ts'
import { type Job, type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

const eps = 1e-12
const DROPOUT = { p: 0.1, rng: { seed: 1, layer: 2, step: 3 } }

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
  // The fused forms: each in place of two or three launches.
  const fused = (name: string, rows: number, H: number, setup: (work: Workspace, gpu: Gpu) => Job): Row => ({
    name: `layernorm.${name}`,
    shape: `${rows}x${H}`,
    flops: rows * H * (name.startsWith('forward') ? 10 : 16),
    bytes: 4 * rows * H * (name.includes('residual') ? 4 : name.startsWith('forward') ? 2 : 4),
    setup: gpu => setup(new Workspace(gpu), gpu),
  })
  const views = (work: Workspace, rows: number, H: number) => ({
    x: work.floats(rows * H),
    weight: work.floats(H),
    mean: work.floats(rows, -0.1, 0.1),
    rstd: work.floats(rows, 1, 2),
    rows,
    H,
  })
  const embeddings = fused('forward+outputDropout', T, H, (work, gpu) => {
    const [shared, bias, y] = [views(work, T, H), work.floats(H), work.empty(T * H)]
    const job = () => layerNorm(gpu, { ...shared, bias, y, eps, outputDropout: DROPOUT })
    return work.job(job, { view: y, n: T * H })
  })
  const residual = fused('forward+dropout+residual', T, H, (work, gpu) => {
    const [shared, bias, y] = [views(work, T, H), work.floats(H), work.empty(T * H)]
    const both = { residual: work.floats(T * H), sum: work.empty(T * H), dropout: DROPOUT }
    return work.job(() => layerNorm(gpu, { ...shared, bias, y, eps, ...both }), { view: y, n: T * H })
  })
  const mlpForward = fused('forward+relu+outputDropout', B, mlp[1]!, (work, gpu) => {
    const [shared, bias, y] = [views(work, B, mlp[1]!), work.floats(mlp[1]!), work.empty(B * mlp[1]!)]
    const after = { activation: 'relu', outputDropout: DROPOUT } as const
    return work.job(() => layerNorm(gpu, { ...shared, bias, y, eps, ...after }), { view: y, n: B * mlp[1]! })
  })
  const backwardOf = (name: string, rows: number, H: number, relu: boolean) =>
    fused(name, rows, H, (work, gpu) => {
      const n = rows * H
      const [shared, dy, dx] = [views(work, rows, H), work.floats(n), work.empty(n)]
      const [dweight, dbias] = [work.empty(H), work.empty(H)]
      const after = relu ? { y: work.floats(n), outputDropout: DROPOUT } : {}
      const before = relu ? {} : { dropout: { ...DROPOUT, dresidual: work.empty(n) } }
      const job = () => layerNormBackward(gpu, { ...shared, dy, dx, dweight, dbias, ...before, ...after })
      return work.job(job, { view: dx, n })
    })
  return [
    forward(T, H, false),
    forward(T, H, true),
    backward(T, H),
    forward(B, mlp[1]!, false),
    backward(B, mlp[1]!),
    embeddings,
    residual,
    backwardOf('backward+dropout', T, H, false),
    mlpForward,
    backwardOf('backward+relu+outputDropout', B, mlp[1]!, true),
  ]
}
