import { axisReduce } from '../../kernels/axis_reduce.ts'
import { noGrad } from '../tape.ts'
import { empty, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'

/** The sum of a gradient over what `input` was repeated along, in its shape and dtype. */
export function sumTo(grad: Tensor, { gpu, shape, dtype }: Tensor): Tensor {
  const ahead = grad.shape.length - shape.length
  const axes = grad.shape.flatMap((size, d) =>
    d < ahead || (shape[d - ahead] === 1 && size !== 1) ? [d] : [],
  )
  const out = empty(gpu, shape)
  axisReduce(gpu, {
    kind: 'sum',
    x: grad.view,
    storage: grad.storage,
    shape: grad.shape,
    axes,
    out: out.view,
  })
  if (dtype !== 'f16') return out
  const half = noGrad(() => cast(out, 'f16'))
  out.dispose()
  return half
}
