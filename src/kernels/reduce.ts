// Sums in a fixed order: the same inputs give bitwise the same result.
import { expectNumber, FINITE, shown } from '../check.ts'
import { ArgumentError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/reduce.ts'
import { expectSizes, expectViews, given, NORM } from './checks.ts'
import { columnSumByGroups, gradNormByGroups, sumByGroups } from './reduce-workgroup.ts'
import { byWidth, formOf, STORAGE_WGSL, type Storage, widthOf } from './width.ts'

const WG = 64
const PARTIAL = 256 // values one invocation adds up
const FINISH = 4096 // values the last stage's one invocation takes at most

const flat = (entry: string, bindings: Access[]) =>
  byWidth(
    defineKernel({
      name: 'reduce',
      wgsl: STORAGE_WGSL + wgsl,
      entry,
      params: { n: 'u32', at: 'u32', factor: 'f32', one: 'f32' },
      bindings,
    }),
  )
const partial = flat('partial', ['read', 'write'])
const squares = {
  1: withConstants(partial[1], { SQUARE: 1 }),
  4: withConstants(partial[4], { SQUARE: 1 }),
}
const finishSum = flat('finish_sum', ['read', 'write'])[1]
const finishNorm = flat('finish_norm', ['read', 'write', 'write'])[1]

const columns = (entry: string) =>
  byWidth(
    defineKernel({
      name: 'reduce',
      wgsl: STORAGE_WGSL + wgsl,
      entry,
      params: { rows: 'u32', C: 'u32', per_block: 'u32', accumulate: 'u32' },
      bindings: ['read', 'write'],
      workgroup: 32,
    }),
  )
const columnPartial = columns('column_partial')
const columnFinish = columns('column_finish')

/** partials[at…] = the sums of x's values, or of their squares, 256 at a time. Returns how many. */
function reducePart(
  gpu: Gpu,
  kernels: Pick<typeof partial, 1 | 4>,
  { x, n, partials, at }: { x: View; n: number; partials: View; at: number },
): number {
  const width = widthOf(n)
  const count = Math.ceil(n / PARTIAL)
  gpu.launch(kernels[width], { n: n / width, at, factor: 0, one: 1 }, [x, partials], Math.ceil(count / WG))
  return count
}

/** Adds x's values up until few enough are left for the last stage, which `finish` launches. */
function reduceAll(gpu: Gpu, { x, n }: { x: View; n: number }, finish: (x: View, n: number) => void): void {
  if (n <= FINISH) {
    finish(x, n)
    return
  }
  gpu.scratch(take => {
    const partials = take(Math.ceil(n / PARTIAL) * 4, 'partial sums')
    const left = reducePart(gpu, partial, { x, n, partials, at: 0 })
    reduceAll(gpu, { x: partials, n: left }, finish)
  })
}

/** out[0] = factor times the sum of x (0 when n is 0). x: [n], out: [1] float32; the factor is 1 unless given. */
export function sum(gpu: Gpu, options: { x: View; out: View; n: number; factor?: number }): void {
  const { x, out, n, factor = 1 } = given('sum', gpu, options)
  expectSizes('sum', { n })
  expectNumber('sum: factor', factor, FINITE)
  expectViews('sum', { x }, n)
  expectViews('sum', { out }, 1)
  if (n === 0) {
    gpu.clear({ ...out, size: 4 })
    return
  }
  if (gpu.forms.kind === 'hardware') {
    sumByGroups(gpu, { x, out, n, factor })
    return
  }
  reduceAll(gpu, { x, n }, (x, n) => {
    gpu.launch(finishSum, { n, at: 0, factor, one: 1 }, [x, out], 1)
  })
}

/**
 * out[c] = (+=) the sum over rows of x[r, c]: the gradient of a bias. x: [rows, C], stored as
 * `storage` says, out: [C] float32. Without rows, out
 * is set to zeros, or left when it accumulates.
 */
export function columnSum(
  gpu: Gpu,
  options: { x: View; out: View; rows: number; C: number; accumulate?: boolean; storage?: Storage },
): void {
  const { x, out, rows, C, accumulate = false, storage } = given('columnSum', gpu, options)
  expectSizes('columnSum', { rows, C })
  expectViews('columnSum', { x }, rows * C, storage)
  expectViews('columnSum', { out }, C)
  if (gpu.forms.kind === 'hardware' && rows * C > 0) {
    columnSumByGroups(gpu, { x, out, rows, C, accumulate, storage })
    return
  }
  const { perBlock, blocks } = rowBlocks(rows)
  const width = widthOf(C)
  gpu.scratch(take => {
    const partials = take(blocks * C * 4, 'column sums')
    if (rows * C > 0) {
      const params = { rows, C: C / width, per_block: perBlock, accumulate: 0 }
      const groups = Math.ceil((blocks * C) / width / 32)
      gpu.launch(columnPartial[formOf(storage, C)], params, [x, partials], groups)
    }
    finishColumns(gpu, { partials, out, blocks, C, accumulate })
  })
}

/** How the rows of a column sum are cut into blocks: as many blocks as rows in a block, about. */
export function rowBlocks(rows: number): { perBlock: number; blocks: number } {
  const perBlock = Math.max(Math.ceil(Math.sqrt(rows)), 1)
  return { perBlock, blocks: Math.ceil(rows / perBlock) }
}

/** The second stage of a column sum: out[c] = (+=) the sum over blocks of partials[b, c]. */
export function finishColumns(
  gpu: Gpu,
  {
    partials,
    out,
    blocks,
    C,
    accumulate,
  }: { partials: View; out: View; blocks: number; C: number; accumulate: boolean },
): void {
  if (C === 0) return
  if (blocks === 0) {
    if (!accumulate) gpu.clear({ ...out, size: C * 4 })
    return
  }
  const width = widthOf(C)
  const params = { rows: blocks, C: C / width, per_block: 0, accumulate: accumulate ? 1 : 0 }
  gpu.launch(columnFinish[width], params, [partials, out], Math.ceil(C / width / 32))
}

/** A part of a gradient: n float32 values; `view` may be a function that is called, and computes them, when their turn comes. */
export interface GradPart {
  /** [n], or what computes it. */
  view: View | (() => View)
  /** Number of values. */
  n: number
}

function checkPart(i: number, part: GradPart): void {
  if (typeof part !== 'object' || part === null)
    throw new ArgumentError(`gradNorm: parts[${i}] is ${shown(part)}, expected { view, n }`)
  expectSizes(`gradNorm: parts[${i}]`, { n: part.n })
  if (typeof part.view !== 'function') expectViews('gradNorm', { [`parts[${i}].view`]: part.view }, part.n)
}

/**
 * norm[0] = the root of the sum of squares over all parts; coefficient[0] = min(1, maxNorm / (norm + 1e-6)), or 1 when
 * maxNorm is not above 0 or is Infinity. Parts: [n] float32 each; norm, coefficient: [1] float32 in two buffers.
 * Source: `torch.nn.utils.clip_grad_norm_`.
 */
export function gradNorm(
  gpu: Gpu,
  options: { parts: readonly GradPart[]; maxNorm: number; norm: View; coefficient: View },
): void {
  const { parts, maxNorm, norm, coefficient } = given('gradNorm', gpu, options)
  if (!Array.isArray(parts)) throw new ArgumentError(`gradNorm: parts is ${shown(parts)}, expected an array`)
  for (const [i, part] of parts.entries()) checkPart(i, part)
  expectNumber('gradNorm: maxNorm', maxNorm, NORM)
  expectViews('gradNorm', { norm, coefficient }, 1)
  const factor = maxNorm > 0 && maxNorm < Number.POSITIVE_INFINITY ? maxNorm : 0
  if (gpu.forms.kind === 'hardware') {
    gradNormByGroups(gpu, { parts, limit: factor, norm, coefficient })
    return
  }
  const total = parts.reduce((count, { n }) => count + Math.ceil(n / PARTIAL), 0)
  gpu.scratch(take => {
    const partials = take(total * 4, 'partial sums of squares')
    let at = 0
    for (const { view, n } of parts) {
      if (n === 0) continue
      at += reducePart(gpu, squares, { x: typeof view === 'function' ? view() : view, n, partials, at })
    }
    reduceAll(gpu, { x: partials, n: total }, (x, n) => {
      gpu.launch(finishNorm, { n, at: 0, factor, one: 1 }, [x, norm, coefficient], 1)
    })
  })
}
