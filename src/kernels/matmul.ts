import {
  COUNT,
  expectDevice,
  expectFunction,
  expectNumber,
  expectOneOf,
  expectOptions,
  shown,
} from '../check.ts'
import { ConfigError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { goesByBatch, rowsForForms } from './batch-forms.ts'
import { expectOptional, expectView, given } from './checks.ts'
import { dropoutParams, type Rng } from './dropout.ts'
import {
  candidates,
  checkShape,
  DEVICES,
  keepsHalves,
  leastSplits,
  MATRIX_FORM,
  type MatmulForm,
  type MatmulShape,
  matmulForms,
  shapeClass,
  splitsOf,
  tilesOf,
  transposesB,
  unusable,
} from './matmul-forms.ts'
import {
  type Fused,
  type MatmulKernel,
  matrixKernel,
  NOTHING,
  type Stored,
  sumKernel,
  tileKernel,
} from './matmul-kernels.ts'
import { type MatrixUnit, matrixUnits, matrixWorkgroup } from './matmul-units.ts'
import { columnSum, finishColumns } from './reduce.ts'
import { transpose } from './transpose.ts'
import { measuredChoices } from './tuning.ts'
import { formOf as storageFormOf } from './width.ts'

export {
  candidates,
  type MatmulForm,
  type MatmulLayout,
  type MatmulShape,
  matmulForms,
} from './matmul-forms.ts'
export type { Stored } from './matmul-kernels.ts'

/** A product to launch: shape, operands, result, and what is done to a tile before it is stored. */
export interface MatmulOptions extends MatmulShape {
  /** As `layout` says: [M, K], or [K, M] for TN. */
  a: View
  /** [K, N], or [N, K] for NT. */
  b: View
  /** [M, N]; nothing is written past its last element. */
  c: View
  /** [N], added to every row. */
  bias?: View | undefined
  /** [M, N], overwritten with the value that goes into the activation: its backward pass needs it. */
  pre?: View | undefined
  /** After the bias; 'none' by default. GELU is the exact erf form. */
  activation?: 'none' | 'gelu' | 'relu' | undefined
  /** After the activation, with the mask of the `dropout` kernel over c; nothing is drawn at p = 0. */
  dropout?: { p: number; rng: Rng } | undefined
  /** [M, N], added after dropout. Another buffer than c: for c itself there is `accumulate`. */
  residual?: View | undefined
  /** Add to c (and to `sums`) instead of overwriting it; false by default. */
  accumulate?: boolean | undefined
  /** How a, b and c lie in memory: float32 unless named. residual and pre lie as c does, bias is float32. */
  stored?: Stored | undefined
  /**
   * [M], TN only: receives the sums of a over K. Where a is the gradient of a linear layer's result, c is its weight's
   * gradient, and this its bias's.
   */
  sums?: View | undefined
  /** Name of a form in `matmulForms`; unless given, what `tuneMatmul` found best for such shapes, or the first of `candidates`. */
  form?: string | undefined
  /** Parts into which K is cut, summed in order; chosen by size unless given. */
  splits?: number | undefined
}

function checkMatmul(options: MatmulOptions): void {
  const { a, b, c, M, N, K, stored = {}, bias, pre, residual, sums, splits, activation } = options
  checkShape('matmul', options)
  expectOneOf('matmul: activation', activation, ['none', 'gelu', 'relu', undefined])
  expectOptions('matmul: stored', stored, ['a', 'b', 'c'])
  for (const name in stored)
    expectOneOf(`matmul: stored.${name}`, stored[name as keyof Stored], ['f32', 'f16', undefined])
  if (splits !== undefined) expectNumber('matmul: splits', splits, COUNT)
  if (M === 0 || N === 0) return // nothing is launched
  expectView('matmul', 'a', a, M * K, stored.a)
  expectView('matmul', 'b', b, K * N, stored.b)
  expectView('matmul', 'c', c, M * N, stored.c)
  expectOptional('matmul', { bias }, N)
  expectOptional('matmul', { pre, residual }, M * N, stored.c)
  expectOptional('matmul', { sums }, M)
}

/**
 * c = dropout(activation(product of a and b (+ bias))) (+ residual) (+ c, with `accumulate`), summed in float32, in an order
 * that depends on the sizes, the form and the adapter only. Sources: `torch.nn.functional.linear` (NT with bias), whose
 * gradients are NN (dx) and TN (dW); the epilogue is `gelu` or `relu`, `dropout` and `add` of this library.
 *
 * @throws ShapeError for halves in rows that are no multiple of 4; ConfigError when `form` is not in `matmulForms` or this
 * device cannot run it, or unless 0 <= p < 1
 */
export function matmul(gpu: Gpu, options: MatmulOptions): void {
  given('matmul', gpu, options)
  checkMatmul(options)
  const { a, b, c, M, N, K, layout } = options
  if (M === 0 || N === 0) return
  const shape = { M, N, K, layout }
  const { stored = {} } = options
  storageFormOf(stored.a, layout === 'TN' ? M : K)
  storageFormOf(stored.b, layout === 'NT' ? K : N)
  storageFormOf(stored.c, N)
  const { kind } = gpu.forms
  collectors.get(gpu)?.push(shape)
  const unit = unitFor(gpu, stored)
  const typical = { ...shape, M: rowsForForms(M) }
  const byUnit = unit && !unit.lanes && typical.M * N * K >= matmulForms[MATRIX_FORM]!.work
  // All forms of a software adapter add up in the same order, if parts of K do not part them.
  const builtIn = () => (byUnit ? MATRIX_FORM : chosen(gpu, kind === 'hardware' ? typical : shape))
  const name = options.form === undefined ? builtIn() : options.form
  const form = formOf(gpu, name)
  if (form.how === 'matrix' && !unit)
    throw new ConfigError(
      `matmul form '${name}' cannot run here: no matrix unit multiplies a of ${stored.a ?? 'f32'} by b of ${stored.b ?? 'f32'}`,
    )
  const splits = options.splits ?? partsOf(gpu, name, typical)
  const sumsApart = form.how === 'matrix' || (splits > 1 && form.how !== 'workgroup')
  if (options.sums && (layout !== 'TN' || sumsApart)) {
    if (layout !== 'TN') throw new ConfigError(`matmul sums a over K in layout TN only, got ${layout}`)
    const sums = { x: a, out: options.sums, rows: K, C: M, accumulate: options.accumulate }
    columnSum(gpu, { ...sums, ...(stored.a && { storage: stored.a }) })
    matmul(gpu, { ...options, sums: undefined })
    return
  }
  if (stored.b !== 'f16' && transposesB(kind, form, shape)) {
    gpu.scratch(take => {
      const turned = take(N * K * 4, 'matmul operand')
      transpose(gpu, { x: b, y: turned, R: N, C: K })
      matmul(gpu, { ...options, b: turned, layout: 'NN', form: name, splits })
    })
    return
  }
  const perGroup = form.how === 'invocation' ? DEVICES[kind].workgroup : 1
  const grid = Math.ceil((tilesOf(form, M, N) * splits) / perGroup)
  const halfTiles = kind === 'hardware' && keepsHalves(gpu)
  const kernelOf = (fused: Fused, stored: Stored) =>
    form.how === 'matrix'
      ? matrixKernel(unit!, matrixWorkgroup(gpu, unit!), kind, shape, fused, stored)
      : tileKernel(form, kind, shape, fused, stored, halfTiles)
  if (splits === 1) {
    launchEpilogue(gpu, fused => kernelOf(fused, stored), [a, b, c], splits, grid, options)
    return
  }
  gpu.scratch(take => {
    const parts = take(M * N * splits * 4, 'matmul parts')
    const { sums, accumulate = false } = options
    const sumParts = sums && take(M * splits * 4, 'matmul sums')
    const fused = sums ? { ...NOTHING, SUMS: 1 } : NOTHING
    const kernel = kernelOf(fused, { ...stored, c: 'f32' })
    const bound = [a, b, parts, a, a, ...(sumParts ? [sumParts] : [])]
    gpu.launch(kernel, { ...OFF, M, N, K, splits }, bound, grid, M * N * K)
    if (sums && sumParts)
      finishColumns(gpu, { partials: sumParts, out: sums, blocks: splits, C: M, accumulate })
    const groups = Math.ceil((M * Math.ceil(N / 4)) / 64)
    const rest = { ...options, sums: undefined }
    launchEpilogue(gpu, fused => sumKernel(N, fused, stored), [parts, parts, c], splits, groups, rest)
  })
}

/** The matrix unit for operands that lie so, where the device has one. */
function unitFor(gpu: Gpu, { a = 'f32', b = 'f32' }: Stored): MatrixUnit | undefined {
  return a === b ? matrixUnits(gpu)[a] : undefined
}

interface Known {
  measured: ReadonlyMap<string, string>
  forms: Map<string, string>
  parts: Map<string, number>
}

/** Shapes remembered per device: batches differ in length, so there is no end to them. */
const PICKS = 4096
/** The form taken for each shape seen under the measured choices of the time, and the parts of K by form and shape. */
const picks = new WeakMap<Gpu, Known>()

function knownOf(gpu: Gpu): Known {
  const measured = measuredChoices(gpu)
  let known = picks.get(gpu)
  if (known?.measured !== measured || known.forms.size >= PICKS || known.parts.size >= PICKS) {
    known = { measured, forms: new Map(), parts: new Map() }
    picks.set(gpu, known)
  }
  return known
}

const keyOf = ({ layout, M, N, K }: MatmulShape) => `${layout} ${M} ${N} ${K}`

/** The form measured to be fastest for such shapes, where that was done and it can run; else the built-in choice. */
function chosen(gpu: Gpu, shape: MatmulShape): string {
  const { measured, forms } = knownOf(gpu)
  const key = keyOf(shape)
  let form = forms.get(key)
  if (form === undefined) {
    const tuned = measured.get(shapeClass(shape))
    const possible = candidates(gpu, shape)
    form = tuned !== undefined && possible.includes(tuned) ? tuned : possible[0]!
    forms.set(key, form)
  }
  return form
}

/** The parts that K is cut into; on hardware the answer takes a search. */
function partsOf(gpu: Gpu, name: string, shape: MatmulShape): number {
  if (gpu.forms.kind !== 'hardware')
    return goesByBatch() ? splitsOf(gpu.forms, name, shape) : leastSplits(shape.K)
  const { parts } = knownOf(gpu)
  const key = `${name} ${keyOf(shape)}`
  let count = parts.get(key)
  if (count === undefined) {
    count = splitsOf(gpu.forms, name, shape)
    parts.set(key, count)
  }
  return count
}

/** The shapes of products launched on a device so far, or some thousands of them: what a run may measure. */
export function shapesMet(gpu: Gpu): MatmulShape[] {
  return [...(picks.get(gpu)?.forms.keys() ?? [])].map(key => {
    const [layout, ...sizes] = key.split(' ')
    const [M, N, K] = sizes.map(Number) as [number, number, number]
    return { M, N, K, layout: layout as MatmulShape['layout'] }
  })
}

const collectors = new WeakMap<Gpu, MatmulShape[]>()

/** The shapes of the products that `body` launches on a device: what `tuneMatmul` is to be given. */
export function collectShapes(gpu: Gpu, body: () => void): MatmulShape[] {
  expectDevice('collectShapes: gpu', gpu)
  expectFunction('collectShapes: body', body)
  const shapes: MatmulShape[] = []
  collectors.set(gpu, shapes)
  try {
    body()
  } finally {
    collectors.delete(gpu)
  }
  return shapes
}

function formOf(gpu: Gpu, name: string): MatmulForm {
  const form = Object.hasOwn(matmulForms, name) ? matmulForms[name] : undefined
  if (!form)
    throw new ConfigError(
      `matmul: form is ${shown(name)}, which is unknown; expected one of ${Object.keys(matmulForms)}`,
    )
  const reason = unusable(gpu, form)
  if (reason) throw new ConfigError(`matmul form '${name}' cannot run here: it ${reason}`)
  return form
}

/** Parameters of a launch without an epilogue. All names are here: copies that grow take several times as long. */
export const OFF = {
  M: 0,
  N: 0,
  K: 0,
  splits: 1,
  accumulate: 0,
  threshold: 0,
  scale: 1,
  seed: 0,
  layer: 0,
  step: 0,
}

/** Launches the kernel that finishes c. What it binds but does not read is stood in for by its first view. */
function launchEpilogue(
  gpu: Gpu,
  kernelFor: (fused: Fused) => MatmulKernel,
  views: [View, View, View],
  splits: number,
  grid: number,
  { layout, M, N, K, bias, pre, activation, dropout, residual, accumulate, sums }: MatmulOptions,
): void {
  const drops = dropout !== undefined && dropout.p !== 0
  const kernel = kernelFor({
    BIAS: Number(bias !== undefined),
    RESIDUAL: Number(residual !== undefined),
    // Gradients are written in some places and added to in others, with one pipeline for both; results are only written.
    ACCUMULATE: Number(accumulate === true || layout !== 'NT'),
    PRE: Number(pre !== undefined),
    GELU: Number(activation === 'gelu'),
    RELU: Number(activation === 'relu'),
    DROPOUT: Number(drops),
    SUMS: Number(sums !== undefined),
  })
  const plain = { ...OFF, M, N, K, splits, accumulate: Number(accumulate ?? false) }
  const params = drops ? { ...plain, ...dropoutParams(dropout.p), ...dropout.rng } : plain
  const last = pre ?? sums
  const bound = [...views, bias ?? views[0], residual ?? views[0], ...(last ? [last] : [])]
  gpu.launch(kernel, params, bound, grid, M * N * (splits === 1 ? K : splits))
}
