import { ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/topk.ts'
import { expectSizes, expectView, given } from './checks.ts'

const WG = 64
const kernel = defineKernel({
  name: 'topk',
  wgsl,
  entry: 'main',
  params: { n: 'u32', R: 'u32', I: 'u32', k: 'u32' },
  bindings: ['read', 'write'],
})

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
  if (O * I * k > 0) gpu.launch(kernel, { n: O * I, R, I, k }, [x, indices], Math.ceil((O * I) / WG))
}
