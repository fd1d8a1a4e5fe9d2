/** Queries and keys in packed rows: row b of either side meets row b of the other. */
interface CrossAttentionOptions {
  q: ArrayLike<number>
  k: ArrayLike<number>
  v: ArrayLike<number>
  /** [B + 1] */
  queryStarts: ArrayLike<number>
  /** [B + 1] */
  keyStarts: ArrayLike<number>
  A: number
  D: number
  /** A query sees the keys at its own place of the row and before. */
  causal?: boolean
  /** [Tk], 0 = not a key. */
  keyMask?: ArrayLike<number> | undefined
}

/**
 * Scaled dot-product attention from the tokens of packed rows to those of others.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
 *
 * @param options.q [Tq, A, D]
 * @param options.k [Tk, A, D]
 * @param options.v [Tk, A, D]
 * @returns out [Tq, A, D], 0 where a query has no key; lse [Tq, A], 0 there too
 */
export function crossAttention({
  q,
  k,
  v,
  queryStarts,
  keyStarts,
  A,
  D,
  causal = false,
  keyMask,
}: CrossAttentionOptions): { out: Float64Array; lse: Float64Array } {
  const out = new Float64Array(q.length)
  const lse = new Float64Array(q.length / D)
  for (let b = 0; b + 1 < queryStarts.length; b++) {
    for (let t = queryStarts[b]!; t < queryStarts[b + 1]!; t++) {
      for (let a = 0; a < A; a++) {
        const keys: { at: number; score: number }[] = []
        for (let j = keyStarts[b]!; j < keyStarts[b + 1]!; j++) {
          if (keyMask?.[j] === 0 || (causal && j - keyStarts[b]! > t - queryStarts[b]!)) continue
          const at = (j * A + a) * D
          let score = 0
          for (let d = 0; d < D; d++) score += q[(t * A + a) * D + d]! * k[at + d]!
          keys.push({ at, score: score / Math.sqrt(D) })
        }
        if (!keys.length) continue
        const top = Math.max(...keys.map(({ score }) => score))
        const total = keys.reduce((sum, { score }) => sum + Math.exp(score - top), 0)
        lse[t * A + a] = top + Math.log(total)
        for (const { at, score } of keys)
          for (let d = 0; d < D; d++)
            out[(t * A + a) * D + d]! += (Math.exp(score - top) / total) * v[at + d]!
      }
    }
  }
  return { out, lse }
}
