import type { View } from '../../gpu/index.ts'
import {
  add as addKernel,
  scaleBy as scaleByKernel,
  scale as scaleKernel,
} from '../../kernels/elementwise.ts'
import { sum as sumKernel } from '../../kernels/reduce.ts'
import { defineOp } from '../define-op.ts'
import { op } from '../tape.ts'
import { alias, type Shape, type Tensor, tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectSame } from './shapes.ts'

/** a + b of one shape; float32 where one of them is. */
export function add(first: Tensor, second: Tensor): Tensor {
  const dtype = first.dtype === 'f16' && second.dtype === 'f16' ? 'f16' : 'f32'
  const [a, b] = [cast(first, dtype), cast(second, dtype)]
  expectSame('add', a, b)
  return op('add', a.gpu, [a, b], ({ gpu, empty }) => {
    const out = empty(a.shape, a.dtype)
    addKernel(gpu, { a: a.view, b: b.view, out: out.view, n: a.size, storage: a.storage })
    return { output: out, backward: dy => [dy, dy] }
  })
}

/** x times a number. */
export const scale = defineOp({
  name: 'scale',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  forward: ({ gpu, x, out }, factor: number) =>
    scaleKernel(gpu, { x: x.view, y: out.view, factor, n: x.size, storage: x.storage }),
  backward: ({ gpu, dout, dx }, factor) =>
    scaleKernel(gpu, { x: dout.view, y: dx.view, factor, n: dx.size, storage: dx.storage }),
})

/** x times a number on the device, the float32 at the start of `factor`; it gets no gradient. */
export const scaleBy = defineOp({
  name: 'scaleBy',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  forward: ({ gpu, x, out }, factor: View) =>
    scaleByKernel(gpu, { x: x.view, y: out.view, factor, n: x.size, storage: x.storage }),
  backward: ({ gpu, dout, dx }, factor) =>
    scaleByKernel(gpu, { x: dout.view, y: dx.view, factor, n: dx.size, storage: dx.storage }),
})

/** Sum of all elements, [1] float32, in a fixed order. */
export function sum(input: Tensor): Tensor {
  const x = cast(input, 'f32')
  return op('sum', x.gpu, [x], ({ gpu, empty }) => {
    const out = empty([1])
    sumKernel(gpu, { x: x.view, out: out.view, n: x.size })
    return {
      output: out,
      backward: dy => {
        const ones = tensor(gpu, new Float32Array(x.size).fill(1), x.shape)
        const dx = empty(x.shape)
        scaleByKernel(gpu, { x: ones.view, y: dx.view, factor: dy.view, n: x.size })
        ones.dispose()
        return [dx]
      },
    }
  })
}

/** Mean of all elements, [1]. */
export const mean = (x: Tensor): Tensor => scale(sum(x), 1 / x.size)

/** The same values under another shape; shares memory. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return op('reshape', x.gpu, [x], () => ({
    output: alias(x, shape),
    backward: dy => [alias(dy, x.shape)],
  }))
}
