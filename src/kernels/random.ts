import { expectNumber, FINITE, NON_NEGATIVE, UINT32 } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type View, withConstants } from '../gpu/index.ts'
import philox from '../wgsl/philox.ts'
import random from '../wgsl/random.ts'
import { expectSizes, expectViews, given } from './checks.ts'

const GROUP = 64 * 4 // elements a workgroup covers
const params = { n: 'u32', first: 'u32', a: 'f32', b: 'f32', seed: 'u32', stream: 'u32' } as const
const uniform = defineKernel({
  name: 'random',
  wgsl: philox + random,
  entry: 'uniform_fill',
  params,
  bindings: ['write'],
})
const normal = { ...uniform, entry: 'normal_fill' }
const centred = withConstants(normal, { CENTRED: 1 })

interface FillOptions {
  /** [n] float32; nothing is written past n. */
  out: View
  n: number
  seed: number
  /** Which tensor: no two share a number. */
  stream: number
  /** Where in the stream out begins, in elements, a multiple of 4: a shard continues the one before. */
  offset?: number | undefined
}

function fill(
  op: string,
  gpu: Gpu,
  kernel: typeof uniform,
  options: FillOptions,
  a: number,
  b: number,
): void {
  const { out, n, seed, stream, offset = 0 } = options
  expectSizes(op, { n, offset })
  expectNumber(`${op}: seed`, seed, UINT32)
  expectNumber(`${op}: stream`, stream, UINT32)
  expectViews(op, { out }, n)
  if (offset % 4)
    throw new ShapeError(`${op}: offset in a random stream is ${offset}; expected a multiple of 4`)
  if (n === 0) return
  gpu.launch(kernel, { n, first: offset / 4, a, b, seed, stream }, [out], Math.ceil(n / GROUP))
}

/**
 * Fills out with numbers from U[low, high). Source: `torch.nn.init.uniform_`; random numbers: Philox 4x32-10.
 *
 * @throws ShapeError unless `offset` is a multiple of 4
 */
export function uniformFill(gpu: Gpu, options: FillOptions & { low: number; high: number }): void {
  given('uniformFill', gpu, options)
  expectNumber('uniformFill: low', options.low, FINITE)
  expectNumber('uniformFill: high', options.high, FINITE)
  fill('uniformFill', gpu, uniform, options, options.low, options.high)
}

/**
 * Fills out with numbers from N(mean, std^2), by Box and Muller. Source: `torch.nn.init.normal_`.
 *
 * @throws ShapeError unless `offset` is a multiple of 4
 */
export function normalFill(gpu: Gpu, options: FillOptions & { mean: number; std: number }): void {
  given('normalFill', gpu, options)
  expectNumber('normalFill: mean', options.mean, FINITE)
  expectNumber('normalFill: std', options.std, NON_NEGATIVE)
  // A software adapter's cosine is as good over the whole circle, and centred angles would change what a seed gives there.
  const kernel = gpu.forms.kind === 'hardware' ? centred : normal
  fill('normalFill', gpu, kernel, options, options.mean, options.std)
}
