// Attention from one set of packed rows to another, or to the tokens before: attention.ts is for tokens of one row to each other.
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/cross_attention.ts'
import { axisReduce } from './axis_reduce.ts'
import { expectOptional, expectSizes, expectView, expectViews, given } from './checks.ts'
import {
  type CrossAttentionOptions,
  type Crossed,
  crossedBackward,
  crossedForward,
  crossedTile,
} from './cross_attention-tiles.ts'
import { pointwise } from './pointwise.ts'
import { byWidth, widthOf } from './width.ts'

export type { CrossAttentionOptions } from './cross_attention-tiles.ts'

const WG = 32
const kernel = (entry: string, bindings: Access[], CAUSAL: number, MASK: number) =>
  byWidth(
    defineKernel({
      name: 'cross_attention',
      wgsl,
      entry,
      params: { B: 'u32', A: 'u32', D: 'u32', tokens: 'u32', scale: 'f32' },
      bindings,
      workgroup: WG,
      constants: { CAUSAL, MASK },
    }),
  )
const READ: Access[] = ['read', 'read', 'read', 'read'] // q, k, v, index
const entries = (causal: number, mask: number) => ({
  forward: kernel('forward', [...READ, 'write', 'write'], causal, mask),
  backwardQ: kernel('backward_q', [...READ, 'read', 'read', 'read', 'write'], causal, mask),
  backwardK: kernel('backward_k', [...READ, 'read', 'read', 'read', 'write'], causal, mask),
  backwardV: kernel('backward_v', [...READ, 'read', 'write'], causal, mask),
})
const KERNELS = [
  [entries(0, 0), entries(0, 1)],
  [entries(1, 0), entries(1, 1)],
] as const

const crossed = (options: CrossAttentionOptions): Crossed => ({
  ...options,
  causal: options.causal ?? false,
  masked: options.masked ?? false,
  scale: options.scale ?? 1 / Math.sqrt(options.D),
})

function launchOf({ A, B, D, causal, masked, scale }: Crossed) {
  const width = widthOf(D)
  const kernels = KERNELS[causal ? 1 : 0][masked ? 1 : 0]
  const params = (tokens: number) => ({ B, A, D: D / width, tokens, scale })
  return { width, kernels, params, groups: (tokens: number) => Math.ceil((tokens * A) / WG) }
}

function checkAttention(
  op: string,
  { q, k, v, index, out, lse, B, Tq, Tk, A, D, masked }: CrossAttentionOptions,
): void {
  expectSizes(op, { B, Tq, Tk, A, D })
  expectViews(op, { q, out }, Tq * A * D)
  expectViews(op, { k, v }, Tk * A * D)
  expectView(op, 'index', index, 2 * (B + 1) + (masked ? Tk : 0))
  expectView(op, 'lse', lse, Tq * A)
}

/**
 * out = softmax(scale q kᵀ) v, head by head, row by row; 0 where a query has no key. Writes out and lse.
 * Source: `torch.nn.functional.scaled_dot_product_attention`.
 */
export function crossAttention(gpu: Gpu, options: CrossAttentionOptions): void {
  given('crossAttention', gpu, options)
  checkAttention('crossAttention', options)
  const { q, k, v, index, out, lse, Tq, A, D } = options
  if (Tq * A * D === 0) return
  const tile = crossedTile(gpu, crossed(options), Tq)
  if (tile) {
    crossedForward(gpu, tile, crossed(options))
    return
  }
  const { width, kernels, params, groups } = launchOf(crossed(options))
  gpu.launch(kernels.forward[width], params(Tq), [q, k, v, index, out, lse], groups(Tq))
}

/** dq [Tq, A, D], dk and dv [Tk, A, D] of dout [Tq, A, D], each where it is given; overwrites them. Reads out and lse. */
export function crossAttentionBackward(
  gpu: Gpu,
  all: CrossAttentionOptions & { dout: View; dq?: View; dk?: View; dv?: View },
): void {
  const { dout, dq, dk, dv, ...options } = given('crossAttentionBackward', gpu, all)
  checkAttention('crossAttentionBackward', options)
  expectOptional('crossAttentionBackward', { dout, dq }, options.Tq * options.A * options.D)
  expectOptional('crossAttentionBackward', { dk, dv }, options.Tk * options.A * options.D)
  const { q, k, v, index, out, lse, Tq, Tk, A, D } = options
  if (crossedTile(gpu, crossed(options), Tq)) {
    crossedBackward(gpu, { ...crossed(options), dout, dq, dk, dv })
    return
  }
  const { width, kernels, params, groups } = launchOf(crossed(options))
  const shape = [Tq, A, D]
  gpu.scratch(take => {
    const delta = take(Tq * A * 4)
    gpu.scratch(take => {
      const products = take(Tq * A * D * 4)
      const operands = [out, dout].map(view => ({ view, shape }))
      pointwise(gpu, { name: 'mul', operands, out: { view: products, shape } })
      axisReduce(gpu, { kind: 'sum', x: products, shape, axes: [2], out: delta })
    })
    const views = [q, k, v, index, lse, dout, delta]
    if (dq && Tq > 0) gpu.launch(kernels.backwardQ[width], params(Tq), [...views, dq], groups(Tq))
    if (dk && Tk > 0) gpu.launch(kernels.backwardK[width], params(Tk), [...views, dk], groups(Tk))
    if (dv && Tk > 0)
      gpu.launch(kernels.backwardV[width], params(Tk), [q, k, index, lse, dout, dv], groups(Tk))
  })
}
