import { ShapeError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import attentionWgsl from '../wgsl/attention.ts'
import packedWgsl from '../wgsl/attention_packed.ts'
import philox from '../wgsl/philox.ts'
import { attentionBackwardOfLong, attentionOfLong, isLong } from './attention-long.ts'
import {
  ATTENTION_PARAMS,
  type AttentionBackwardOptions,
  type AttentionOptions,
  attentionWork,
  longestRow,
  PACKED,
  packedValues,
} from './attention-packed.ts'
import { attentionBackwardByTiles, attentionByTiles, attentionTile } from './attention-tiles.ts'
import { cast } from './cast.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { philoxShifts } from './dropout.ts'
import { byWidth, compactFormOf, STORAGE_WGSL } from './width.ts'

export type { AttentionBackwardOptions, AttentionOptions } from './attention-packed.ts'

const WORKGROUP = 8
/** Neighbouring tokens one invocation takes, and tokens of the row it meets at a time. */
const TILE = { N: 2, M: 4 }

const define = (entry: string, bindings: Access[], constants: Record<string, number>) =>
  byWidth(
    defineKernel({
      name: 'attention',
      wgsl: philox + STORAGE_WGSL + packedWgsl + attentionWgsl,
      entry,
      params: ATTENTION_PARAMS,
      bindings,
      workgroup: WORKGROUP,
      constants: { ...TILE, ...constants },
    }),
  )
const entries = (constants: Record<string, number>) => ({
  forward: define('forward', [...PACKED, 'write', 'write'], constants),
  backwardQ: define('backward_q', [...PACKED, 'read', 'read', 'write', 'read', 'write'], constants),
  backwardKv: define('backward_kv', [...PACKED, 'read', 'read', 'write', 'read'], constants),
})
const plain = entries({ DROP: 0 })
const dropping = entries({ DROP: 1 })
const shiftless = entries({ DROP: 1, SHIFTS: 0 })

function checkSizes(op: string, { T, A, D, longest = 0 }: AttentionOptions): void {
  expectSizes(op, { T, A, longest })
  if (longest > T)
    throw new ShapeError(
      `${op}: longest is ${longest}, expected at most T, ${T}: the tokens of the longest row`,
    )
  if (!(Number.isInteger(D) && D >= 1))
    throw new ShapeError(`${op}: attention head size D is ${D}; expected 1 or more`)
}

/** Kernels, parameters and the number of workgroups. */
function launchOf(gpu: Gpu, options: AttentionOptions) {
  const { A, D, p = 0, storage } = options
  const form = compactFormOf(gpu, storage, A * D, D)
  const values = packedValues(options, TILE.N, form === 1 ? 1 : 4)
  return {
    kernels: p === 0 ? plain : philoxShifts(gpu.forms.kind) ? dropping : shiftless,
    form,
    values,
    grid: Math.ceil((values.slots * A) / WORKGROUP),
    work: attentionWork(options),
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
  checkSizes('attention', options)
  expectViews('attention', { qkv }, 3 * T * A * D, storage)
  expectViews('attention', { out }, T * A * D, storage)
  expectViews('attention', { keyMask }, T)
  expectViews('attention', { lse }, T * A)
  expectViews('attention', { cuSeqlens }, 1)
  if (T === 0) return
  const tile = attentionTile(gpu, D, longestRow(options))
  if (tile) {
    attentionByTiles(gpu, tile, options)
    return
  }
  if (isLong(gpu, options)) {
    attentionOfLong(gpu, options)
    return
  }
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
export function attentionBackward(gpu: Gpu, options: AttentionBackwardOptions): void {
  given('attentionBackward', gpu, options)
  const { qkv, keyMask, cuSeqlens, out, lse, dout, dqkv, T, A, D, storage } = options
  checkSizes('attentionBackward', options)
  expectViews('attentionBackward', { qkv, dqkv }, 3 * T * A * D, storage)
  expectViews('attentionBackward', { out, dout }, T * A * D, storage)
  expectViews('attentionBackward', { keyMask }, T)
  expectViews('attentionBackward', { lse }, T * A)
  expectViews('attentionBackward', { cuSeqlens }, 1)
  if (T === 0) return
  const tile = attentionTile(gpu, D, longestRow(options))
  gpu.scratch(take => {
    const delta = take(T * A * 4, 'attention delta')
    if (tile) return attentionBackwardByTiles(gpu, tile, options, delta)
    if (isLong(gpu, options)) return attentionBackwardOfLong(gpu, options, delta)
    const { kernels, form, values, grid, work } = launchOf(gpu, options)
    inFloats(gpu, options, dqkv, 3 * T * A * D, sums => {
      const views = [qkv, keyMask, cuSeqlens, lse, dout, sums]
      gpu.launch(kernels.backwardQ[form], values, [...views, out, delta], grid, 2 * work)
      gpu.launch(kernels.backwardKv[form], values, [...views, delta], grid, 3 * work)
    })
  })
}
