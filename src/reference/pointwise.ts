import { type PointwiseName, pointwiseRow } from '../pointwise.ts'

/** A number, or an array and its shape. */
export type PointwiseArgument = number | { data: ArrayLike<number>; shape: readonly number[] }

/**
 * A function of the table of element-wise functions, over operands that are broadcast as NumPy does.
 *
 * Source: https://numpy.org/doc/stable/user/basics.broadcasting.html, https://pytorch.org/docs/stable/torch.html#pointwise-ops
 *
 * @param name the row's name
 * @param operands as many as the function has, each a number or an array
 * @param options.shape of the result: that of the operands together
 * @param options.p the row's first number, as leakyRelu's slope and clamp's lower bound
 * @param options.q the row's second number
 * @returns values of the result's shape
 */
export function pointwise(
  name: PointwiseName,
  operands: readonly PointwiseArgument[],
  { shape, p = 0, q = 0 }: { shape: readonly number[]; p?: number; q?: number },
): Float64Array {
  const { oracle } = pointwiseRow(name)
  const n = shape.reduce((product, size) => product * size, 1)
  return Float64Array.from({ length: n }, (_, i) =>
    oracle(...operands.map(operand => elementAt(operand, i, shape)), p, q),
  )
}

/** The element of an operand that stands beside element i of the result. */
function elementAt(operand: PointwiseArgument, i: number, shape: readonly number[]): number {
  if (typeof operand === 'number') return operand
  let [rest, at, stride] = [i, 0, 1]
  for (let d = 1; d <= shape.length; d++) {
    const size = shape[shape.length - d]!
    const own = operand.shape[operand.shape.length - d] ?? 1
    if (own !== 1) at += (rest % size) * stride
    stride *= own
    rest = Math.floor(rest / size)
  }
  return operand.data[at]!
}
