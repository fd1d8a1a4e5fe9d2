// What the forms of attention over packed rows are told.
import { expectRng } from '../check.ts'
import type { Access, View } from '../gpu/index.ts'
import { rowsForForms } from './batch-forms.ts'
import { dropoutParams, type Rng } from './dropout.ts'
import type { Storage } from './width.ts'

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
  /**
   * Tokens of the longest row, by which a form is chosen; every form takes rows of any length. Twice the mean row unless given. The same
   * for both passes.
   */
  longest?: number | undefined
}

/** What `attentionBackward` takes beside that: dout as out, [T, A D], and dqkv as qkv, [T, 3 A D], which is overwritten. */
export type AttentionBackwardOptions = AttentionOptions & { dout: View; dqkv: View }

export const ATTENTION_PARAMS = {
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
} as const

/** qkv, keyMask, cuSeqlens. */
export const PACKED: Access[] = ['read', 'read', 'read']

const NO_RNG: Rng = { seed: 0, layer: 0, step: 0 }

/** Values of every launch: `width` elements of a head are taken in one. */
export function headValues(
  { A, D, scale = 1 / Math.sqrt(D), p = 0, rng = NO_RNG }: AttentionOptions,
  width: number,
) {
  const { threshold, scale: keep } = dropoutParams(p)
  expectRng('attention: rng', rng)
  const { seed, layer, step } = rng
  return { A, D: D / width, scale, threshold, keep, seed, layer, step }
}

/** The same of one that takes `N` tokens of a row at a time. */
export function packedValues(options: AttentionOptions, N: number, width: number) {
  const B = options.cuSeqlens.size / 4 - 1
  return { ...headValues(options, width), B, slots: Math.floor(options.T / N) + B }
}

/** Tokens of the longest row, or of what is taken for it. */
export function longestRow({ cuSeqlens, T, longest }: AttentionOptions): number {
  return rowsForForms(longest ?? Math.min(T, Math.ceil((2 * T) / Math.max(1, cuSeqlens.size / 4 - 1))))
}

/** Operations of two products over the rows, if they are of a length; the backward pass has twice and thrice as many. */
export const attentionWork = ({ cuSeqlens, T, A, D }: AttentionOptions): number =>
  (2 * T * T * A * D) / Math.max(cuSeqlens.size / 4 - 1, 1)
