/**
 * Where the k largest values are along the middle dimension, the largest first; of equal ones the first, and NaN before all.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.topk.html
 *
 * @param options.x [O, R, I]
 * @returns indices [O, k, I]
 */
export function topK({
  x,
  O,
  R,
  I,
  k,
}: {
  x: ArrayLike<number>
  O: number
  R: number
  I: number
  k: number
}): Uint32Array {
  const indices = new Uint32Array(O * k * I)
  for (let o = 0; o < O; o++) {
    for (let i = 0; i < I; i++) {
      const value = (r: number) => {
        const v = x[(o * R + r) * I + i]!
        return Number.isNaN(v) ? Number.POSITIVE_INFINITY : v
      }
      const isNone = (r: number) => Number(Number.isNaN(x[(o * R + r) * I + i]!))
      const order = Array.from({ length: R }, (_, r) => r)
      order.sort((a, b) => isNone(b) - isNone(a) || (value(a) === value(b) ? a - b : value(b) - value(a)))
      for (let j = 0; j < k; j++) indices[(o * k + j) * I + i] = order[j]!
    }
  }
  return indices
}
