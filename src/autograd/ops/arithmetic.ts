import { expectDims, expectNumber, FINITE, shown } from '../../check.ts'
import { ArgumentError, ShapeError } from '../../errors.ts'
import type { View } from '../../gpu/index.ts'
import {
  add as addKernel,
  scaleBy as scaleByKernel,
  scale as scaleKernel,
} from '../../kernels/elementwise.ts'
import { numel } from '../../kernels/strides.ts'
import { expectTensor, expectTensors } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { op } from '../tape.ts'
import { alias, type Shape, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectSame } from './shapes.ts'

const sumOfTwo = defineOp({
  name: 'add',
  inputs: ['a', 'b'],
  dtypes: { a: ['f32', 'f16'], b: ['f32', 'f16'] },
  forward: ({ gpu, a, b, out }) =>
    addKernel(gpu, { a: a.view, b: b.view, out: out.view, n: a.size, storage: a.storage }),
  backward: ({ dout }) => ({ a: dout, b: dout }),
})

/** a + b of one shape; float32 where one of them is. What `add` is without broadcasting. */
export function addSame(first: Tensor, second: Tensor): Tensor {
  expectTensors('add', { a: first, b: second })
  expectSame('add', first, second)
  const dtype = first.dtype === 'f16' && second.dtype === 'f16' ? 'f16' : 'f32'
  const [a, b] = [cast(first, dtype), cast(second, dtype)]
  return sumOfTwo(a, b)
}

/** x times a number. */
export const scale = defineOp({
  name: 'scale',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  forward({ gpu, x, out }, factor: number) {
    expectNumber('scale: factor', factor, FINITE)
    scaleKernel(gpu, { x: x.view, y: out.view, factor, n: x.size, storage: x.storage })
  },
  backward: ({ gpu, dout, dx }, factor) =>
    scaleKernel(gpu, { x: dout.view, y: dx.view, factor, n: dx.size, storage: dx.storage }),
})

/** x times a number on the device, the float32 at the start of `factor`; it gets no gradient. */
export const scaleBy = defineOp({
  name: 'scaleBy',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  forward({ gpu, x, out }, factor: View) {
    if (!(typeof factor === 'object' && factor !== null && 'buffer' in factor && factor.size >= 4))
      throw new ArgumentError(
        `scaleBy: factor is ${shown(factor)}, expected a view of a float32 on the device`,
      )
    scaleByKernel(gpu, { x: x.view, y: out.view, factor, n: x.size, storage: x.storage })
  },
  backward: ({ gpu, dout, dx }, factor) =>
    scaleByKernel(gpu, { x: dout.view, y: dx.view, factor, n: dx.size, storage: dx.storage }),
})

/**
 * The same values under another shape; shares memory: `torch.reshape`. One size may be -1: it is what is left.
 *
 * @throws ShapeError where the numbers of elements differ
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  expectTensor('reshape', 'x', x, ['f32', 'f16', 'u32'])
  const whole = wholeShape(x, shape)
  expectDims('reshape: shape', whole)
  if (numel(whole) !== x.size) throw new ShapeError(`reshape: cannot view shape [${x.shape}] as [${shape}]`)
  return op('reshape', x.gpu, [x], () => ({
    output: alias(x, whole),
    backward: dy => [alias(dy, x.shape)],
  }))
}

function wholeShape(x: Tensor, shape: Shape): Shape {
  const open = Array.isArray(shape) ? shape.indexOf(-1) : -1
  if (open < 0) return shape
  const rest = shape.reduce((product, size, d) => (d === open ? product : product * size), 1)
  const size = x.size / rest
  if (!Number.isInteger(size) || shape.lastIndexOf(-1) !== open)
    throw new ShapeError(`reshape: [${x.shape}] has ${x.size} elements and cannot be seen as [${shape}]`)
  return shape.with(open, size)
}
