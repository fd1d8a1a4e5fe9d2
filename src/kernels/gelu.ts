import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import geluWgsl from '../wgsl/gelu.ts'
import normalCdf from '../wgsl/normal_cdf.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { byStorage, formOf, STORAGE_WGSL, type Storage, walking } from './width.ts'

const wgsl = normalCdf + STORAGE_WGSL + geluWgsl
const WG = 256
const forward = walking(
  byStorage(
    defineKernel({
      name: 'gelu',
      wgsl,
      entry: 'forward',
      params: { n: 'u32' },
      bindings: ['read', 'write'],
      workgroup: WG,
    }),
  ),
  4,
)
const backward = walking(
  byStorage(
    defineKernel({
      name: 'gelu',
      wgsl,
      entry: 'backward',
      params: { n: 'u32' },
      bindings: ['read', 'read', 'write'],
      workgroup: WG,
    }),
  ),
  4,
)

/**
 * y = GELU(x), exact erf form. x, y: [n], float32 or as `storage` says. Source: Hendrycks and Gimpel 2016; `torch.nn.GELU()`.
 */
export function gelu(gpu: Gpu, options: { x: View; y: View; n: number; storage?: Storage }): void {
  const { x, y, n, storage = 'f32' } = given('gelu', gpu, options)
  expectSizes('gelu', { n })
  expectViews('gelu', { x, y }, n, storage)
  formOf(storage, n)
  const { kernels, per } = forward(gpu.forms.kind)
  gpu.launch(kernels[storage], { n }, [x, y], Math.ceil(n / (WG * 4 * per)))
}

/** dx = dy * GELU'(x). x, dy, dx: [n], stored alike; overwrites dx. */
export function geluBackward(
  gpu: Gpu,
  options: { x: View; dy: View; dx: View; n: number; storage?: Storage },
): void {
  const { x, dy, dx, n, storage = 'f32' } = given('geluBackward', gpu, options)
  expectSizes('geluBackward', { n })
  expectViews('geluBackward', { x, dy, dx }, n, storage)
  formOf(storage, n)
  const { kernels, per } = backward(gpu.forms.kind)
  gpu.launch(kernels[storage], { n }, [x, dy, dx], Math.ceil(n / (WG * 4 * per)))
}
