import { BELOW_ONE, expectNumber } from '../../check.ts'
import { dropoutBackward, dropout as dropoutKernel } from '../../kernels/dropout.ts'
import { expectRng, expectTensor } from '../checks.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'

/** What a dropout mask is computed from: Philox keyed by seed and layer, counted by step. All are uint32. */
export interface Rng {
  /** One per model. */
  seed: number
  /** Tells masks of one step apart. */
  layer: number
  /** Tells steps apart. */
  step: number
}

/**
 * Zeroes elements with probability p and scales the rest by 1 / (1 - p): `torch.nn.functional.dropout`. The mask is
 * recomputed in the backward pass, never stored.
 */
export function dropout(x: Tensor, p: number, rng: Rng): Tensor {
  expectTensor('dropout', 'x', x)
  expectNumber('dropout: p', p, BELOW_ONE)
  expectRng('dropout: rng', rng)
  return op('dropout', x.gpu, [x], ({ gpu, empty }) => {
    const y = empty(x.shape, x.dtype)
    dropoutKernel(gpu, { x: x.view, y: y.view, p, rng, n: x.size, storage: x.storage })
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape, x.dtype)
        dropoutBackward(gpu, { dy: dy.view, dx: dx.view, p, rng, n: x.size, storage: x.storage })
        return [dx]
      },
    }
  })
}
