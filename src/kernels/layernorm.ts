import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/layernorm.ts'
import { finishColumns, rowBlocks } from './reduce.ts'
import { byWidth, widthOf } from './width.ts'

const WG = 32
const kernel = (entry: string, bindings: Access[], RESIDUAL = 0) =>
  byWidth(
    defineKernel({
      name: 'layernorm',
      wgsl,
      entry,
      params: { rows: 'u32', H: 'u32', eps: 'f32', per_block: 'u32' },
      bindings,
      workgroup: WG,
      constants: { RESIDUAL },
    }),
  )
const plain = kernel('forward', ['read', 'read', 'read', 'write', 'write', 'write'])
const withResidual = kernel(
  'forward',
  ['read', 'read', 'read', 'write', 'write', 'write', 'read', 'write'],
  1,
)
const backward = kernel('backward', ['read', 'read', 'read', 'read', 'read', 'write'])
const columns = kernel('columns', ['read', 'read', 'read', 'read', 'write', 'write'])

/**
 * y = LayerNorm(x + residual) over the last axis. mean and rstd are kept for the backward pass; with a residual, which
 * takes `sum`, so is x + residual. x, residual, y, sum: [rows, H]; weight, bias: [H]; mean, rstd: [rows]; all float32.
 * Source: Ba, Kiros and Hinton 2016; `torch.nn.functional.layer_norm`.
 */
export function layerNorm(
  gpu: Gpu,
  {
    x,
    residual,
    weight,
    bias,
    y,
    sum,
    mean,
    rstd,
    rows,
    H,
    eps,
  }: {
    x: View
    weight: View
    bias: View
    y: View
    mean: View
    rstd: View
    rows: number
    H: number
    eps: number
  } & ({ residual: View; sum: View } | { residual?: undefined; sum?: undefined }),
): void {
  if (rows * H === 0) return
  const width = widthOf(H)
  const views = [x, weight, bias, y, mean, rstd]
  const params = { rows, H: H / width, eps, per_block: 0 }
  if (residual) gpu.launch(withResidual[width], params, [...views, residual, sum], Math.ceil(rows / WG))
  else gpu.launch(plain[width], params, views, Math.ceil(rows / WG))
}

/**
 * Gradients of layerNorm. x is what was normalised (the forward's sum when it had a residual); dx is the gradient of x
 * and of residual alike and is overwritten; dweight and dbias, [H], are overwritten, or added to with `accumulate`.
 */
export function layerNormBackward(
  gpu: Gpu,
  {
    dy,
    x,
    weight,
    mean,
    rstd,
    dx,
    dweight,
    dbias,
    rows,
    H,
    accumulate = false,
  }: {
    dy: View
    x: View
    weight: View
    mean: View
    rstd: View
    dx: View
    dweight: View
    dbias: View
    rows: number
    H: number
    accumulate?: boolean
  },
): void {
  const width = widthOf(H)
  const { perBlock, blocks } = rowBlocks(rows)
  const params = { rows, H: H / width, eps: 0, per_block: perBlock }
  const [dweights, dbiases] = [gpu.acquire(blocks * H * 4), gpu.acquire(blocks * H * 4)]
  if (rows * H > 0) {
    gpu.launch(backward[width], params, [dy, x, mean, rstd, weight, dx], Math.ceil(rows / WG))
    const groups = Math.ceil((blocks * H) / width / WG)
    gpu.launch(columns[width], params, [dy, x, mean, rstd, dweights, dbiases], groups)
  }
  finishColumns(gpu, { partials: dweights, out: dweight, blocks, C: H, accumulate })
  finishColumns(gpu, { partials: dbiases, out: dbias, blocks, C: H, accumulate })
  gpu.release(dweights)
  gpu.release(dbiases)
}
