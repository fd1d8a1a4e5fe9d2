import { ShapeError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/topk.ts'
import workgroupWgsl from '../wgsl/topk_workgroup.ts'
import { expectSizes, expectView, given } from './checks.ts'
import { topOfLine } from './topk-line.ts'

const WG = 64
/** Of a GPU: invocations that share a line, values from which they do, and lines that fill it anyway. */
const SHARED_WG = 128
const LONG = 64
const MANY = 16_384
/** Values looked at, k times all, from which one line is selected from by digits. */
const PASSES = 16_384

const declared = {
  name: 'topk',
  entry: 'main',
  params: { n: 'u32', R: 'u32', I: 'u32', k: 'u32' },
  bindings: ['read', 'write'] as Access[],
} as const
const kernel = defineKernel({ ...declared, wgsl })
const shared = defineKernel({ ...declared, wgsl: workgroupWgsl, workgroup: SHARED_WG })

/**
 * indices = where the k largest values of x [O, R, I] are along R, the largest first, of equal ones the first; NaN counts as the
 * largest. x float32, indices [O, k, I] uint32, overwritten; k is at most R. Sources: `torch.topk`, `torch.argmax`.
 */
export function topK(
  gpu: Gpu,
  options: { x: View; indices: View; O: number; R: number; I: number; k: number },
): void {
  const { x, indices, O, R, I, k } = given('topK', gpu, options)
  expectSizes('topK', { O, R, I, k })
  expectView('topK', 'x', x, O * R * I)
  expectView('topK', 'indices', indices, O * k * I)
  if (k > R) throw new ShapeError(`topK: k is ${k}, expected at most R, ${R}`)
  const n = O * I
  if (n * k === 0) return
  if (n === 1 && R * k >= PASSES) topOfLine(gpu, { x, indices, R, k })
  else if (gpu.forms.kind === 'hardware' && R >= LONG && n < MANY)
    gpu.launch(shared, { n, R, I, k }, [x, indices], n)
  else gpu.launch(kernel, { n, R, I, k }, [x, indices], Math.ceil(n / WG))
}
