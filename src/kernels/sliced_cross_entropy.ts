import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/sliced_cross_entropy.ts'
import { expectSizes, expectViews, given } from './checks.ts'

const WG = 64
/** Parts of a slice whose sums are kept apart. */
const PARTS = 16
const kernel = <P extends string>(entry: string, params: Record<P, 'u32'>, bindings: Access[]) =>
  defineKernel({ name: 'sliced_cross_entropy', wgsl, entry, params, bindings, constants: { PARTS } })
const fold = kernel('fold', { rows: 'u32', C: 'u32', first: 'u32', at: 'u32', parts: 'u32' }, [
  'read',
  'read',
  'read',
  'write',
  'write',
])
const finish = kernel('finish', { rows: 'u32', parts: 'u32' }, ['read', 'read', 'write', 'write', 'write'])
const gradient = kernel('gradient', { rows: 'u32', C: 'u32', first: 'u32' }, [
  'write',
  'read',
  'read',
  'read',
  'read',
])

/** Logits without their bias, [rows, C], of the classes from `first` on, out of V. */
export interface LogitSlice {
  z: View
  /** Its first class. */
  first: number
  /** How many classes it has. */
  C: number
}

/** What slices are held against. */
export interface LogitLabels {
  /** [V] float32, of all classes. */
  bias: View
  /** [rows] uint32 below V. */
  labels: View
  rows: number
  V: number
}

function expectSlice(op: string, { z, first, C, bias, labels, rows, V }: LogitSlice & LogitLabels): void {
  expectSizes(op, { rows, V, first, C })
  expectViews(op, { z }, rows * C)
  expectViews(op, { bias }, Math.max(V, first + C))
  expectViews(op, { labels }, rows)
}

/** float32 values that `stats` holds for logits in so many slices. */
export const sliceStats = (rows: number, slices: number): number => rows * slices * PARTS * 2

/**
 * Takes slice number `slice` of `slices` into account: stats, `sliceStats(rows, slices)` float32, and own, [rows] float32, are written in part
 * by each, and whole after all.
 */
export function foldLogits(
  gpu: Gpu,
  options: LogitSlice & LogitLabels & { stats: View; own: View; slice: number; slices: number },
): void {
  const { z, bias, labels, stats, own, rows, C, first, slice, slices } = given('foldLogits', gpu, options)
  expectSlice('foldLogits', options)
  expectSizes('foldLogits', { slice, slices })
  expectViews('foldLogits', { stats }, sliceStats(rows, Math.max(slices, slice + 1)))
  expectViews('foldLogits', { own }, rows)
  if (rows === 0) return
  const params = { rows, C, first, at: slice * PARTS, parts: slices * PARTS }
  gpu.launch(fold, params, [z, bias, labels, stats, own], Math.ceil((rows * PARTS) / WG))
}

/**
 * Of all slices: losses[r] = log Σ exp(logits[r,·]) - logits[r, labels[r]]; right[r] is 1 where that logit is the greatest, else 0; tops, [rows, 2], is
 * the greatest logit and the sum of exp(logit - greatest). All float32.
 */
export function finishSlices(
  gpu: Gpu,
  options: {
    stats: View
    own: View
    losses: View
    tops: View
    right: View
    rows: number
    slices: number
  },
): void {
  const { stats, own, losses, tops, right, rows, slices } = given('finishSlices', gpu, options)
  expectSizes('finishSlices', { rows, slices })
  expectViews('finishSlices', { stats }, sliceStats(rows, slices))
  expectViews('finishSlices', { own, losses, right }, rows)
  expectViews('finishSlices', { tops }, rows * 2)
  if (rows === 0) return
  gpu.launch(finish, { rows, parts: slices * PARTS }, [stats, own, losses, tops, right], Math.ceil(rows / WG))
}

/** Puts the gradient of a slice's logits in their place: z = dlosses[r] (softmax - onehot). tops as `finishSlices` wrote it; dlosses: [rows] float32. */
export function sliceGradient(
  gpu: Gpu,
  options: LogitSlice & LogitLabels & { tops: View; dlosses: View },
): void {
  const { z, bias, labels, tops, dlosses, rows, C, first } = given('sliceGradient', gpu, options)
  expectSlice('sliceGradient', options)
  expectViews('sliceGradient', { tops }, rows * 2)
  expectViews('sliceGradient', { dlosses }, rows)
  if (rows * C === 0) return
  gpu.launch(gradient, { rows, C, first }, [z, bias, labels, tops, dlosses], Math.ceil((rows * C) / WG))
}
