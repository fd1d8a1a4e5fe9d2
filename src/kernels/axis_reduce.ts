// Sums, extremes and log-sum-exps over chosen dimensions, in a fixed order.
import { expectOneOf } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/axis_reduce.ts'
import { expectView, given } from './checks.ts'
import { numel } from './strides.ts'
import { byWidth, STORAGE_WGSL, type Storage } from './width.ts'

const WG = 64
/** Values along a line from which it is cut into parts, where there are few lines. */
const LONG = 128
/** Lines that keep a device busy. */
const MANY = 4096

const kernel = (entry: string, constants = {}) =>
  byWidth(
    defineKernel({
      name: 'axis_reduce',
      wgsl: STORAGE_WGSL + wgsl,
      entry,
      params: { n: 'u32', R: 'u32', I: 'u32', per: 'u32', parts: 'u32', factor: 'f32' },
      bindings: ['read', 'write'],
      constants,
    }),
  )
const pair = (entry: string, constants = {}) => {
  const along = kernel(entry, constants)
  return {
    along,
    across: { 4: withConstants(along[4], { ACROSS: 1 }), f16: withConstants(along.f16, { ACROSS: 1 }) },
  }
}
const KERNELS = {
  sum: pair('sum'),
  max: pair('top'),
  min: pair('top', { LEAST: 1, SIGN: -1 }),
  logSumExp: pair('log_sum_exp'),
}

/** What one value is made of a line of values. */
export type AxisReduction = keyof typeof KERNELS

/** x[O, R, I] */
interface Middle {
  O: number
  R: number
  I: number
}

/**
 * out = the sum (times `factor`), largest or smallest value, or log-sum-exp, of x over the dimensions `axes`. x has `shape`, stored as
 * `storage` says; out has what is left of it, float32, overwritten. Of no values: 0, -infinity, infinity, -infinity.
 * NaN wins. Sources: `torch.sum`, `torch.amax`, `torch.amin`, `torch.logsumexp`.
 */
export function axisReduce(
  gpu: Gpu,
  options: {
    kind: AxisReduction
    x: View
    shape: readonly number[]
    axes: readonly number[]
    out: View
    storage?: Storage | undefined
    factor?: number
  },
): void {
  const { kind, x, shape, axes, out, storage, factor = 1 } = given('axisReduce', gpu, options)
  expectOneOf('axisReduce: kind', kind, Object.keys(KERNELS))
  const wrong = axes.find(axis => !(Number.isInteger(axis) && axis >= 0 && axis < shape.length))
  if (wrong !== undefined)
    throw new ShapeError(`axisReduce: axis ${wrong} is no dimension of shape [${shape}], from 0 on`)
  expectView('axisReduce', 'x', x, numel(shape), storage)
  expectView('axisReduce', 'out', out, numel(shape.filter((_, d) => !axes.includes(d))))
  reduceGroups(gpu, kind, { view: x, storage }, groupsOf(shape, axes), out, factor)
}

/** Reduces the last group of axes, then what is left. */
function reduceGroups(
  gpu: Gpu,
  kind: AxisReduction,
  from: { view: View; storage: Storage | undefined },
  groups: Group[],
  out: View,
  factor: number,
): void {
  const at = groups.findLastIndex(({ reduced }) => reduced)
  const before = groups.slice(0, Math.max(at, 0))
  const after = groups.slice(at + 1)
  const middle = {
    O: product(before),
    R: at < 0 ? 1 : groups[at]!.size,
    I: at < 0 ? product(groups) : product(after),
  }
  if (!before.some(({ reduced }) => reduced)) {
    reduceMiddle(gpu, kind, from, middle, out, factor)
    return
  }
  gpu.scratch(take => {
    const view = take(middle.O * middle.I * 4, 'partial reduction')
    reduceMiddle(gpu, kind, from, middle, view, 1)
    reduceGroups(gpu, kind, { view, storage: undefined }, [...before, ...after], out, factor)
  })
}

interface Group {
  size: number
  reduced: boolean
}

/** Neighbouring dimensions that are all reduced, or all kept, as one. */
function groupsOf(shape: readonly number[], axes: readonly number[]): Group[] {
  const groups: Group[] = []
  for (const [d, size] of shape.entries()) {
    const reduced = axes.includes(d)
    if (size === 1) continue
    const last = groups.at(-1)
    if (last && last.reduced === reduced) last.size *= size
    else groups.push({ size, reduced })
  }
  return groups
}

const product = (groups: Group[]): number => groups.reduce((n, { size }) => n * size, 1)

function reduceMiddle(
  gpu: Gpu,
  kind: AxisReduction,
  x: { view: View; storage: Storage | undefined },
  { O, R, I }: Middle,
  out: View,
  factor: number,
): void {
  if (O * I === 0) return
  const across = I === 1 && R % 4 === 0 && R > 0
  const width = across || I % 4 === 0 ? 4 : 1
  const form = x.storage === 'f16' ? 'f16' : width
  const { along, across: acrossKernels } = KERNELS[kind]
  const chosen = across ? acrossKernels[form as 4 | 'f16'] : along[form]
  const [length, inner] = across ? [R / 4, 1] : [R, I / width]
  const parts = length > LONG && O * inner < MANY ? Math.ceil(Math.sqrt(length)) : 1
  const per = Math.ceil(length / parts)
  const n = O * parts * inner
  const params = { n, R: length, I: inner, per, parts, factor: parts > 1 ? 1 : factor }
  if (parts === 1) {
    gpu.launch(chosen, params, [x.view, out], Math.ceil(n / WG))
    return
  }
  gpu.scratch(take => {
    const partials = take(O * parts * I * 4, 'partial reduction')
    gpu.launch(chosen, params, [x.view, partials], Math.ceil(n / WG))
    reduceMiddle(gpu, kind, { view: partials, storage: undefined }, { O, R: parts, I }, out, factor)
  })
}
