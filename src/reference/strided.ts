/** Where an array's elements are: the first one, and how far it is to the next along each dimension. */
interface Steps {
  offset: number
  strides: readonly number[]
}

/**
 * Moves elements by strides: what transpose, permute, slice, expand and concat come to.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.as_strided.html
 *
 * @param options.x where elements come from, at `from`
 * @param options.y what they are put into, at `to`; left as it is
 * @param options.shape how many there are along each dimension
 * @returns y with the elements in it
 */
export function strided({
  x,
  y,
  shape,
  from,
  to,
}: {
  x: ArrayLike<number>
  y: ArrayLike<number>
  shape: readonly number[]
  from: Steps
  to: Steps
}): Float64Array {
  const out = Float64Array.from(y)
  const n = shape.reduce((product, size) => product * size, 1)
  for (let i = 0; i < n; i++) {
    let [rest, source, goal] = [i, from.offset, to.offset]
    for (let d = shape.length - 1; d >= 0; d--) {
      const c = rest % shape[d]!
      source += c * from.strides[d]!
      goal += c * to.strides[d]!
      rest = Math.floor(rest / shape[d]!)
    }
    out[goal] = x[source]!
  }
  return out
}
