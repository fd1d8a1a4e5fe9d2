import { expectArrays, given } from './checks.ts'

/**
 * y = max(x, 0), element by element.
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.relu.html
 *
 * @param x any shape
 * @returns y, same shape
 */
export function relu(x: ArrayLike<number>): Float64Array {
  expectArrays('relu', { x })
  const y = new Float64Array(x.length)
  for (let i = 0; i < x.length; i++) y[i] = Math.max(x[i]!, 0)
  return y
}

/**
 * dx = dy where y > 0, else 0 (so 0 at x = 0, as PyTorch has it).
 *
 * @param options.y the output of {@link relu}: its sign says all the backward pass needs
 * @param options.dy same shape
 * @returns dx, same shape
 */
export function reluBackward(options: { y: ArrayLike<number>; dy: ArrayLike<number> }): Float64Array {
  const { y, dy } = given('reluBackward', options)
  expectArrays('reluBackward', { y })
  expectArrays('reluBackward', { dy }, y.length)
  const dx = new Float64Array(y.length)
  for (let i = 0; i < y.length; i++) dx[i] = y[i]! > 0 ? dy[i]! : 0
  return dx
}
