import { defineOp, expectSame } from 'kernelgrad/autograd'
import { defineKernel } from 'kernelgrad/gpu'
import { byWidth, formOf, STORAGE_WGSL, widthOf } from 'kernelgrad/kernels'
import { wgsl } from './wgsl.js'

const kernel = (entry, bindings) =>
  byWidth(
    defineKernel({ name: 'swiglu', prelude: STORAGE_WGSL, wgsl, entry, params: { n: 'u32' }, bindings }),
  )
const forward = kernel('forward', ['read', 'read', 'write'])
const backward = kernel('backward', ['read', 'read', 'read', 'write', 'write'])

/** One invocation an element, or four elements; f16 where the tensors are. */
function launch(gpu, forms, [first, ...rest]) {
  const n = first.size / widthOf(first.size)
  const views = [first, ...rest].map(({ view }) => view)
  gpu.launch(forms[formOf(first.storage, first.size)], { n }, views, Math.ceil(n / 64))
}

/**
 * silu(gate) * up, of one shape and dtype: the gated unit of Shazeer 2020 in one launch each way.
 *
 * @throws ShapeError when the shapes differ
 */
export const swiglu = defineOp({
  name: 'swiglu',
  inputs: ['gate', 'up'],
  dtypes: { gate: ['f32', 'f16'], up: ['f32', 'f16'] },
  shape({ gate, up }) {
    expectSame('swiglu', gate, up)
    return gate.shape
  },
  forward: ({ gpu, gate, up, out }) => launch(gpu, forward, [gate, up, out]),
  backward: ({ gpu, gate, up, dout, dgate, dup }) => launch(gpu, backward, [gate, up, dout, dgate, dup]),
})
