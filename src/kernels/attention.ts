import { ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import attentionWgsl from '../wgsl/attention.ts'
import philox from '../wgsl/philox.ts'
import { dropoutParams, type Rng } from './dropout.ts'

const MAX_D = 128
const WORKGROUP = 32

/** Packed rows: row b is tokens cuSeqlens[b] … cuSeqlens[b+1]-1, and attends to its own tokens only. */
export interface AttentionOptions {
  /** [T, 3, A, D]: query, key and value of each token, side by side. */
  qkv: View
  /** [T] uint32: 0 = not a key. Such a token still gets an output. */
  keyMask: View
  /** [B+1] uint32 */
  cuSeqlens: View
  /** [T] uint32: the row each token belongs to. */
  rowIds: View
  /** [T, A, D]; written by the forward pass, read by the backward pass. */
  out: View
  /** [T, A], logarithm of the sum of exp(scores); written by the forward pass, read by the backward pass. */
  lse: View
  T: number
  A: number
  D: number
  /** What q·k is multiplied by; 1/√D by default. */
  scale?: number | undefined
  /** Probability of dropping an attention weight, 0 <= p < 1; 0 by default. */
  p?: number | undefined
  /** Read when p > 0; all zero by default. */
  rng?: Rng | undefined
}

const params = {
  T: 'u32',
  A: 'u32',
  scale: 'f32',
  threshold: 'u32',
  keep: 'f32',
  seed: 'u32',
  layer: 'u32',
  step: 'u32',
  groups: 'u32',
} as const
const define = (entry: string, bindings: Kernel['bindings']) =>
  defineKernel({
    name: 'attention',
    wgsl: philox + attentionWgsl,
    entry,
    params,
    bindings,
    workgroup: WORKGROUP,
  })
const ROWS: Kernel['bindings'] = ['read', 'read', 'read', 'read'] // qkv, keyMask, cuSeqlens, rowIds
const entries = {
  forward: define('forward', [...ROWS, 'write', 'write']),
  delta: define('sum_delta', ['read', 'read', 'write']),
  backwardQ: define('backward_q', [...ROWS, 'read', 'read', 'read', 'write']),
  backwardKv: define('backward_kv', [...ROWS, 'read', 'read', 'read', 'write']),
}

const kernels = new Map<string, typeof entries>()

/** The entry points for a head size, with or without dropout; made once. */
function kernelsFor(D: number, drop: boolean): typeof entries {
  const key = `${D} ${drop}`
  let found = kernels.get(key)
  if (!found) {
    if (!(Number.isInteger(D) && D >= 1 && D <= MAX_D)) {
      throw new ShapeError(`attention head size D is ${D}; expected 1 to ${MAX_D}`)
    }
    const by4 = D % 4 === 0
    const constants = {
      D,
      G: Math.ceil(D / 4),
      BY4: Number(by4),
      BY1: Number(!by4),
      DROP: Number(drop),
    }
    const make = (kernel: typeof entries.forward) => withConstants(kernel, constants)
    found = {
      forward: make(entries.forward),
      delta: make(entries.delta),
      backwardQ: make(entries.backwardQ),
      backwardKv: make(entries.backwardKv),
    }
    kernels.set(key, found)
  }
  return found
}

const NO_RNG: Rng = { seed: 0, layer: 0, step: 0 }

function paramsOf({ T, A, D, scale = 1 / Math.sqrt(D), p = 0, rng = NO_RNG }: AttentionOptions) {
  const { threshold, scale: keep } = dropoutParams(p)
  return {
    T,
    A,
    scale,
    threshold,
    keep,
    seed: rng.seed,
    layer: rng.layer,
    step: rng.step,
    groups: Math.ceil(D / 4),
  }
}

/**
 * out = Σ_j f_j softmax_j(scale q·k_j) v_j over the keys of each token's row, f_j the dropout factor; lse = log Σ_j
 * exp(scale q·k_j). Overwrites out and lse; both are 0 in rows without a key. All float32.
 *
 * Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; lse and packed rows as in FlashAttention-2,
 * https://arxiv.org/abs/2307.08691
 *
 * @throws ShapeError unless 1 <= D <= 128; ConfigError unless 0 <= p < 1
 */
export function attention(gpu: Gpu, options: AttentionOptions): void {
  const { qkv, keyMask, cuSeqlens, rowIds, out, lse, T, A, D, p = 0 } = options
  if (T === 0) return
  const { forward } = kernelsFor(D, p > 0)
  const views = [qkv, keyMask, cuSeqlens, rowIds, out, lse]
  gpu.launch(forward, paramsOf(options), views, Math.ceil((T * A) / WORKGROUP))
}

/**
 * Overwrites all of dqkv [T, 3, A, D], given out and lse of `attention` and dout [T, A, D]. Weights and dropout are
 * computed again, with the same p and rng.
 */
export function attentionBackward(gpu: Gpu, options: AttentionOptions & { dout: View; dqkv: View }): void {
  const { qkv, keyMask, cuSeqlens, rowIds, out, lse, dout, dqkv, T, A, D, p = 0 } = options
  if (T === 0) return
  const { delta: sumDelta, backwardQ, backwardKv } = kernelsFor(D, p > 0)
  const values = paramsOf(options)
  const grid = Math.ceil((T * A) / WORKGROUP)
  const delta = gpu.acquire(T * A * 4, 'attention delta')
  gpu.launch(sumDelta, values, [out, dout, delta], grid)
  const views = [qkv, keyMask, cuSeqlens, rowIds, lse, delta, dout, dqkv]
  gpu.launch(backwardQ, values, views, grid)
  gpu.launch(backwardKv, values, views, grid)
  gpu.release(delta)
}
