import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/relu.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { byWidth, formOf, STORAGE_WGSL, type Storage, walking, widthOf } from './width.ts'

const WG = 256
const forward = walking(
  byWidth(
    defineKernel({
      name: 'relu',
      wgsl: STORAGE_WGSL + wgsl,
      entry: 'forward',
      params: { n: 'u32' },
      bindings: ['read', 'write'],
      workgroup: WG,
    }),
  ),
  4,
)
const backward = walking(
  byWidth(
    defineKernel({
      name: 'relu',
      wgsl: STORAGE_WGSL + wgsl,
      entry: 'backward',
      params: { n: 'u32' },
      bindings: ['read', 'read', 'write'],
      workgroup: WG,
    }),
  ),
  4,
)

/** y = max(x, 0). x, y: [n], float32 or as `storage` says. Source: `torch.nn.functional.relu`. */
export function relu(gpu: Gpu, options: { x: View; y: View; n: number; storage?: Storage }): void {
  const { x, y, n, storage } = given('relu', gpu, options)
  expectSizes('relu', { n })
  expectViews('relu', { x, y }, n, storage)
  if (n === 0) return
  const width = widthOf(n)
  const { kernels, per } = forward(gpu.forms.kind)
  gpu.launch(kernels[formOf(storage, n)], { n: n / width }, [x, y], Math.ceil(n / width / (WG * per)))
}

/** dx = dy where y > 0, else 0; y is the forward's output. y, dy, dx: [n], stored alike; overwrites dx. */
export function reluBackward(
  gpu: Gpu,
  options: { y: View; dy: View; dx: View; n: number; storage?: Storage },
): void {
  const { y, dy, dx, n, storage } = given('reluBackward', gpu, options)
  expectSizes('reluBackward', { n })
  expectViews('reluBackward', { y, dy, dx }, n, storage)
  if (n === 0) return
  const width = widthOf(n)
  const { kernels, per } = backward(gpu.forms.kind)
  gpu.launch(kernels[formOf(storage, n)], { n: n / width }, [y, dy, dx], Math.ceil(n / width / (WG * per)))
}
