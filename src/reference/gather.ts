interface Sizes {
  O: number
  R: number
  I: number
  K: number
}

/**
 * Values of the middle dimension by number.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.gather.html
 *
 * @param options.x [O, R, I]
 * @param options.indices [O, K, I]
 * @returns y [O, K, I]; NaN where an index is R or more
 */
export function gather({
  x,
  indices,
  O,
  R,
  I,
  K,
}: { x: ArrayLike<number>; indices: ArrayLike<number> } & Sizes): Float64Array {
  return Float64Array.from({ length: O * K * I }, (_, at) => {
    const o = Math.floor(at / I / K)
    return indices[at]! < R ? x[(o * R + indices[at]!) * I + (at % I)]! : Number.NaN
  })
}

/**
 * The gradient of {@link gather}: every dy added to where its value came from.
 *
 * @param options.dy [O, K, I]
 * @returns dx [O, R, I]
 */
export function gatherBackward({
  dy,
  indices,
  O,
  R,
  I,
  K,
}: { dy: ArrayLike<number>; indices: ArrayLike<number> } & Sizes): Float64Array {
  const dx = new Float64Array(O * R * I)
  for (let at = 0; at < O * K * I; at++) {
    const o = Math.floor(at / I / K)
    if (indices[at]! < R) dx[(o * R + indices[at]!) * I + (at % I)]! += dy[at]!
  }
  return dx
}
