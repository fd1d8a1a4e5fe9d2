import { COUNT, expectNumber, shown } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import {
  type Access,
  type AdapterKind,
  defineKernel,
  type Gpu,
  type Kernel,
  type View,
} from '../gpu/index.ts'
import multiplyAdd from '../wgsl/multiply_add.ts'
import wgsl from '../wgsl/optimizer.ts'
import byRowWgsl from '../wgsl/optimizer_by_row.ts'
import { expectGpu, expectOptional, expectSizes, expectView, expectViews, given } from './checks.ts'
import { type ByWidth, byWidth, widthOf } from './width.ts'

/** Elements per block of the dense kernel; flat parameter memory is cut into blocks of this many. */
export const OPTIMIZER_BLOCK = 64
/** In `slots`, a block that is left alone. */
export const OPTIMIZER_SKIP = 0xffffffff

/** What a step of one value costs, in multiply-adds: a rule has a root and a quotient. */
export const UPDATE_WORK = 10

/** What an optimizer does with a gradient, for its kernels. */
export interface UpdateRule {
  /** What error messages call its kernels. */
  name: string
  /**
   * Declares `State`, `Step`, `update`, `corrected` and `void_step`: wgsl/optimizer_adamw.wgsl is one to read. `multiply_add` of
   * wgsl/multiply_add.wgsl is there for it, so that a row which replays a step has the bits of a dense one on every adapter.
   */
  wgsl: string
  /** Numbers of state an element has. */
  states: number
}

const denseParams = { blocks: 'u32', groups: 'u32', step: 'u32' } as const
const rowParams = {
  n: 'u32',
  width: 'u32',
  lanes: 'u32',
  groups: 'u32',
  group: 'u32',
  until: 'u32',
  with_grad: 'u32',
  first_entry: 'u32',
} as const
const byRowParams = {
  n: 'u32',
  width: 'u32',
  groups: 'u32',
  group: 'u32',
  step: 'u32',
  first_entry: 'u32',
} as const

/**
 * Lanes of a workgroup, and what one takes. On GPUs neighbours take neighbouring vectors; a lane of a software adapter takes a block of dense
 * memory, and two R (four columns or one) of a row: 4 are no faster, and compile twice as long.
 */
const FORMS = {
  card: { dense: { workgroup: 256, RUN: 1 }, rows: { workgroup: 256, PER: 1 } },
  software: { dense: { workgroup: 8, RUN: 16 }, rows: { workgroup: 16, PER: 2 } },
}
type FormName = keyof typeof FORMS
const formName = ({ forms }: Gpu): FormName => (forms.kind === 'hardware' ? 'card' : 'software')

interface Kernels {
  dense: Kernel<keyof typeof denseParams>
  rows: ByWidth<keyof typeof rowParams>
}
const kernels = new Map<string, Kernels>()
const byRowKernels = new Map<string, ByWidth<keyof typeof byRowParams>>()

/**
 * Invocations that share a row: enough to load a row of 768 in three turns, or a subgroup. Barriers cost a software adapter more than what they spare,
 * SwiftShader most.
 */
const LANES: Record<AdapterKind, number> = {
  hardware: 64,
  'system software': 8,
  'embedded software': 4,
}

function kernelsOf({ name, wgsl: rule, states }: UpdateRule, form: FormName): Kernels {
  const key = `${form} ${states} ${rule}`
  let made = kernels.get(key)
  if (!made) {
    const shared = {
      name,
      wgsl: multiplyAdd + rule + wgsl,
      bindings: ['read', 'read', 'read', 'read', 'write', ...Array<Access>(states).fill('write')] as Access[],
      constants: { STATES: states, FUSED: Number(form === 'card') },
    }
    const { dense, rows } = FORMS[form]
    made = {
      dense: defineKernel({
        ...shared,
        entry: 'dense',
        params: denseParams,
        workgroup: dense.workgroup,
        constants: { ...shared.constants, RUN: dense.RUN },
      }),
      rows: byWidth(
        defineKernel({
          ...shared,
          entry: 'rows',
          params: rowParams,
          workgroup: rows.workgroup,
          constants: { ...shared.constants, PER: rows.PER },
        }),
      ),
    }
    kernels.set(key, made)
  }
  return made
}

function byRowKernelOf(
  { name, wgsl: rule }: UpdateRule,
  lanes: number,
  form: FormName,
): ByWidth<keyof typeof byRowParams> {
  // A tree halves the lanes again and again.
  const tree = Number(form === 'card' && Number.isInteger(Math.log2(lanes)))
  const key = `${form} ${lanes} ${rule}`
  let made = byRowKernels.get(key)
  if (!made) {
    made = byWidth(
      defineKernel({
        name,
        wgsl: multiplyAdd + rule + byRowWgsl,
        entry: 'by_row',
        params: byRowParams,
        bindings: ['read', 'read', 'read', 'read', 'write', 'write'],
        workgroup: lanes,
        constants: { TREE: tree, FUSED: Number(form === 'card') },
      }),
    )
    byRowKernels.set(key, made)
  }
  return made
}

/** What a step reads and writes: weights and their state. */
export interface OptimizerMemory {
  /** Weights. */
  w: View
  /** As many as the rule has, each as long as the weights. */
  states: View[]
  /** The rule's numbers (`Step` in its WGSL) per step and group. */
  history: View
  /** One value that multiplies gradients; negative: they count as zero. */
  clip: View
  /** Number of parameter groups: the stride of `history`. */
  groups: number
}

