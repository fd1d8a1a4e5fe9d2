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
export function crossAttention(options: CrossAttentionOptions): { out: Float64Array; lse: Float64Array } {
  const { q, v, D } = options
  const out = new Float64Array(q.length)
  const lse = new Float64Array(q.length / D)
  for (const { at, keys } of queries(options)) {
    const top = Math.max(...keys.map(({ score }) => score))
    const total = keys.reduce((sum, { score }) => sum + Math.exp(score - top), 0)
    lse[at / D] = top + Math.log(total)
    for (const key of keys)
      for (let d = 0; d < D; d++) out[at + d]! += (Math.exp(key.score - top) / total) * v[key.at + d]!
  }
  return { out, lse }
}

/**
 * Its gradients: out and lse are its results, dout [Tq, A, D] the gradient of out.
 *
 * @returns dq [Tq, A, D], dk and dv [Tk, A, D]
 */
export function crossAttentionBackward({
  out,
  lse,
  dout,
  ...options
}: CrossAttentionOptions & {
  out: ArrayLike<number>
  lse: ArrayLike<number>
  dout: ArrayLike<number>
}): { dq: Float64Array; dk: Float64Array; dv: Float64Array } {
  const { q, k, v, D } = options
  const dq = new Float64Array(q.length)
  const [dk, dv] = [new Float64Array(k.length), new Float64Array(v.length)]
  const inner = (x: ArrayLike<number>, at: number, y: ArrayLike<number>, from: number) => {
    let sum = 0
    for (let d = 0; d < D; d++) sum += x[at + d]! * y[from + d]!
    return sum
  }
  for (const { at, keys } of queries(options)) {
    const delta = inner(dout, at, out, at)
    for (const key of keys) {
      const weight = Math.exp(key.score - lse[at / D]!)
      const dscore = (weight * (inner(dout, at, v, key.at) - delta)) / Math.sqrt(D)
      for (let d = 0; d < D; d++) {
        dq[at + d]! += dscore * k[key.at + d]!
        dk[key.at + d]! += dscore * q[at + d]!
        dv[key.at + d]! += weight * dout[at + d]!
      }
    }
  }
  return { dq, dk, dv }
}

/** Where each query's head begins that has a key, and of its keys where their heads begin, and its scores with them. */
function* queries({
  q,
  k,
  queryStarts,
  keyStarts,
  A,
  D,
  causal = false,
  keyMask,
}: CrossAttentionOptions): Generator<{ at: number; keys: { at: number; score: number }[] }> {
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
        if (keys.length) yield { at: (t * A + a) * D, keys }
      }
    }
  }
}
