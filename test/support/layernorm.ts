// LayerNorm with what can be fused into it, by one launch and by separate ones, and the oracle's.
import type { Gpu, View } from '../../src/gpu/index.ts'
import { dropout, dropoutBackward } from '../../src/kernels/dropout.ts'
import { layerNorm, layerNormBackward } from '../../src/kernels/layernorm.ts'
import { relu, reluBackward } from '../../src/kernels/relu.ts'
import * as reference from '../../src/reference/index.ts'
import { seeded } from './gpu.ts'

export const rng = { seed: 0xfedcba98, layer: 7, step: 0x80000003 }

/** Dropout probabilities before and after, and what else stands around the normalisation. */
export interface Given {
  before: number
  after: number
  activation?: 'relu'
  residual: boolean
}

function inputs(rows: number, H: number) {
  const n = rows * H
  return {
    x: seeded(n, 1),
    residual: seeded(n, 2),
    weight: seeded(H, 3).map(v => 1 + v),
    bias: seeded(H, 4),
    dy: seeded(n, 5),
  }
}

/** The fused kernels, or the separate ones one after the other. */
export async function runLayerNorm(
  gpu: Gpu,
  rows: number,
  H: number,
  { before, after, activation, residual }: Given,
  fused: boolean,
  /** The gradients of weight and bias lie in one buffer, as a layer's do. */
  together = false,
) {
  const n = rows * H
  const given = inputs(rows, H)
  const upload = Object.entries(given).map(([name, data]) => [name, gpu.from(data)] as const)
  const views = Object.fromEntries(upload) as Record<keyof typeof given, ReturnType<typeof gpu.from>>
  const { x, weight, bias, dy } = views
  const empty = (size = n) => gpu.acquire(size * 4)
  const [y, sum, mean, rstd, dx, dresidual] = [empty(), empty(), empty(rows), empty(rows), empty(), empty()]
  const [dweight, dbias] = together ? besideEachOther(gpu, H) : [empty(H), empty(H)]
  const stats = { mean, rstd, rows, H }
  const drop = (p: number) => (p ? { p, rng } : undefined)
  const eps = 1e-5
  const back = { weight, dweight, dbias, ...stats }
  if (fused) {
    const common = { x, weight, bias, y, activation, eps, ...stats }
    if (!residual) layerNorm(gpu, { ...common, outputDropout: drop(after) })
    else if (before) layerNorm(gpu, { ...common, residual: views.residual, sum, dropout: drop(before) })
    else layerNorm(gpu, { ...common, residual: views.residual, sum, outputDropout: drop(after) })
    layerNormBackward(gpu, {
      ...back,
      dy,
      x: residual ? sum : x,
      dx,
      y: activation && y,
      dropout: before ? { p: before, rng, dresidual } : undefined,
      outputDropout: drop(after),
    })
  } else {
    const [dropped, normal, rectified, dropGradient, reluGradient] = [0, 0, 0, 0, 0].map(() => empty())
    dropout(gpu, { x, y: dropped!, p: before, rng, n })
    const common = { x: dropped!, weight, bias, y: normal!, eps, ...stats }
    if (residual) layerNorm(gpu, { ...common, residual: views.residual, sum })
    else layerNorm(gpu, common)
    if (activation) relu(gpu, { x: normal!, y: rectified!, n })
    else gpu.copy(normal!, rectified!, n * 4)
    dropout(gpu, { x: rectified!, y, p: after, rng, n })
    dropoutBackward(gpu, { dy, dx: dropGradient!, p: after, rng, n })
    if (activation) reluBackward(gpu, { y: rectified!, dy: dropGradient!, dx: reluGradient!, n })
    else gpu.copy(dropGradient!, reluGradient!, n * 4)
    layerNormBackward(gpu, { ...back, dy: reluGradient!, x: residual ? sum : dropped!, dx: dresidual })
    dropoutBackward(gpu, { dy: dresidual, dx, p: before, rng, n })
  }
  const results = { y, dx, dweight, dbias, ...(before > 0 && { dresidual }) }
  const read: Record<string, Float32Array> = {}
  for (const [name, view] of Object.entries(results)) read[name] = (await gpu.readFloats(view)).slice()
  return read
}

/** Two views of H values of one buffer. */
function besideEachOther(gpu: Gpu, H: number): [View, View] {
  const { buffer } = gpu.acquire(H * 4 + Math.ceil((H * 4) / 256) * 256)
  const view = (offset: number) => ({ buffer, offset, size: H * 4 })
  return [view(0), view(Math.ceil((H * 4) / 256) * 256)]
}

/** The same from the oracle. */
export function layerNormOracle(rows: number, H: number, { before, after, activation, residual }: Given) {
  const { x, residual: r, weight, bias, dy } = inputs(rows, H)
  const shape = { rows, H, eps: 1e-5 }
  const dropped = reference.dropout({ x, p: before, rng })
  const normal = reference.layerNorm({
    x: dropped,
    residual: residual ? r : undefined,
    weight,
    bias,
    ...shape,
  })
  const rectified = activation ? reference.relu(normal.y) : normal.y
  const y = reference.dropout({ x: rectified, p: after, rng })
  const kept = reference.dropoutBackward({ dy, p: after, rng })
  const dnormal = activation ? kept.map((v, i) => (normal.y[i]! > 0 ? v : 0)) : kept
  const {
    dx: dresidual,
    dweight,
    dbias,
  } = reference.layerNormBackward({
    dy: dnormal,
    weight,
    ...normal,
    ...shape,
  })
  const dx = reference.dropoutBackward({ dy: dresidual, p: before, rng })
  return { y, dx, dweight, dbias, dresidual } as Record<string, Float64Array>
}
