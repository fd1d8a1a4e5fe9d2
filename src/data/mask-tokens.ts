/** Tokens hidden for masked-language training, after BERT (Devlin et al. 2019) and transformers' collator. */
import { groupIds, type Take } from '../ids.ts'
import type { CollatedTokens, MaskedInput, MaskedTokens, TextInput } from '../inputs.ts'
import { randomStream } from './shuffle.ts'

/** Of the chosen tokens, those that the mask's id replaces; of the rest, those that become a random token. */
const [REPLACED, RANDOM] = [0.8, 0.5]
/** Keeps these draws apart from those of other purposes under the same seed. */
const PURPOSE = 0x6d61736b

/** What the draws of a batch follow from. */
export interface MaskSeed {
  seed: number
  epoch: number
  /** [B] row numbers in the source. */
  rows: readonly number[]
}

/**
 * Chooses the tokens to predict, each with the probability declared, and what stands in their places: the mask (80%), a random token
 * that is neither special, padding nor mask (10%), or itself (10%). Padding, the mask and special tokens are never chosen. A row's draws
 * follow from seed, epoch and row alone, whatever else is in the batch. With `alwaysMask`, the mask stands for all of them; with `segments`, only
 * tokens of these are chosen.
 */
export function maskTokens(
  { inputIds, cuSeqlens, keyMask, typeIds }: CollatedTokens,
  { probability, maskTokenId, specialTokenIds, alwaysMask, segments }: MaskedInput,
  { rows: words, padTokenId }: TextInput,
  { seed, epoch, rows }: MaskSeed,
  take: Take = n => new Uint32Array(n),
): MaskedTokens {
  const { ids } = inputIds
  const kept = new Set([padTokenId, maskTokenId, ...specialTokenIds])
  const masked = take(ids.length)
  const positions = take(ids.length)
  const labels = take(ids.length)
  masked.set(ids)
  let n = 0
  for (let b = 0; b + 1 < cuSeqlens.length; b++) {
    const random = randomStream(seed, epoch, rows[b]!, PURPOSE)
    for (let t = cuSeqlens[b]!; t < cuSeqlens[b + 1]!; t++) {
      const id = ids[t]!
      if (segments && !segments.includes(typeIds?.[t] ?? 0)) continue
      if (!keyMask[t] || kept.has(id) || random.uniform() >= probability) continue
      positions[n] = t
      labels[n++] = id
      if (alwaysMask || random.uniform() < REPLACED) masked[t] = maskTokenId
      else if (random.uniform() < RANDOM) masked[t] = realToken(random.below, words, kept)
    }
  }
  return {
    inputIds: groupIds(masked, padTokenId, take),
    positions: positions.subarray(0, n),
    labels: labels.subarray(0, n),
  }
}

/** A token of those that are neither padding, mask nor special. */
function realToken(below: (n: number) => number, words: number, kept: ReadonlySet<number>): number {
  for (;;) {
    const id = below(words)
    if (!kept.has(id)) return id
  }
}
