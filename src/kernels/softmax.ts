import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/softmax.ts'
import workgroupWgsl from '../wgsl/softmax_workgroup.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { byRow } from './softmax-rows.ts'

const WG = 64
/** Classes from which a GPU has several invocations take a row; with fewer, neighbours' rows are next to each other. */
const LONG = 5

function kernel(entry: string, bindings: Access[]) {
  const declared = { name: 'softmax', entry, params: { rows: 'u32', C: 'u32' }, bindings } as const
  const plain = defineKernel({ ...declared, wgsl })
  const shared = byRow({ ...declared, wgsl: workgroupWgsl })
  return (gpu: Gpu, rows: number, C: number, views: View[]): void => {
    if (rows * C === 0) return
    if (gpu.forms.kind === 'hardware' && C >= LONG) shared(gpu, { rows, C }, views)
    else gpu.launch(plain, { rows, C }, views, Math.ceil(rows / WG))
  }
}
const forward = kernel('forward', ['read', 'write'])
const backward = kernel('backward', ['read', 'read', 'write'])
const logForward = kernel('log_forward', ['read', 'write'])
const logBackward = kernel('log_backward', ['read', 'read', 'write'])

/** y = softmax of each row of x. x, y: [rows, C] float32. Source: `torch.nn.functional.softmax`. */
export function softmax(gpu: Gpu, options: { x: View; y: View; rows: number; C: number }): void {
  const { x, y, rows, C } = given('softmax', gpu, options)
  expectSizes('softmax', { rows, C })
  expectViews('softmax', { x, y }, rows * C)
  forward(gpu, rows, C, [x, y])
}

/** dx = y (dy - Σ dy y), the sum over the row; y is the forward's output. All [rows, C] float32; overwrites dx. */
export function softmaxBackward(
  gpu: Gpu,
  options: { y: View; dy: View; dx: View; rows: number; C: number },
): void {
  const { y, dy, dx, rows, C } = given('softmaxBackward', gpu, options)
  expectSizes('softmaxBackward', { rows, C })
  expectViews('softmaxBackward', { y, dy, dx }, rows * C)
  backward(gpu, rows, C, [y, dy, dx])
}

/** y = the logarithm of each row's softmax. x, y: [rows, C] float32. Source: `torch.nn.functional.log_softmax`. */
export function logSoftmax(gpu: Gpu, options: { x: View; y: View; rows: number; C: number }): void {
  const { x, y, rows, C } = given('logSoftmax', gpu, options)
  expectSizes('logSoftmax', { rows, C })
  expectViews('logSoftmax', { x, y }, rows * C)
  logForward(gpu, rows, C, [x, y])
}

/** dx = dy - exp(y) Σ dy, the sum over the row; y is the forward's output. All [rows, C] float32; overwrites dx. */
export function logSoftmaxBackward(
  gpu: Gpu,
  options: { y: View; dy: View; dx: View; rows: number; C: number },
): void {
  const { y, dy, dx, rows, C } = given('logSoftmaxBackward', gpu, options)
  expectSizes('logSoftmaxBackward', { rows, C })
  expectViews('logSoftmaxBackward', { y, dy, dx }, rows * C)
  logBackward(gpu, rows, C, [y, dy, dx])
}
