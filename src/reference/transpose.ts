/** The transpose of x [R, C]: [C, R]. Source: `torch.t`. */
export function transpose({ x, R, C }: { x: ArrayLike<number>; R: number; C: number }): Float64Array {
  const y = new Float64Array(R * C)
  for (let r = 0; r < R; r++) for (let c = 0; c < C; c++) y[c * R + r] = x[r * C + c]!
  return y
}
