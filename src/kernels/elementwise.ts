import { expectNumber, FINITE } from '../check.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/elementwise.ts'
import { expectSizes, expectViews, float32Bits, given } from './checks.ts'
import { byWidth, formOf, STORAGE_WGSL, type Storage, walking, widthOf } from './width.ts'

const WG = 256
const kernel = (entry: string, bindings: Access[]) =>
  walking(
    byWidth(
      defineKernel({
        name: 'elementwise',
        wgsl: STORAGE_WGSL + wgsl,
        entry,
        params: { n: 'u32', factor: 'f32', bits: 'u32' },
        bindings,
        workgroup: WG,
      }),
    ),
    4,
  )
const kernels = {
  add: kernel('add', ['read', 'read', 'write']),
  addInto: kernel('add_into', ['read', 'write']),
  scale: kernel('scale', ['read', 'write']),
  scaleBy: kernel('scale_by', ['read', 'read', 'write']),
  fill: kernel('fill', ['write']),
}

function launch(
  gpu: Gpu,
  name: keyof typeof kernels,
  { n, storage }: { n: number; storage?: Storage | undefined },
  views: View[],
  factor = 0,
  bits = 0,
): void {
  if (n === 0) return
  const width = widthOf(n)
  const { kernels: forms, per } = kernels[name](gpu.forms.kind)
  const kernel = forms[formOf(storage, n)]
  gpu.launch(kernel, { n: n / width, factor, bits }, views, Math.ceil(n / width / (WG * per)))
}

/** Arrays of n values, float32 unless `storage` says f16. */
interface Sized {
  n: number
  storage?: Storage | undefined
}

function expectSized(op: string, views: Record<string, View>, { n, storage }: Sized): void {
  expectSizes(op, { n })
  expectViews(op, views, n, storage)
}

/** out = a + b. a, b, out: [n]; out is another buffer than a and b. */
export function add(gpu: Gpu, options: { a: View; b: View; out: View } & Sized): void {
  const { a, b, out, ...size } = given('add', gpu, options)
  expectSized('add', { a, b, out }, size)
  launch(gpu, 'add', size, [a, b, out])
}

/** into += x. x, into: [n] in two buffers. */
export function addInto(gpu: Gpu, options: { x: View; into: View } & Sized): void {
  const { x, into, ...size } = given('addInto', gpu, options)
  expectSized('addInto', { x, into }, size)
  launch(gpu, 'addInto', size, [x, into])
}

/** y = factor x, the factor a number. x, y: [n] in two buffers. */
export function scale(gpu: Gpu, options: { x: View; y: View; factor: number } & Sized): void {
  const { x, y, factor, ...size } = given('scale', gpu, options)
  expectSized('scale', { x, y }, size)
  expectNumber('scale: factor', factor, FINITE)
  launch(gpu, 'scale', size, [x, y], factor)
}

/** y = factor[0] x, the factor one float32 on the device. x, y: [n]; three buffers. */
export function scaleBy(gpu: Gpu, options: { x: View; y: View; factor: View } & Sized): void {
  const { x, y, factor, ...size } = given('scaleBy', gpu, options)
  expectSized('scaleBy', { x, y }, size)
  expectViews('scaleBy', { factor }, 1)
  launch(gpu, 'scaleBy', size, [x, factor, y])
}

/** Sets n float32 to `value`, which may be infinite. */
export function fill(gpu: Gpu, options: { out: View; value: number; n: number }): void {
  const { out, value, n } = given('fill', gpu, options)
  expectSized('fill', { out }, { n })
  launch(gpu, 'fill', { n }, [out], 0, float32Bits('fill: value', value))
}
