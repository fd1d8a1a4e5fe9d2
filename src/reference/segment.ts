interface Segments {
  kind: 'sum' | 'mean' | 'max' | 'logSumExp' | 'softmax' | 'logSoftmax'
  starts: ArrayLike<number>
  I: number
}

/**
 * One value, or one distribution, for each segment of rows, column by column.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.segment_reduce.html
 *
 * @param options.x [N, I]
 * @param options.starts [B + 1]; segment b is the rows starts[b] to starts[b + 1] - 1
 * @returns [B, I], or for softmax and logSoftmax [N, I]
 */
export function segment({ kind, x, starts, I }: Segments & { x: ArrayLike<number> }): Float64Array {
  const B = starts.length - 1
  const y = new Float64Array(kind === 'softmax' || kind === 'logSoftmax' ? x.length : B * I)
  for (let b = 0; b < B; b++) {
    for (let i = 0; i < I; i++) {
      const places: number[] = []
      for (let r = starts[b]!; r < starts[b + 1]!; r++) places.push(r * I + i)
      const line = places.map(place => x[place]!)
      const top = Math.max(...line)
      const sum = line.reduce((sum, v) => sum + v, 0)
      const total = line.reduce((sum, v) => sum + Math.exp(v - top), 0)
      if (kind === 'softmax') for (const place of places) y[place] = Math.exp(x[place]! - top) / total
      else if (kind === 'logSoftmax') for (const place of places) y[place] = x[place]! - top - Math.log(total)
      else if (kind === 'sum') y[b * I + i] = sum
      else if (kind === 'mean') y[b * I + i] = sum / Math.max(line.length, 1)
      else y[b * I + i] = kind === 'max' || !Number.isFinite(top) ? top : top + Math.log(total)
    }
  }
  return y
}

/**
 * The gradient of {@link segment}. Equal largest values share that of a maximum evenly.
 *
 * @param options.y the result
 * @param options.dy of y's shape
 * @returns dx [N, I]
 */
export function segmentBackward({
  kind,
  x,
  y,
  dy,
  starts,
  I,
}: Segments & { x: ArrayLike<number>; y: ArrayLike<number>; dy: ArrayLike<number> }): Float64Array {
  const dx = new Float64Array(x.length)
  for (let b = 0; b + 1 < starts.length; b++) {
    for (let i = 0; i < I; i++) {
      const places: number[] = []
      for (let r = starts[b]!; r < starts[b + 1]!; r++) places.push(r * I + i)
      const of = b * I + i
      const along = kind === 'softmax' ? places.reduce((sum, place) => sum + dy[place]! * y[place]!, 0) : 0
      const whole = kind === 'logSoftmax' ? places.reduce((sum, place) => sum + dy[place]!, 0) : 0
      const tied = places.filter(place => x[place] === y[of]).length
      for (const place of places) {
        if (kind === 'softmax') dx[place] = y[place]! * (dy[place]! - along)
        else if (kind === 'logSoftmax') dx[place] = dy[place]! - Math.exp(y[place]!) * whole
        else if (kind === 'sum') dx[place] = dy[of]!
        else if (kind === 'mean') dx[place] = dy[of]! / places.length
        else if (kind === 'max') dx[place] = x[place] === y[of] ? dy[of]! / tied : 0
        else dx[place] = Number.isFinite(y[of]) ? dy[of]! * Math.exp(x[place]! - y[of]!) : 0
      }
    }
  }
  return dx
}