/** @throws what a launcher throws, unless memory, settings and the rule fit together */
function checkMemory(
  op: string,
  gpu: Gpu,
  rule: UpdateRule,
  { w, states, history, clip, groups, step }: OptimizerMemory & { step: number },
  values: number,
  stateValues = values,
): void {
  expectGpu(`${op}: gpu`, gpu)
  if (typeof rule !== 'object' || rule === null || typeof rule.wgsl !== 'string')
    throw new ArgumentError(`${op}: rule is ${shown(rule)}, expected { name, wgsl, states }`)
  if (!Array.isArray(states) || states.length !== rule.states)
    throw new ArgumentError(
      `${op}: states is ${shown(states)}, expected an array of ${rule.states}, as ${rule.name} keeps`,
    )
  expectSizes(op, { groups, step })
  expectViews(op, { w }, values)
  for (const [k, view] of states.entries()) expectView(op, `states[${k}]`, view, stateValues)
  expectViews(op, { clip }, 1)
  // How many numbers a step has, the rule's WGSL knows: one at least.
  expectViews(op, { history }, (step + 1) * groups)
}

/**
 * One step over flat memory of `blocks` blocks of 64 elements. slots: [blocks] uint32, each block's group or
 * OPTIMIZER_SKIP; `step` indexes `history`.
 */
export function optimizerDense(
  gpu: Gpu,
  rule: UpdateRule,
  options: OptimizerMemory & { g: View; slots: View; blocks: number; step: number },
): void {
  const { w, states, history, clip, groups, g, slots, blocks, step } = given('optimizerDense', gpu, options)
  expectSizes('optimizerDense', { blocks })
  checkMemory('optimizerDense', gpu, rule, options, blocks * OPTIMIZER_BLOCK)
  expectViews('optimizerDense', { g }, blocks * OPTIMIZER_BLOCK)
  expectViews('optimizerDense', { slots }, blocks)
  const form = formName(gpu)
  const { dense } = kernelsOf(rule, form)
  const views = [g, slots, history, clip, w, ...states]
  const work = blocks * OPTIMIZER_BLOCK * UPDATE_WORK
  gpu.launch(
    dense,
    { blocks, groups, step },
    views,
    Math.ceil((blocks * 16) / FORMS[form].dense.RUN / dense.workgroup),
    work,
  )
}

/** Which rows of a table shard [rows, width] a launch takes, and their gradient. */
export interface OptimizerRows extends OptimizerMemory {
  /** Pairs: row in the shard, index in `history` of the first step to replay. */
  entries: View
  /** Entries `firstEntry` to `firstEntry + n - 1` are taken. */
  firstEntry: number
  n: number
  /** Columns of the shard. */
  width: number
  /** The table's parameter group. */
  group: number
}

function checkRows(op: string, options: OptimizerRows & { g?: View | undefined }): void {
  const { entries, firstEntry, n, width, group, groups, g } = options
  expectSizes(op, { firstEntry, n, width, group, groups })
  if (group >= groups) throw new ShapeError(`${op}: group is ${group}, expected one of ${groups}, from 0`)
  expectViews(op, { entries }, (firstEntry + n) * 2)
  expectOptional(op, { g }, (firstEntry + n) * width)
}

/**
 * The same over some rows, as exact as the dense kernel. Steps from each entry's up to, and without, `until` are replayed with a
 * zero gradient; with `g` ([entries, width]), step `until` is taken with that gradient. `steps` counts those that the entries take together, one each
 * unless given: the launch's estimated work follows it.
 */
export function optimizerRows(
  gpu: Gpu,
  rule: UpdateRule,
  options: OptimizerRows & { until: number; g?: View | undefined; steps?: number | undefined },
): void {
  given('optimizerRows', gpu, options)
  const { w, states, history, clip, groups, entries, firstEntry, n, width, group, until, g } = options
  const { steps = n } = options
  checkRows('optimizerRows', options)
  expectSizes('optimizerRows', { steps })
  // Without a gradient, the last step that is read is the one before `until`.
  const step = g || until === 0 ? until : until - 1
  checkMemory('optimizerRows', gpu, rule, { ...options, step }, width, w.size / 4)
  if (n === 0) return
  const by = widthOf(width)
  const form = formName(gpu)
  const kernel = kernelsOf(rule, form).rows[by]
  const lanes = Math.ceil(width / by / FORMS[form].rows.PER)
  const flags = { with_grad: g ? 1 : 0, first_entry: firstEntry }
  const params = { n, width: width / by, lanes, groups, group, until, ...flags }
  const views = [g ?? history, entries, history, clip, w, ...states]
  gpu.launch(kernel, params, views, Math.ceil((n * lanes) / kernel.workgroup), steps * width * UPDATE_WORK)
}

/**
 * Step `step` over some rows by a rule whose state in tables is one number a row: `states` is one view, [rows]. g: [entries, width].
 * A rule for it declares `decayed` and `moved`: wgsl/optimizer_rowwise_adagrad.wgsl. `lanes` invocations share a row; as many as suit
 * the adapter unless given.
 */
export function optimizerByRow(
  gpu: Gpu,
  rule: UpdateRule,
  options: OptimizerRows & { step: number; g: View; lanes?: number | undefined },
): void {
  const { w, states, history, clip, groups, entries, firstEntry, n, width, group, step, g } = given(
    'optimizerByRow',
    gpu,
    options,
  )
  const { lanes = LANES[gpu.forms.kind] } = options
  expectNumber('optimizerByRow: lanes', lanes, COUNT)
  checkRows('optimizerByRow', options)
  checkMemory('optimizerByRow', gpu, rule, options, width, Math.floor(w.size / 4 / Math.max(width, 1)))
  if (n === 0) return
  const by = widthOf(width)
  const params = { n, width: width / by, groups, group, step, first_entry: firstEntry }
  gpu.launch(
    byRowKernelOf(rule, lanes, formName(gpu))[by],
    params,
    [g, entries, history, clip, w, ...states],
    n,
  )
}
