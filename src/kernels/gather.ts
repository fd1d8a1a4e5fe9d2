import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/gather.ts'
import { expectSizes, expectView, expectViews, given } from './checks.ts'

const WG = 64
const kernel = (entry: string) =>
  defineKernel({
    name: 'gather',
    wgsl,
    entry,
    params: { n: 'u32', R: 'u32', I: 'u32', K: 'u32' },
    bindings: ['read', 'read', 'write'],
  })
const forward = kernel('forward')
const backward = kernel('backward')

/** x [O, R, I], of which K places along R are taken for every o and i. */
interface Sizes {
  O: number
  R: number
  I: number
  K: number
}

/**
 * y[o, k, i] = x[o, indices[o, k, i], i], NaN where an index is R or more. x: [O, R, I], y: [O, K, I] float32; indices: [O, K, I] uint32.
 * Source: `torch.gather`.
 */
export function gather(gpu: Gpu, options: { x: View; indices: View; y: View } & Sizes): void {
  const { x, indices, y, O, R, I, K } = given('gather', gpu, options)
  const n = O * K * I
  expectSizes('gather', { O, R, I, K })
  expectView('gather', 'x', x, O * R * I)
  expectViews('gather', { indices, y }, n)
  if (n > 0) gpu.launch(forward, { n, R, I, K }, [x, indices, y], Math.ceil(n / WG))
}

/** dx = 0 but where values came from: there the sum of their gradients dy, in the order of k. Overwrites dx [O, R, I]. */
export function gatherBackward(gpu: Gpu, options: { dy: View; indices: View; dx: View } & Sizes): void {
  const { dy, indices, dx, O, R, I, K } = given('gatherBackward', gpu, options)
  expectSizes('gatherBackward', { O, R, I, K })
  expectView('gatherBackward', 'dx', dx, O * R * I)
  expectViews('gatherBackward', { dy, indices }, O * K * I)
  gpu.clear(dx)
  const n = O * I
  if (n * K > 0) gpu.launch(backward, { n, R, I, K }, [dy, indices, dx], Math.ceil(n / WG))
}
