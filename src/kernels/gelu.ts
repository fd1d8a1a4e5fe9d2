import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import geluWgsl from '../wgsl/gelu.ts'
import normalCdf from '../wgsl/normal_cdf.ts'

const wgsl = normalCdf + geluWgsl
const WG = 256
const GROUP = WG * 4 * 4 // elements a workgroup covers
const forward = defineKernel({
  name: 'gelu',
  wgsl,
  entry: 'forward',
  params: { n: 'u32' },
  bindings: ['read', 'write'],
  workgroup: WG,
})
const backward = defineKernel({
  name: 'gelu',
  wgsl,
  entry: 'backward',
  params: { n: 'u32' },
  bindings: ['read', 'read', 'write'],
  workgroup: WG,
})

/** y = GELU(x), exact erf form. x, y: [n] float32. Source: Hendrycks and Gimpel 2016; `torch.nn.GELU()`. */
export function gelu(gpu: Gpu, { x, y, n }: { x: View; y: View; n: number }): void {
  gpu.launch(forward, { n }, [x, y], Math.ceil(n / GROUP))
}

/** dx = dy * GELU'(x). x, dy, dx: [n] float32; overwrites dx. */
export function geluBackward(gpu: Gpu, { x, dy, dx, n }: { x: View; dy: View; dx: View; n: number }): void {
  gpu.launch(backward, { n }, [x, dy, dx], Math.ceil(n / GROUP))
}
