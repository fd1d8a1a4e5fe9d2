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
const fours = kernel('fours')
const backward = kernel('backward')
const backwardEach = kernel('backward_each')
/** Lanes that keep a GPU busy, and comparisons that take it less time than a chain of additions in memory. */
const [ENOUGH, CHEAP] = [4096, 2 ** 26]

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
  if (n === 0) return
  const four = gpu.forms.kind === 'hardware' && n % 4 === 0
  gpu.launch(four ? fours : forward, { n, R, I, K }, [x, indices, y], Math.ceil(n / (four ? 4 : 1) / WG))
}

/** dx = 0 but where values came from: there the sum of their gradients dy, in the order of k. Overwrites dx [O, R, I]. */
export function gatherBackward(gpu: Gpu, options: { dy: View; indices: View; dx: View } & Sizes): void {
  const { dy, indices, dx, O, R, I, K } = given('gatherBackward', gpu, options)
  expectSizes('gatherBackward', { O, R, I, K })
  expectView('gatherBackward', 'dx', dx, O * R * I)
  expectViews('gatherBackward', { dy, indices }, O * K * I)
  const n = O * I
  if (gpu.forms.kind === 'hardware' && n < ENOUGH && n * K > 0 && n * K * R <= CHEAP) {
    gpu.launch(backwardEach, { n: n * R, R, I, K }, [dy, indices, dx], Math.ceil((n * R) / WG))
    return
  }
  gpu.clear(dx)
  if (n * K > 0) gpu.launch(backward, { n, R, I, K }, [dy, indices, dx], Math.ceil(n / WG))
}
