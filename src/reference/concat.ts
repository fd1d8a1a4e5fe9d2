import { shown } from '../check.ts'
import { ArgumentError } from '../errors.ts'
import { expectArrays, expectSizes, given } from './checks.ts'

/**
 * Puts parts side by side: y[r] = parts[0].x[r], parts[1].x[r], …
 *
 * Source: `torch.cat(parts, dim=1)`
 *
 * @param options.parts each x [rows, width]
 * @returns y [rows, sum of widths]
 */
export function concat(options: {
  parts: readonly { x: ArrayLike<number>; width: number }[]
  rows: number
}): Float64Array {
  const { parts, rows } = given('concat', options)
  expectSizes('concat', { rows })
  if (!Array.isArray(parts)) throw new ArgumentError(`concat: parts is ${shown(parts)}, expected an array`)
  for (const [i, { x, width }] of parts.entries())
    expectArrays('concat', { [`parts[${i}].x`]: x }, rows * width)
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
export function concatBackward(options: {
  dy: ArrayLike<number>
  widths: readonly number[]
  rows: number
}): Float64Array[] {
  const { dy, widths, rows } = given('concatBackward', options)
  expectSizes('concatBackward', { rows })
  expectArrays('concatBackward', { widths })
  expectArrays('concatBackward', { dy }, rows * widths.reduce((sum, width) => sum + width, 0))
  const dxs = widths.map(width => new Float64Array(rows * width))
  let i = 0
  for (let r = 0; r < rows; r++) {
    widths.forEach((width, part) => {
      for (let c = 0; c < width; c++) dxs[part]![r * width + c] = dy[i++]!
    })
  }
  return dxs
}
