/** What one value is made of a line of values. */
const REDUCTIONS = {
  sum: (line: readonly number[]) => line.reduce((sum, v) => sum + v, 0),
  max: (line: readonly number[]) => Math.max(...line),
  min: (line: readonly number[]) => Math.min(...line),
  logSumExp: (line: readonly number[]) => {
    const top = Math.max(...line)
    return Math.abs(top) === Number.POSITIVE_INFINITY
      ? top
      : top + Math.log(line.reduce((sum, v) => sum + Math.exp(v - top), 0))
  },
}

/**
 * Sum, largest, smallest or log-sum-exp over some dimensions.
 *
 * Source: https://pytorch.org/docs/stable/torch.html#reduction-ops
 *
 * @param options.kind what is made of the values that meet
 * @param options.x row-major, of `shape`
 * @param options.axes dimensions to reduce over, counted from 0
 * @param options.factor what the result is multiplied by: 1 / n for a mean
 * @returns values of the shape that is left
 */
export function axisReduce({
  kind,
  x,
  shape,
  axes,
  factor = 1,
}: {
  kind: keyof typeof REDUCTIONS
  x: ArrayLike<number>
  shape: readonly number[]
  axes: readonly number[]
  factor?: number
}): Float64Array {
  const kept = shape.map((size, d) => (axes.includes(d) ? 1 : size))
  const lines: number[][] = Array.from({ length: kept.reduce((a, b) => a * b, 1) }, () => [])
  for (let i = 0; i < x.length; i++) {
    let [rest, at, stride] = [i, 0, 1]
    for (let d = shape.length - 1; d >= 0; d--) {
      if (kept[d] !== 1) at += (rest % shape[d]!) * stride
      stride *= kept[d]!
      rest = Math.floor(rest / shape[d]!)
    }
    lines[at]!.push(x[i]!)
  }
  return Float64Array.from(lines, line => factor * REDUCTIONS[kind](line))
}
