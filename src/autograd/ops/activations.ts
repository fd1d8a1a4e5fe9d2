import { geluBackward, gelu as geluKernel } from '../../kernels/gelu.ts'
import { reluBackward, relu as reluKernel } from '../../kernels/relu.ts'
import { softmaxBackward, softmax as softmaxKernel } from '../../kernels/softmax.ts'
import { expectTensor } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { rowsAndColumns } from './shapes.ts'

/** GELU in its exact erf form: `torch.nn.functional.gelu`. */
export const gelu = defineOp({
  name: 'gelu',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  forward: ({ gpu, x, out }) => geluKernel(gpu, { x: x.view, y: out.view, n: x.size, storage: x.storage }),
  backward: ({ gpu, x, dout, dx }) =>
    geluBackward(gpu, { x: x.view, dy: dout.view, dx: dx.view, n: x.size, storage: x.storage }),
})

/** max(x, 0): `torch.nn.functional.relu`. */
export const relu = defineOp({
  name: 'relu',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  forward: ({ gpu, x, out }) => reluKernel(gpu, { x: x.view, y: out.view, n: x.size, storage: x.storage }),
  backward: ({ gpu, x, out, dout, dx }) =>
    reluBackward(gpu, { y: out.view, dy: dout.view, dx: dx.view, n: x.size, storage: x.storage }),
})

const softmaxRows = defineOp({
  name: 'softmax',
  inputs: ['x'],
  dtypes: { x: ['f32'] },
  forward({ gpu, x, out }) {
    const [rows, C] = rowsAndColumns(x)
    softmaxKernel(gpu, { x: x.view, y: out.view, rows, C })
  },
  backward({ gpu, out, dout, dx }) {
    const [rows, C] = rowsAndColumns(out)
    softmaxBackward(gpu, { y: out.view, dy: dout.view, dx: dx.view, rows, C })
  },
})

/** Softmax over the last dimension, float32: `torch.nn.functional.softmax(x, -1)`. */
export function softmax(x: Tensor): Tensor {
  expectTensor('softmax', 'x', x)
  return softmaxRows(cast(x, 'f32'))
}
