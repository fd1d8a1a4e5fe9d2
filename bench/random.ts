// Seeded inputs: the same numbers on every machine, never zeros, which some hardware computes faster.

/** Uniform numbers in [0, 1) (mulberry32). */
export function generator(seed: number): () => number {
  let state = (seed + 0x9e3779b9) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The numbers 0 … n - 1 in random order. */
export function permutation(n: number, next: () => number): number[] {
  const order = Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1))
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}

/** B row lengths, uniform over 1 … S: half of the positions of a padded batch are masked. In random order. */
export function rowLengths(B: number, S: number, next: () => number): number[] {
  return permutation(B, next).map(i => 1 + Math.floor(((i + 0.5) * S) / B))
}
