// Pairs of rows of a segment, one of which belongs above the other: documents of a list, by how relevant they are.
import { COUNT, expectNumber, expectOneOf } from '../check.ts'
import { type Access, defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/segment_pairs.ts'
import { expectSizes, expectView, expectViews, given } from './checks.ts'

const WG = 64
/** Multiply-adds of a pair, and as many of one launch as `SUBMIT_WORK` holds several times over: those of long segments come one after another. */
const [PAIR_WORK, LAUNCH_WORK] = [16, 4e9]

type Sized = Kernel<'B' | 'first' | 'end' | 'k'>
const kernel = (entry: string, bindings: Access[], KIND = 0): Sized =>
  withConstants(
    defineKernel({
      name: 'segment_pairs',
      wgsl,
      entry,
      params: { B: 'u32', first: 'u32', end: 'u32', k: 'u32' },
      bindings,
    }),
    { KIND },
  )
const losses = (KIND: number) => ({
  forward: kernel('losses', ['read', 'read', 'read', 'read', 'write'], KIND),
  backward: kernel('losses_backward', ['read', 'read', 'read', 'read', 'read', 'write'], KIND),
})
const KERNELS = { count: losses(0), weights: losses(1), swaps: losses(2) }
const discounts = kernel('discounts', ['read', 'read', 'write'])

/**
 * What a pair counts, row i above row j: 1; `values[j]`; or `(labels[i] - labels[j]) * |values[i] - values[j]|`, what changes where both swap
 * places, of labels that are gains and values that are discounts.
 */
export type PairKind = keyof typeof KERNELS

/** Segment b of N rows is the rows starts[b] to starts[b + 1] - 1; starts [B + 1] uint32, every row is of a segment. */
interface Segments {
  starts: View
  B: number
  N: number
  /** Rows of the longest segment: how much work there is. */
  longest: number
}

interface Pairs extends Segments {
  kind: PairKind
  /** [N] float32 each; values are read where the kind has some. */
  x: View
  labels: View
  values: View
}

function run(gpu: Gpu, made: Sized, { B, N, longest }: Segments, k: number, views: View[]): void {
  const rows = Math.max(WG, Math.floor(LAUNCH_WORK / PAIR_WORK / Math.max(longest, 1) / WG) * WG)
  for (let first = 0; first < N; first += rows) {
    const end = Math.min(first + rows, N)
    const work = (end - first) * longest * PAIR_WORK
    gpu.launch(made, { B, first, end, k }, views, Math.ceil((end - first) / WG), work)
  }
}

function checkSegments(op: string, { starts, B, N, longest }: Segments): void {
  expectSizes(op, { B, N, longest })
  expectView(op, 'starts', starts, B + 1)
}

function checkPairs(op: string, pairs: Pairs): void {
  const { kind, x, labels, values, N } = pairs
  expectOneOf(`${op}: kind`, kind, Object.keys(KERNELS))
  checkSegments(op, pairs)
  expectViews(op, { x, labels, values }, N)
}

/**
 * y[i] = the sum over rows j of i's segment with a smaller label of w log(1 + exp(x[j] - x[i])): RankNet's pairs. float32, [N],
 * overwritten. Memory does not grow with the pairs.
 */
export function segmentPairs(gpu: Gpu, options: Pairs & { y: View }): void {
  const { kind, starts, x, labels, values, y } = given('segmentPairs', gpu, options)
  checkPairs('segmentPairs', options)
  expectView('segmentPairs', 'y', y, options.N)
  run(gpu, KERNELS[kind].forward, options, 0, [starts, x, labels, values, y])
}

/** dx [N] = the gradient of {@link segmentPairs}, of dy [N]; labels and values are constants. Overwrites. */
export function segmentPairsBackward(gpu: Gpu, options: Pairs & { dy: View; dx: View }): void {
  const { kind, starts, x, labels, values, dy, dx } = given('segmentPairsBackward', gpu, options)
  checkPairs('segmentPairsBackward', options)
  expectViews('segmentPairsBackward', { dy, dx }, options.N)
  run(gpu, KERNELS[kind].backward, options, 0, [starts, x, labels, values, dy, dx])
}

/**
 * y[i] = 1 / log2(1 + rank) of row i in its segment, ranks from 1 by x, the largest first; equal values keep their order, and what is behind
 * rank k has 0. float32, [N], overwritten.
 */
export function segmentDiscounts(gpu: Gpu, options: Segments & { k: number; x: View; y: View }): void {
  const { k, starts, x, y, N } = given('segmentDiscounts', gpu, options)
  checkSegments('segmentDiscounts', options)
  expectNumber('segmentDiscounts: k', k, COUNT)
  expectViews('segmentDiscounts', { x, y }, N)
  run(gpu, discounts, options, Math.min(k, 2 ** 32 - 1), [starts, x, y])
}
