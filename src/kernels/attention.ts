import { expectRng } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import attentionWgsl from '../wgsl/attention.ts'
import philox from '../wgsl/philox.ts'
import { cast } from './cast.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { dropoutParams, philoxShifts, type Rng } from './dropout.ts'
import { byWidth, compactFormOf, STORAGE_WGSL, type Storage } from './width.ts'

const WORKGROUP = 8
/** Neighbouring tokens one invocation takes, and tokens of the row it meets at a time. */
const TILE = { N: 2, M: 4 }

/** Packed rows: row b is tokens cuSeqlens[b] … cuSeqlens[b+1]-1, and attends to its own tokens only. */
export interface AttentionOptions {
  /** [T, 3, A, D], query, key and value of each token, side by side. */
  qkv: View
  /** [T] uint32: 0 = not a key. Such a token still gets an output. */
  keyMask: View
  /** [B+1] uint32; the view's size gives B. */
  cuSeqlens: View
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
  /** How qkv, out and their gradients lie; float32 by default. lse is float32 always. */
  storage?: Storage | undefined
}

const define = (entry: string, bindings: Access[], constants: Record<string, number>) =>
  byWidth(
    defineKernel({
      name: 'attention',
      wgsl: philox + STORAGE_WGSL + attentionWgsl,
      entry,
      params: {
        B: 'u32',
        A: 'u32',
        D: 'u32',
        slots: 'u32',
        scale: 'f32',
        threshold: 'u32',
        keep: 'f32',
        seed: 'u32',
        layer: 'u32',
        step: 'u32',
      },
      bindings,
      workgroup: WORKGROUP,
      constants: { ...TILE, ...constants },
    }),
  )
const ROWS: Access[] = ['read', 'read', 'read'] // qkv, keyMask, cuSeqlens
const entries = (constants: Record<string, number>) => ({
  forward: define('forward', [...ROWS, 'write', 'write'], constants),
  backwardQ: define('backward_q', [...ROWS, 'read', 'read', 'write', 'read', 'write'], constants),
  backwardKv: define('backward_kv', [...ROWS, 'read', 'read', 'write', 'read'], constants),
})
const plain = entries({ DROP: 0 })
const dropping = entries({ DROP: 1 })
const shiftless = entries({ DROP: 1, SHIFTS: 0 })

const NO_RNG: Rng = { seed: 0, layer: 0, step: 0 }

function expectHead(op: string, D: number): void {
  if (!(Number.isInteger(D) && D >= 1))
    throw new ShapeError(`${op}: attention head size D is ${D}; expected 1 or more`)
}

/** Kernels, parameters and the number of workgroups. */
function launchOf(
  gpu: Gpu,
  { cuSeqlens, T, A, D, scale = 1 / Math.sqrt(D), p = 0, rng = NO_RNG, storage }: AttentionOptions,
) {
  const { threshold, scale: keep } = dropoutParams(p)
  expectRng('attention: rng', rng)
  const { seed, layer, step } = rng
  const form = compactFormOf(gpu, storage, A * D, D)
  const B = cuSeqlens.size / 4 - 1
  const slots = Math.floor(T / TILE.N) + B
  return {
    kernels: p === 0 ? plain : philoxShifts(gpu.forms.kind) ? dropping : shiftless,
    form,
    values: { B, A, D: form === 1 ? D : D / 4, slots, scale, threshold, keep, seed, layer, step },
    grid: Math.ceil((slots * A) / WORKGROUP),
    // Of two products over rows of a length, estimated; the backward pass has twice and thrice as many.
    work: (2 * T * T * A * D) / Math.max(B, 1),
  }
}

/**
 * out = Σ_j f_j softmax_j(scale q·k_j) v_j over the keys of each token's row, f_j the dropout factor; lse = log Σ_j
 * exp(scale q·k_j). Overwrites out and lse; both are 0 in rows without a key.
 *
 * Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; lse and packed rows as in FlashAttention-2,
 * https://arxiv.org/abs/2307.08691
 *
 * @throws ShapeError unless D is a whole number of at least 1; ConfigError unless 0 <= p < 1
 */
export function attention(gpu: Gpu, options: AttentionOptions): void {
  given('attention', gpu, options)
  const { qkv, keyMask, cuSeqlens, out, lse, T, A, D, storage } = options
  expectSizes('attention', { T, A })
  expectHead('attention', D)
  expectViews('attention', { qkv }, 3 * T * A * D, storage)
  expectViews('attention', { out }, T * A * D, storage)
  expectViews('attention', { keyMask }, T)
  expectViews('attention', { lse }, T * A)
  expectViews('attention', { cuSeqlens }, 1)
  if (T === 0) return
  const { kernels, form, values, grid, work } = launchOf(gpu, options)
  inFloats(gpu, options, out, T * A * D, sums => {
    gpu.launch(kernels.forward[form], values, [qkv, keyMask, cuSeqlens, sums, lse], grid, work)
  })
}

/** Has `write` fill n float32, which then go to `target`: sums that lie in memory from tile to tile stay float32 until then. */
function inFloats(
  gpu: Gpu,
  { storage }: AttentionOptions,
  target: View,
  n: number,
  write: (sums: View) => void,
): void {
  if (storage !== 'f16') {
    write(target)
    return
  }
  gpu.scratch(take => {
    const sums = take(n * 4, 'attention sums')
    write(sums)
    cast(gpu, { x: sums, y: target, n, to: 'f16' })
  })
}

/**
 * Overwrites all of dqkv [T, 3, A, D], given out and lse of `attention` and dout [T, A, D]. Weights and dropout are
 * computed again, with the same p and rng.
 */
export function attentionBackward(gpu: Gpu, options: AttentionOptions & { dout: View; dqkv: View }): void {
  given('attentionBackward', gpu, options)
  const { qkv, keyMask, cuSeqlens, out, lse, dout, dqkv, T, A, D, storage } = options
  expectSizes('attentionBackward', { T, A })
  expectHead('attentionBackward', D)
  expectViews('attentionBackward', { qkv, dqkv }, 3 * T * A * D, storage)
  expectViews('attentionBackward', { out, dout }, T * A * D, storage)
  expectViews('attentionBackward', { keyMask }, T)
  expectViews('attentionBackward', { lse }, T * A)
  expectViews('attentionBackward', { cuSeqlens }, 1)
  if (T === 0) return
  const { kernels, form, values, grid, work } = launchOf(gpu, options)
  gpu.scratch(take => {
    const delta = take(T * A * 4, 'attention delta')
    inFloats(gpu, options, dqkv, 3 * T * A * D, sums => {
      const views = [qkv, keyMask, cuSeqlens, lse, dout, sums]
      gpu.launch(kernels.backwardQ[form], values, [...views, out, delta], grid, 2 * work)
      gpu.launch(kernels.backwardKv[form], values, [...views, delta], grid, 3 * work)
    })
  })
}
