// Sums, extremes and log-sum-exps over chosen dimensions, in a fixed order.
import { expectOneOf } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/axis_reduce.ts'
import workgroupWgsl from '../wgsl/axis_reduce_workgroup.ts'
import { rowsForForms } from './batch-forms.ts'
import { expectView, float32Bits, given } from './checks.ts'
import { COLUMN_WGSL } from './groups.ts'
import { numel } from './strides.ts'
import { type ByWidth, byWidth, STORAGE_WGSL, type Storage } from './width.ts'

const WG = 64
/** Values along a line from which it is cut into parts, where there are few lines. */
const LONG = 128
/** Lines that keep a device busy. */
const MANY = 4096

/** Workgroups that fill a card, columns that each has at most, and values an invocation of it adds up without another launch. */
const FILL = 192
const MOST_COLUMNS = 16
const CHAIN = 64
/** The bits of a factor of 1. */
const ONE = 0x3f800000

const params = { n: 'u32', R: 'u32', I: 'u32', per: 'u32', parts: 'u32', factor: 'u32' } as const
type Kernels = ByWidth<keyof typeof params>

function kernel(entry: string, text: string, constants: Record<string, number>): Kernels {
  const bindings: Access[] = ['read', 'write']
  return byWidth(defineKernel({ name: 'axis_reduce', wgsl: text, entry, params, bindings, constants }))
}
const across = (along: Kernels) => ({
  4: withConstants(along[4], { ACROSS: 1 }),
  f16: withConstants(along.f16, { ACROSS: 1 }),
})

/** A reduction's kernels: an invocation a line, or on a GPU a workgroup some lines. */
function kernels(entry: string, { LEAST, ...constants }: { LEAST?: number; SIGN?: number } = {}) {
  const along = kernel(entry, STORAGE_WGSL + wgsl, LEAST === undefined ? {} : { LEAST, ...constants })
  const shared = STORAGE_WGSL + COLUMN_WGSL + workgroupWgsl
  const made = new Map<number, ReturnType<typeof forms>>()
  const forms = (along: Kernels) => ({ along, across: across(along) })
  return {
    ...forms(along),
    /** With so many columns a workgroup. */
    shared(COLUMNS: number) {
      let found = made.get(COLUMNS)
      if (!found) {
        found = forms(kernel(entry, shared, { COLUMNS, ...constants }))
        made.set(COLUMNS, found)
      }
      return found
    },
  }
}
const KERNELS = {
  sum: kernels('sum'),
  max: kernels('top'),
  min: kernels('top', { LEAST: 1, SIGN: -1 }),
  logSumExp: kernels('log_sum_exp'),
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
  reduceGroups(
    gpu,
    kind,
    { view: x, storage },
    groupsOf(shape, axes),
    out,
    float32Bits('axisReduce: factor', factor),
  )
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
    reduceMiddle(gpu, kind, from, middle, view, ONE)
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
  const ends = I === 1 && R % 4 === 0 && R > 0
  const width = ends || I % 4 === 0 ? 4 : 1
  const form = x.storage === 'f16' ? 'f16' : width
  const [length, inner] = ends ? [R / 4, 1] : [R, I / width]
  const plan =
    gpu.forms.kind === 'hardware' && sharesLines(length, inner, rowsForForms(O))
      ? sharedLines(KERNELS[kind], length, inner, O)
      : ownLines(KERNELS[kind], length, inner, O)
  const { parts, chosen, groups, n } = plan
  const per = Math.ceil(length / parts)
  const launched = ends ? chosen.across[form as 4 | 'f16'] : chosen.along[form]
  const given = { n, R: length, I: inner, per, parts, factor: parts > 1 ? ONE : factor }
  if (parts === 1) {
    gpu.launch(launched, given, [x.view, out], groups)
    return
  }
  gpu.scratch(take => {
    const partials = take(O * parts * I * 4, 'partial reduction')
    gpu.launch(launched, given, [x.view, partials], groups)
    reduceMiddle(gpu, kind, { view: partials, storage: undefined }, { O, R: parts, I }, out, factor)
  })
}

/** Whether lines are long enough to be shared, and too few, or too far from each other, for an invocation each. */
const sharesLines = (length: number, inner: number, O: number) =>
  length > 8 && (inner < 8 || O * inner < FILL * WG)

interface Plan {
  chosen: Pick<(typeof KERNELS)['sum'], 'along' | 'across'>
  /** Parts that a line is cut into, workgroups, and the number that tells the kernel which of them have something to do. */
  parts: number
  groups: number
  n: number
}

function ownLines(chosen: (typeof KERNELS)['sum'], length: number, inner: number, O: number): Plan {
  const parts = length > LONG && rowsForForms(O) * inner < MANY ? Math.ceil(Math.sqrt(length)) : 1
  const n = O * parts * inner
  return { chosen, parts, n, groups: Math.ceil(n / WG) }
}

function sharedLines({ shared }: (typeof KERNELS)['sum'], length: number, inner: number, O: number): Plan {
  const columns = Math.min(MOST_COLUMNS, 2 ** Math.ceil(Math.log2(inner)))
  const share = length / (WG / columns)
  const lines = O * Math.ceil(inner / columns)
  const typical = rowsForForms(O) * Math.ceil(inner / columns)
  const parts = share > CHAIN ? Math.max(1, Math.min(Math.ceil(FILL / typical), Math.floor(share / 8))) : 1
  return { chosen: shared(columns), parts, n: lines * parts, groups: lines * parts }
}
