/**
 * Puts parts side by side: y[r] = parts[0].x[r], parts[1].x[r], …
 *
 * Source: `torch.cat(parts, dim=1)`
 *
 * @param options.parts each x [rows, width]
 * @returns y [rows, sum of widths]
 */
export function concat({
  parts,
  rows,
}: {
  parts: readonly { x: ArrayLike<number>; width: number }[]
  rows: number
}): Float64Array {
  const y: number[] = []
  for (let r = 0; r < rows; r++) {
    for (const { x, width } of parts) {
      for (let c = 0; c < width; c++) y.push(x[r * width + c]!)
    }
  }
  return Float64Array.from(y)
}

/**
 * Cuts dy back into the parts of {@link concat}.
 *
 * @param options.dy [rows, sum of widths]
 * @returns one dx [rows, width] per width
 */
export function concatBackward({
  dy,
  widths,
  rows,
}: {
  dy: ArrayLike<number>
  widths: readonly number[]
  rows: number
}): Float64Array[] {
  const dxs = widths.map(width => new Float64Array(rows * width))
  let i = 0
  for (let r = 0; r < rows; r++) {
    widths.forEach((width, part) => {
      for (let c = 0; c < width; c++) dxs[part]![r * width + c] = dy[i++]!
    })
  }
  return dxs
}
