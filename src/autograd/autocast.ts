// Mixed precision in PyTorch's terms. Inside `autocast('f16', …)` the operations that make activations out of parameters
// (linear, embedding) give f16 results where a row is a multiple of four values, and float32 ones otherwise; what follows keeps
// the dtype of its input, except pooling, concatenation, softmax and losses, which give float32. Gradients have the dtype
// of what they are the gradient of: those of parameters are float32.
import { expectOneOf } from '../check.ts'
import { expectNoPromise, expectSynchronous } from './synchronous.ts'
import { type DType, fitsF16, type Shape } from './tensor.ts'

let active: 'f32' | 'f16' = 'f32'

/**
 * Runs `body`, forward passes, with activations in `dtype`: `torch.autocast`. backward() follows what was recorded.
 *
 * @example
 * ```ts
 * import { autocast, scope } from 'kernelgrad'
 *
 * scope(() => autocast('f16', () => model.forward(batch)).loss!.backward())
 * ```
 *
 * @throws ConfigError for another dtype; ArgumentError for an async function, or one that returns a promise other than of `read()`
 */
export function autocast<T>(dtype: 'f32' | 'f16', body: () => T): T {
  expectOneOf('autocast: dtype', dtype, ['f32', 'f16'])
  expectSynchronous('autocast', body)
  const before = active
  active = dtype
  try {
    const result = body()
    expectNoPromise('autocast', result)
    return result
  } finally {
    active = before
  }
}

/** The dtype of an activation of this shape made now. */
export const activationDType = (shape: Shape): DType => (active === 'f16' && fitsF16(shape) ? 'f16' : 'f32')
