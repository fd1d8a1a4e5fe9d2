import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/elementwise.ts'
import { byWidth, widthOf } from './width.ts'

const WG = 256
const GROUP = WG * 4 // E a workgroup covers
const kernel = (entry: string, bindings: Access[]) =>
  byWidth(
    defineKernel({
      name: 'elementwise',
      wgsl,
      entry,
      params: { n: 'u32', factor: 'f32' },
      bindings,
      workgroup: WG,
    }),
  )
const kernels = {
  add: kernel('add', ['read', 'read', 'write']),
  addInto: kernel('add_into', ['read', 'write']),
  scale: kernel('scale', ['read', 'write']),
  scaleBy: kernel('scale_by', ['read', 'read', 'write']),
  fill: kernel('fill', ['write']),
}

function launch(gpu: Gpu, name: keyof typeof kernels, n: number, views: View[], factor = 0): void {
  if (n === 0) return
  const width = widthOf(n)
  gpu.launch(kernels[name][width], { n: n / width, factor }, views, Math.ceil(n / width / GROUP))
}

/** out = a + b. a, b, out: [n] float32; out is another buffer than a and b. */
export function add(gpu: Gpu, { a, b, out, n }: { a: View; b: View; out: View; n: number }): void {
  launch(gpu, 'add', n, [a, b, out])
}

/** into += x. x, into: [n] float32 in two buffers. */
export function addInto(gpu: Gpu, { x, into, n }: { x: View; into: View; n: number }): void {
  launch(gpu, 'addInto', n, [x, into])
}

/** y = factor x, the factor a number. x, y: [n] float32 in two buffers. */
export function scale(gpu: Gpu, { x, y, factor, n }: { x: View; y: View; factor: number; n: number }): void {
  launch(gpu, 'scale', n, [x, y], factor)
}

/** y = factor[0] x, the factor one float32 on the device. x, y: [n] float32; three buffers. */
export function scaleBy(gpu: Gpu, { x, y, factor, n }: { x: View; y: View; factor: View; n: number }): void {
  launch(gpu, 'scaleBy', n, [x, factor, y])
}

/** Sets n float32 to `value`. */
export function fill(gpu: Gpu, { out, value, n }: { out: View; value: number; n: number }): void {
  launch(gpu, 'fill', n, [out], value)
}
