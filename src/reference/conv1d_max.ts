import { expectArrays, expectOffsets, expectSizes, given } from './checks.ts'

interface Windows {
  x: ArrayLike<number>
  weight: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  I: number
  F: number
  W: number
}

/** No window. */
const NONE = 0xffffffff

function checked(op: string, options: Windows): Windows & { B: number; T: number } {
  const { x, weight, cuSeqlens, I, F, W } = given(op, options)
  expectSizes(op, { I, F, W })
  expectArrays(op, { x, cuSeqlens })
  expectArrays(op, { weight }, F * I * W)
  const T = x.length / Math.max(I, 1)
  expectOffsets(op, cuSeqlens, T)
  return { x, weight, cuSeqlens, I, F, W, B: cuSeqlens.length - 1, T }
}

/**
 * Windows of W tokens over packed rows, ReLU, and the largest over each row: the CNN encoder of texts. A row of fewer than W tokens gives 0.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html; Kim 2014, Convolutional Neural Networks for Sentence Classification
 *
 * @param options.x [T, I]
 * @param options.weight [F, I, W]
 * @param options.bias [F]
 * @param options.cuSeqlens [B + 1], row b is tokens cuSeqlens[b] … cuSeqlens[b + 1] - 1
 * @returns y [B, F]; at [B, F], the first token of the first window that has the largest value, 0xffffffff where none is above 0
 */
export function conv1dMax(options: {
  x: ArrayLike<number>
  weight: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  I: number
  F: number
  W: number
  bias: ArrayLike<number>
}): {
  y: Float64Array
  at: Uint32Array
} {
  const { x, weight, cuSeqlens, I, F, W, B } = checked('conv1dMax', options)
  const { bias } = options
  expectArrays('conv1dMax', { bias }, F)
  const y = new Float64Array(B * F)
  const at = new Uint32Array(B * F).fill(NONE)
  for (let b = 0; b < B; b++)
    for (let f = 0; f < F; f++)
      for (let t = cuSeqlens[b]!; t + W <= cuSeqlens[b + 1]!; t++) {
        let v = bias[f]!
        for (let i = 0; i < I; i++)
          for (let k = 0; k < W; k++) v += weight[(f * I + i) * W + k]! * x[(t + k) * I + i]!
        if (!(v > y[b * F + f]!)) continue
        y[b * F + f] = v
        at[b * F + f] = t
      }
  return { y, at }
}

/**
 * The gradient of {@link conv1dMax}: of equal largest windows the first has all of it.
 *
 * @param options.at what {@link conv1dMax} gave
 * @param options.dy [B, F]
 * @returns dx [T, I], dweight [F, I, W], dbias [F]
 */
export function conv1dMaxBackward(options: {
  x: ArrayLike<number>
  weight: ArrayLike<number>
  cuSeqlens: ArrayLike<number>
  I: number
  F: number
  W: number
  at: ArrayLike<number>
  dy: ArrayLike<number>
}): {
  dx: Float64Array
  dweight: Float64Array
  dbias: Float64Array
} {
  const { x, weight, I, F, W, B, T } = checked('conv1dMaxBackward', options)
  const { at, dy } = options
  expectArrays('conv1dMaxBackward', { at, dy }, B * F)
  const [dx, dweight, dbias] = [new Float64Array(T * I), new Float64Array(F * I * W), new Float64Array(F)]
  for (let unit = 0; unit < B * F; unit++) {
    const [f, t, d] = [unit % F, at[unit]!, dy[unit]!]
    if (t === NONE) continue
    dbias[f]! += d
    for (let i = 0; i < I; i++)
      for (let k = 0; k < W; k++) {
        dweight[(f * I + i) * W + k]! += d * x[(t + k) * I + i]!
        dx[(t + k) * I + i]! += d * weight[(f * I + i) * W + k]!
      }
  }
  return { dx, dweight, dbias }
}
