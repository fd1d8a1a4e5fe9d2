import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/sliced_cross_entropy.ts'
import workgroupWgsl from '../wgsl/sliced_cross_entropy_workgroup.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { byRow, byValue } from './softmax-rows.ts'

const WG = 64
/** Parts of a slice whose sums are kept apart; on a GPU a workgroup adds them up. */
const PARTS = 16
const partsOf = ({ forms }: Gpu) => (forms.kind === 'hardware' ? 1 : PARTS)
const kernel = <P extends string>(
  entry: string,
  params: Record<P, 'u32'>,
  bindings: Access[],
  text = wgsl,
) => ({
  ...{ name: 'sliced_cross_entropy', wgsl: text, entry, params, bindings },
})
const FOLD = { rows: 'u32', C: 'u32', first: 'u32', at: 'u32', parts: 'u32' } as const
const READ_FOLD: Access[] = ['read', 'read', 'read', 'write', 'write']
const GRADIENT = { rows: 'u32', C: 'u32', first: 'u32' } as const
const READ_GRADIENT: Access[] = ['write', 'read', 'read', 'read', 'read']
const fold = defineKernel({ ...kernel('fold', FOLD, READ_FOLD), constants: { PARTS } })
const foldRows = byRow(kernel('fold', FOLD, READ_FOLD, workgroupWgsl))
const gradient = defineKernel(kernel('gradient', GRADIENT, READ_GRADIENT))
const gradientValues = byValue(kernel('gradient', GRADIENT, READ_GRADIENT, workgroupWgsl))
const finish = defineKernel(
  kernel('finish', { rows: 'u32', parts: 'u32' }, ['read', 'read', 'write', 'write', 'write']),
)

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
  const count = partsOf(gpu)
  const params = { rows, C, first, at: slice * count, parts: slices * count }
  const views = [z, bias, labels, stats, own]
  if (gpu.forms.kind === 'hardware') foldRows(gpu, params, views)
  else gpu.launch(fold, params, views, Math.ceil((rows * PARTS) / WG))
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
  gpu.launch(
    finish,
    { rows, parts: slices * partsOf(gpu) },
    [stats, own, losses, tops, right],
    Math.ceil(rows / WG),
  )
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
  const views = [z, bias, labels, tops, dlosses]
  if (gpu.forms.kind === 'hardware') gradientValues(gpu, { rows, C, first }, views)
  else gpu.launch(gradient, { rows, C, first }, views, Math.ceil((rows * C) / WG))
}
