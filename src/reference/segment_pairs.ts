interface Pairs {
  kind: 'count' | 'weights' | 'swaps'
  x: ArrayLike<number>
  labels: ArrayLike<number>
  values: ArrayLike<number>
  starts: ArrayLike<number>
}

/** Visits every pair of a segment's rows with labels[i] > labels[j], and what it counts. */
function pairs(
  { kind, labels, values, starts }: Pairs,
  visit: (i: number, j: number, weight: number) => void,
): void {
  for (let b = 0; b + 1 < starts.length; b++)
    for (let i = starts[b]!; i < starts[b + 1]!; i++)
      for (let j = starts[b]!; j < starts[b + 1]!; j++) {
        const gap = labels[i]! - labels[j]!
        if (!(gap > 0)) continue
        const weight = {
          count: 1,
          weights: values[j]!,
          swaps: gap * Math.abs(values[i]! - values[j]!),
        }[kind]
        visit(i, j, weight)
      }
}

/**
 * Of each row, the sum over the rows of its segment with a smaller label of w log(1 + exp(x[j] - x[i])).
 *
 * Source: Burges, From RankNet to LambdaRank to LambdaMART, 2010.
 *
 * @param options.x [N], and labels and values of that shape
 * @param options.starts [B + 1]; segment b is the rows starts[b] to starts[b + 1] - 1
 * @returns [N]
 */
export function segmentPairs(options: Pairs): Float64Array {
  const { x } = options
  const y = new Float64Array(x.length)
  pairs(options, (i, j, weight) => {
    const d = x[j]! - x[i]!
    y[i]! += weight * (Math.max(d, 0) + Math.log1p(Math.exp(-Math.abs(d))))
  })
  return y
}

/** The gradient of {@link segmentPairs}: dx [N], of dy [N]. Labels and values are constants. */
export function segmentPairsBackward({ dy, ...options }: Pairs & { dy: ArrayLike<number> }): Float64Array {
  const { x } = options
  const dx = new Float64Array(x.length)
  pairs(options, (i, j, weight) => {
    const slope = (dy[i]! * weight) / (1 + Math.exp(x[i]! - x[j]!))
    dx[j]! += slope
    dx[i]! -= slope
  })
  return dx
}

/** 1 / log2(1 + rank) of each row in its segment, the largest x first and equal ones in their order; 0 behind rank k. [N]. */
export function segmentDiscounts({
  x,
  starts,
  k,
}: Pick<Pairs, 'x' | 'starts'> & { k: number }): Float64Array {
  const y = new Float64Array(x.length)
  for (let b = 0; b + 1 < starts.length; b++) {
    const rows = Array.from({ length: starts[b + 1]! - starts[b]! }, (_, i) => starts[b]! + i)
    rows.sort((p, q) => x[q]! - x[p]! || p - q)
    for (const [i, row] of rows.entries()) y[row] = i < k ? 1 / Math.log2(2 + i) : 0
  }
  return y
}
