import { expectOneOf } from '../../check.ts'
import { cast as castKernel } from '../../kernels/cast.ts'
import { expectTensor, FLOATS } from '../checks.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'

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
  const from = x.dtype === 'f16' ? 'f16' : 'f32'
  return op('cast', x.gpu, [x], ({ gpu, empty }) => {
    const y = empty(x.shape, dtype)
    castKernel(gpu, { x: x.view, y: y.view, n: x.size, to: dtype })
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape, from)
        castKernel(gpu, { x: dy.view, y: dx.view, n: x.size, to: from })
        return [dx]
      },
    }
  })
}
