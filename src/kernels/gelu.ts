import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import geluWgsl from '../wgsl/gelu.ts'
import normalCdf from '../wgsl/normal_cdf.ts'
import { byStorage, formOf, STORAGE_WGSL, type Storage } from './width.ts'

const wgsl = normalCdf + STORAGE_WGSL + geluWgsl
const WG = 256
const GROUP = WG * 4 * 4 // elements a workgroup covers
const forward = byStorage(
  defineKernel({
    name: 'gelu',
    wgsl,
    entry: 'forward',
    params: { n: 'u32' },
    bindings: ['read', 'write'],
    workgroup: WG,
  }),
)
const backward = byStorage(
  defineKernel({
    name: 'gelu',
    wgsl,
    entry: 'backward',
    params: { n: 'u32' },
    bindings: ['read', 'read', 'write'],
    workgroup: WG,
  }),
)

/**
 * y = GELU(x), exact erf form. x, y: [n], float32 or as `storage` says. Source: Hendrycks and Gimpel 2016; `torch.nn.GELU()`.
 */
export function gelu(
  gpu: Gpu,
  { x, y, n, storage = 'f32' }: { x: View; y: View; n: number; storage?: Storage },
): void {
  formOf(storage, n)
  gpu.launch(forward[storage], { n }, [x, y], Math.ceil(n / GROUP))
}

/** dx = dy * GELU'(x). x, dy, dx: [n], stored alike; overwrites dx. */
export function geluBackward(
  gpu: Gpu,
  { x, dy, dx, n, storage = 'f32' }: { x: View; dy: View; dx: View; n: number; storage?: Storage },
): void {
  formOf(storage, n)
  gpu.launch(backward[storage], { n }, [x, dy, dx], Math.ceil(n / GROUP))
}
