import { BELOW_ONE, COUNT, expectNumber } from '../check.ts'
import { expectArrays, expectOffsets, expectSizes, given } from './checks.ts'
import { dropoutFactor } from './dropout.ts'
import { philox4x32, type Rng } from './philox.ts'

/** Fourth counter word of attention dropout; element dropout has 0. */
const ATTENTION_STREAM = 1

/** Packed rows: row b is tokens cuSeqlens[b] … cuSeqlens[b+1]-1, and attends to its own tokens only. */
export interface AttentionOptions {
  /** [T, 3, A, D], query, key and value of each token, side by side. */
  qkv: ArrayLike<number>
  /** [T], 0 = not a key. Such a token still gets an output. */
  keyMask: ArrayLike<number>
  /** [B+1] */
  cuSeqlens: ArrayLike<number>
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

const NO_RNG: Rng = { seed: 0, layer: 0, step: 0 }

/**
 * Scaled dot-product attention. For query token t of head a, over the keys j of t's row with keyMask 1:
 * s_j = scale q·k_j; lse = log Σ exp(s_j); w_j = exp(s_j - lse); out = Σ f_j w_j v_j.
 * f_j is the dropout factor, 0 or 1/(1-p), from word j mod 4 of philox(counter [t A + a, j >>> 2, step, 1],
 * key [seed, layer]), with t the packed index and j the index within the row; the weights are not renormalised.
 * A row without any key has out 0 and lse 0.
 *
 * Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; lse and packed rows as in FlashAttention-2,
 * Dao 2023, https://arxiv.org/abs/2307.08691
 *
 * @returns out [T, A, D]; lse [T, A], natural logarithm, which the backward pass needs
 */
export function attention(options: AttentionOptions): { out: Float64Array; lse: Float64Array } {
  checkAttention('attention', options)
  const { qkv, keyMask, cuSeqlens, T, A, D, scale = 1 / Math.sqrt(D) } = options
  const out = new Float64Array(T * A * D)
  const lse = new Float64Array(T * A)
  for (let b = 0; b + 1 < cuSeqlens.length; b++) {
    const [start, end] = [cuSeqlens[b]!, cuSeqlens[b + 1]!]
    for (let t = start; t < end; t++) {
      for (let a = 0; a < A; a++) {
        const scores = new Float64Array(end - start).fill(-Infinity)
        let max = -Infinity
        for (let j = 0; j < end - start; j++) {
          if (keyMask[start + j] === 0) continue
          scores[j] = scale * dot(qkv, at(t, 0, a, A, D), qkv, at(start + j, 1, a, A, D), D)
          max = Math.max(max, scores[j]!)
        }
        if (max === -Infinity) continue
        let total = 0
        for (const score of scores) total += Math.exp(score - max)
        lse[t * A + a] = max + Math.log(total)
        for (let j = 0; j < end - start; j++) {
          if (keyMask[start + j] === 0) continue
          const weight = Math.exp(scores[j]! - max) / total
          const factor = weightFactor(t * A + a, j, options)
          const v = at(start + j, 2, a, A, D)
          for (let d = 0; d < D; d++) out[(t * A + a) * D + d]! += factor * weight * qkv[v + d]!
        }
      }
    }
  }
  return { out, lse }
}

/**
 * Weights are computed again from lse. With f_j and w_j of {@link attention} and delta = dout·out = Σ w_j dw_j:
 * dw_j = f_j dout·v_j; ds_j = w_j (dw_j - delta); dq = scale Σ ds_j k_j; dk_j += scale ds_j q; dv_j += f_j w_j dout.
 *
 * @param options.out as {@link attention} returned it; so is lse
 * @param options.dout [T, A, D]
 * @returns dqkv [T, 3, A, D]
 */
export function attentionBackward(
  options: AttentionOptions & {
    out: ArrayLike<number>
    lse: ArrayLike<number>
    dout: ArrayLike<number>
  },
): Float64Array {
  checkAttention('attentionBackward', options)
  const { qkv, keyMask, cuSeqlens, out, lse, dout, T, A, D, scale = 1 / Math.sqrt(D) } = options
  const dqkv = new Float64Array(T * 3 * A * D)
  for (let b = 0; b + 1 < cuSeqlens.length; b++) {
    const [start, end] = [cuSeqlens[b]!, cuSeqlens[b + 1]!]
    for (let t = start; t < end; t++) {
      for (let a = 0; a < A; a++) {
        const q = at(t, 0, a, A, D)
        const o = (t * A + a) * D
        const delta = dot(dout, o, out, o, D)
        for (let j = 0; j < end - start; j++) {
          if (keyMask[start + j] === 0) continue
          const k = at(start + j, 1, a, A, D)
          const v = at(start + j, 2, a, A, D)
          const weight = Math.exp(scale * dot(qkv, q, qkv, k, D) - lse[t * A + a]!)
          const factor = weightFactor(t * A + a, j, options)
          const dscore = weight * (factor * dot(dout, o, qkv, v, D) - delta)
          for (let d = 0; d < D; d++) {
            dqkv[q + d]! += scale * dscore * qkv[k + d]!
            dqkv[k + d]! += scale * dscore * qkv[q + d]!
            dqkv[v + d]! += factor * weight * dout[o + d]!
          }
        }
      }
    }
  }
  return dqkv
}

/** Where in [T, 3, A, D] the D numbers of token t, part (0 query, 1 key, 2 value), head a begin. */
function at(t: number, part: number, a: number, A: number, D: number): number {
  return ((t * 3 + part) * A + a) * D
}

/** x[i … i+D-1] · y[j … j+D-1] */
function dot(x: ArrayLike<number>, i: number, y: ArrayLike<number>, j: number, D: number): number {
  let sum = 0
  for (let d = 0; d < D; d++) sum += x[i + d]! * y[j + d]!
  return sum
}

/** Dropout factor of one attention weight: query row t A + a, key j of the row. */
function weightFactor(queryRow: number, j: number, { p = 0, rng = NO_RNG }: AttentionOptions): number {
  if (p === 0) return 1
  const words = philox4x32([queryRow, j >>> 2, rng.step, ATTENTION_STREAM], [rng.seed, rng.layer])
  return dropoutFactor(words[j & 3]!, p)
}

function checkAttention(
  op: string,
  options: AttentionOptions & { [K in 'out' | 'lse' | 'dout']?: ArrayLike<number> },
): void {
  const { qkv, keyMask, cuSeqlens, T, A, D, p = 0, out, lse, dout } = given(op, options)
  expectSizes(op, { T, A })
  expectNumber(`${op}: D`, D, COUNT)
  expectNumber(`${op}: p`, p, BELOW_ONE)
  expectArrays(op, { qkv }, 3 * T * A * D)
  expectArrays(op, { keyMask }, T)
  expectOffsets(op, cuSeqlens, T)
  if (op !== 'attentionBackward') return
  expectArrays(op, { out, dout }, T * A * D)
  expectArrays(op, { lse }, T * A)
}
