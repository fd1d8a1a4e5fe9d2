import { expectOneOf } from '../../check.ts'
import { cast as castKernel } from '../../kernels/cast.ts'
import { expectTensor, FLOATS } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { Tensor } from '../tensor.ts'

const castTo = defineOp({
  name: 'cast',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  shape: ({ x }, dtype: 'f32' | 'f16') => ({ shape: x.shape, dtype }),
  forward: ({ gpu, x, out }, to) => castKernel(gpu, { x: x.view, y: out.view, n: x.size, to }),
  backward: ({ gpu, x, dout, dx }) => castKernel(gpu, { x: dout.view, y: dx.view, n: x.size, to: x.storage }),
})

/**
 * The same values as another dtype: `torch.Tensor.to`. To f16 they are rounded, and infinite from 65520; the gradient
 * comes back in x's dtype. Returns x itself where it has the dtype.
 *
 * @throws ShapeError when x's last dimension is no multiple of 4 and so cannot be f16
 */
export function cast(x: Tensor, dtype: 'f32' | 'f16'): Tensor {
  expectTensor('cast', 'x', x)
  expectOneOf('cast: dtype', dtype, FLOATS)
  if (x.dtype === dtype) return x
  return castTo(x, dtype)
}
