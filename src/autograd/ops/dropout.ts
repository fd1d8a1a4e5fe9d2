import { BELOW_ONE, expectNumber, expectRng } from '../../check.ts'
import { dropoutBackward, dropout as dropoutKernel, type Rng } from '../../kernels/dropout.ts'
import { expectTensor } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { Tensor } from '../tensor.ts'

const dropped = defineOp({
  name: 'dropout',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  forward: ({ gpu, x, out }, given: { p: number; rng: Rng }) =>
    dropoutKernel(gpu, { x: x.view, y: out.view, ...given, n: x.size, storage: x.storage }),
  backward: ({ gpu, x, dout, dx }, given) =>
    dropoutBackward(gpu, { dy: dout.view, dx: dx.view, ...given, n: x.size, storage: x.storage }),
})

/**
 * Zeroes elements with probability p and scales the rest by 1 / (1 - p): `torch.nn.functional.dropout`. The mask is
 * recomputed in the backward pass, never stored.
 */
export function dropout(x: Tensor, p: number, rng: Rng): Tensor {
  expectTensor('dropout', 'x', x)
  expectNumber('dropout: p', p, BELOW_ONE)
  expectRng('dropout: rng', rng)
  return dropped(x, { p, rng })
}
