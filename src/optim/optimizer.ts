// The engine under every optimizer: groups, arenas, tables and the steps their rows sat out, gradient norm, clipping, loss scaling.
// A rule (rule.ts) says what one step does.
import { noteChange } from '../autograd/changes.ts'
import { expectDevice, expectGpu } from '../autograd/checks.ts'
import { noteStep } from '../autograd/growth.ts'
import {
  type Arena,
  DenseParameter,
  type Parameter,
  type TableParameter,
  weightsChanged,
} from '../autograd/index.ts'
import { expectNumber, expectOptions, NATURAL, NON_NEGATIVE, shown } from '../check.ts'
import { ArgumentError, ConfigError, KernelgradError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { optimizerDense, type UpdateRule } from '../kernels/optimizer.ts'
import { gradNorm } from '../kernels/reduce.ts'
import type { Ranks } from '../ranks/index.ts'
import { type ArenaState, arenaStates } from './arena-state.ts'
import { exchangeGradients } from './exchange.ts'
import { GradScaler } from './grad-scaler.ts'
import { checkGroups } from './groups.ts'
import { checkOf, type Rule, type Settings, withDefaults } from './rule.ts'
import { type StatePart, TableState } from './table-state.ts'

/** Parameters that share settings; what a group leaves out is the optimizer's own. */
export type ParameterGroup<O extends object = object> = O & {
  /** What the settings hold for; in no other group. */
  params: Iterable<Parameter>
}

/** A group with every setting filled in. */
export type FullGroup<S extends Settings = Settings> = S & {
  /** Those that are trained. */
  params: Parameter[]
}

/** A tensor of a parameter's state: torch's name for it, and where its values lie, in order. */
export interface StateTensor {
  /** As in torch's `state_dict`: 'exp_avg'. */
  name: string
  /** The parameter's own, or [V] where a table has one number a row. */
  shape: readonly number[]
  /** Consecutive parts, of `size` float32 values each. */
  parts: StatePart[]
}

/** How a step is taken. */
export interface StepOptions {
  /** Gradients are scaled down to this norm; 0, the default, leaves them. */
  maxGradNorm?: number
  /** What scaled the loss. */
  scaler?: GradScaler | undefined
}

const HISTORY_STEPS = 4096

/**
 * What `AdamW`, `Adam`, `SGD` and `RowwiseAdagrad` have in common. Dense parameters are updated one launch per arena. Embedding tables are
 * updated only in the rows that have gradients; where the rule moves the others too, they catch up, step by step and to the
 * bit, before they are next read. A parameter without a gradient since `zeroGrad` is left alone. Parameters that are frozen when the
 * optimizer is made are not taken into it and cost no memory: after unfreezing them, make a new one. One that is frozen later stays
 * as it is, its state included, until it is trained again.
 */
export class Optimizer<S extends Settings = Settings, State extends object = object> {
  /** The groups with every setting; `lr` may be changed between steps. */
  readonly groups: FullGroup<S>[]
  /** Steps taken, those included that a scaler made void. */
  stepCount = 0
  readonly #gpu: Gpu
  readonly #rule: Rule<S>
  /** torch's names of what is kept of a parameter. */
  readonly #states: readonly string[]
  readonly #update: UpdateRule
  readonly #arenas: ArenaState[]
  readonly #tables: TableState[]
  readonly #groupOf = new Map<Parameter, number>()
  /** Those that were frozen when the optimizer was made. */
  readonly #leftOut: Parameter[]
  readonly #history: View
  readonly #one: View
  readonly #clip: View
  readonly #norm: View
  /** The step that index 0 of `history` holds. */
  #base = 0
  #disposed = false

  /**
   * For the class of a rule: takes memory for what it keeps.
   * @throws ConfigError naming an option that the rule does not have, or a value that cannot be right.
   */
  constructor(gpu: Gpu, rule: Rule<S>, groups: ParameterGroup[], options: object) {
    expectGpu(`${rule.name}: gpu`, gpu)
    const given = checkGroups(rule.name, gpu, groups)
    if (typeof options !== 'object' || options === null)
      throw new ConfigError(`${rule.name}: options is ${shown(options)}, expected an object`)
    this.#gpu = gpu
    this.#rule = rule
    this.#leftOut = given.flatMap(({ params }) => params.filter(parameter => !parameter.requiresGrad))
    this.groups = given.map(({ params, ...own }) => ({
      ...rule.settings(withDefaults(rule, options, own)),
      params: params.filter(parameter => parameter.requiresGrad),
    }))
    this.#checkSettings()
    this.#states = rule.states(this.groups)
    this.#update = { name: rule.name, wgsl: rule.wgsl, states: this.#states.length }
    const arenas = new Set<Arena>()
    const tables = new Set<TableParameter>()
    for (const [index, { params }] of this.groups.entries()) {
      for (const parameter of params) {
        this.#assign(parameter, index)
        if (parameter instanceof DenseParameter) arenas.add(parameter.arena!)
        else tables.add(parameter)
      }
    }
    this.#history = gpu.allocate(HISTORY_STEPS * this.#numbers(1).length * 4, 'optimizer history')
    this.#one = gpu.allocate(4)
    this.#clip = gpu.allocate(4)
    this.#norm = gpu.allocate(4)
    gpu.upload(this.#one, Float32Array.of(1))
    this.#arenas = [...arenas].flatMap(arena =>
      arenaStates(gpu, arena, this.#states.length, parameter => this.#groupOf.has(parameter)),
    )
    this.#tables = [...tables].map(table => {
      const group = this.#groupOf.get(table)!
      const idle = rule.movesIdleRows(this.groups[group]!, this.#states) ? 'move' : 'stay'
      return new TableState(gpu, table, { rule: this.#update, byRow: rule.byRow === true, group, idle })
    })
    for (const state of this.#tables) state.table.beforeRead = rows => this.#catchUp(state, rows)
  }

  /**
   * Takes one step with the gradients there are. With `maxGradNorm`, gradients are scaled as
   * `torch.nn.utils.clip_grad_norm_` does. The gradient norm before clipping stays on the device: see `gradNorm`. What the
   * step recorded is then submitted, all at once. With `scaler`, gradients are those of a loss it scaled: they are unscaled,
   * and when one overflowed, the step changes nothing but the scale.
   * @throws OutOfMemoryError where the limit that the device was opened with leaves no room for it: nothing has changed.
   */
  step(options: StepOptions = {}): void {
    const gpu = this.#gpu
    this.#checkStep(options)
    const { scaler } = options
    if (this.#leftOut.some(parameter => parameter.requiresGrad)) {
      throw new ConfigError(
        'a parameter was unfrozen that this optimizer left out when it was made; make a new optimizer',
      )
    }
    if (this.stepCount - this.#base === HISTORY_STEPS) this.#restartHistory()
    this.#checkSettings()
    this.#checkLayout()
    const step = this.stepCount + 1
    const index = step - this.#base - 1
    if (step === 1 || scaler) this.#checkFirstGradients()
    const numbers = this.#numbers(step, scaler !== undefined)
    gpu.upload(this.#history, Float32Array.from(numbers), index * numbers.length * 4)
    this.#prepareTables(step)
    try {
      this.#record(step, index, options)
    } catch (error) {
      for (const table of this.#tables) table.cancel()
      throw error
    }
    gpu.flush()
    noteStep(gpu)
  }

  /**
   * Before `step`, where several processes train one model: gives every rank the sum of all ranks' gradients, the same bits on each. Norm, clipping
   * and a scaler's overflow are those of the sum.
   */
  async exchange(ranks: Ranks): Promise<void> {
    this.#checkAlive('exchange')
    await exchangeGradients(this.#gpu, ranks, { arenas: this.#arenas, tables: this.#tables })
  }

  /** Records a step whose tables are prepared. */
  #record(step: number, index: number, { maxGradNorm = 0, scaler }: StepOptions): void {
    const gpu = this.#gpu
    const active = this.#arenas.map(state => state.show(parameter => this.#groupOf.get(parameter)))
    const measured = maxGradNorm > 0 || scaler !== undefined
    const clip = measured ? this.#clip : this.#one
    if (measured) this.#measureNorm(maxGradNorm)
    scaler?.update({
      rule: this.#update,
      norm: this.#norm,
      coefficient: clip,
      history: this.#history,
      step: index,
      groups: this.groups.length,
      maxNorm: maxGradNorm,
    })
    this.stepCount = step
    const shared = { history: this.#history, clip, groups: this.groups.length }
    for (const [i, { arena, w, states, g, slots, blocks }] of this.#arenas.entries()) {
      if (!active[i]) continue
      optimizerDense(gpu, this.#update, { ...shared, w, states, g, slots, blocks, step: index })
      weightsChanged(arena)
    }
    noteChange(...this.#stepped())
    for (const table of this.#tables) table.step(shared, this.#base, step)
  }

  /** The dense parameters that a step changes, with what lies in them. */
  #stepped(): DenseParameter[] {
    return [...this.#groupOf.keys()].filter(
      (parameter): parameter is DenseParameter =>
        parameter instanceof DenseParameter && parameter.hasGrad && parameter.requiresGrad,
    )
  }

  #checkStep(options: StepOptions): void {
    this.#checkAlive('step')
    const where = `${this.#rule.name}.step`
    expectOptions(`${where}: options`, options, ['maxGradNorm', 'scaler'])
    const { maxGradNorm, scaler } = options
    if (maxGradNorm !== undefined) expectNumber(`${where}: maxGradNorm`, maxGradNorm, NON_NEGATIVE)
    if (scaler !== undefined && !(scaler instanceof GradScaler))
      throw new ArgumentError(`${where}: scaler is ${shown(scaler)}, expected a GradScaler`)
    if (scaler) expectDevice(where, 'scaler', scaler.gpu, 'the optimizer', this.#gpu)
  }

  /** A freed optimizer or model leaves memory behind that others use by now. */
  #checkAlive(what: string): void {
    const where = `${this.#rule.name}.${what}`
    if (this.#disposed) throw new KernelgradError(`${where}: the optimizer was disposed; make a new one`)
    const gone =
      this.#arenas.some(state => !state.current) ||
      this.#tables.some(({ table, shards }) => !table.placed || table.shards !== shards)
    if (gone)
      throw new KernelgradError(
        `${where}: the model was freed, or moved by to(), since the optimizer was made; make a new one`,
      )
  }

  /** All of a step that asks for memory without a bound: where there is none, it has changed nothing and can be taken again. */
  #prepareTables(step: number): void {
    const shared = { history: this.#history, clip: this.#one, groups: this.groups.length }
    try {
      for (const table of this.#tables) {
        table.merge()
        table.prepare(shared, this.#base, step)
      }
    } catch (error) {
      for (const table of this.#tables) table.cancel()
      throw error
    }
  }

  /** The last step's gradient norm before clipping, unscaled, when it was clipped or a scaler took part. */
  async gradNorm(): Promise<number> {
    return (await this.#gpu.readFloats(this.#norm))[0]!
  }

  /** A view of the last clipped step's gradient norm, [1], for reading late. */
  get gradNormView(): View {
    return this.#norm
  }

  /** Forgets the gradients of every parameter. */
  zeroGrad(): void {
    for (const parameter of this.#groupOf.keys()) parameter.zeroGrad()
  }

  /** Brings every row of every table up to date: before evaluation, saving, or reading weights out. */
  synchronize(): void {
    this.#checkAlive('synchronize')
    for (const state of this.#tables) this.#catchUp(state)
  }

  /** What is kept of a parameter, under torch's names in camelCase (`expAvg`), every row up to date. */
  async readState(parameter: Parameter): Promise<State> {
    const state: Record<string, Float32Array<ArrayBuffer>> = {}
    for (const { name, shape, parts } of this.stateOf(parameter)) {
      const values = new Float32Array(shape.reduce((product, n) => product * n, 1))
      let start = 0
      for (const { view, size } of parts) {
        values.set(await this.#gpu.readFloats({ ...view, size: size * 4 }), start)
        start += size
      }
      state[name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())] = values
    }
    return state as State
  }

  /** Where what is kept of a parameter lies, every row up to date: for checkpoints. */
  stateOf(parameter: Parameter): StateTensor[] {
    this.#checkAlive('stateOf')
    const found = this.#partsOf(parameter)
    if (!found) throw new ConfigError('the parameter belongs to no group of this optimizer')
    const byRow = this.#rule.byRow && !(parameter instanceof DenseParameter)
    const shape = byRow ? parameter.shape.slice(0, 1) : parameter.shape
    return this.#states.map((name, k) => ({ name, shape, parts: found.map(parts => parts[k]!) }))
  }

  /** Goes on after `steps` steps, whose state has been written to what `stateOf` names and whose weights are the model's. */
  loadState(steps: number): void {
    this.#checkAlive('loadState')
    expectNumber(`${this.#rule.name}.loadState: steps`, steps, NATURAL)
    this.stepCount = steps
    this.#base = steps
    for (const state of this.#tables) state.resume(steps)
  }

  /** Returns the optimizer's memory; call `synchronize()` first where the model is used on. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    for (const state of this.#arenas) state.dispose()
    for (const state of this.#tables) state.dispose()
    for (const view of [this.#history, this.#one, this.#clip, this.#norm]) this.#gpu.release(view)
  }

  #assign(parameter: Parameter, group: number): void {
    if (this.#groupOf.has(parameter)) throw new ConfigError('a parameter stands in two parameter groups')
    this.#groupOf.set(parameter, group)
    if (!(parameter instanceof DenseParameter) || !parameter.parent) return
    const known = this.#groupOf.get(parameter.parent)
    if (known !== undefined && known !== group) {
      throw new ConfigError('parameters packed side by side (q, k and v) must be in one parameter group')
    }
    this.#groupOf.set(parameter.parent, group)
  }

  /** A list of consecutive parts, each with a part of every state; undefined for a parameter of no group. */
  #partsOf(parameter: Parameter): StatePart[][] | undefined {
    if (parameter instanceof DenseParameter)
      return this.#groupOf.has(parameter)
        ? this.#arenas.find(state => state.holds(parameter))?.partsOf(parameter)
        : undefined
    const state = this.#tables.find(({ table }) => table === parameter)
    if (state) this.#catchUp(state)
    return state?.parts()
  }

  #checkSettings(): void {
    for (const [index, group] of this.groups.entries()) this.#rule.check(group, checkOf(this.#rule, index))
  }

  /** Settings may be changed between steps, but not what memory and replay rest on. */
  #checkLayout(): void {
    const rule = this.#rule
    const moves = ({ group }: TableState) => rule.movesIdleRows(this.groups[group]!, this.#states)
    if (
      rule.states(this.groups).join() !== this.#states.join() ||
      this.#tables.some(table => moves(table) !== (table.idle === 'move'))
    )
      throw new ConfigError(
        `${rule.name}: a setting was changed to or from 0 that decides what is kept of a parameter; make a new optimizer`,
      )
  }

  /** Where a parameter's first gradient makes another kind of step, all parameters have to have theirs in the first step taken. */
  #checkFirstGradients(): void {
    for (const [index, group] of this.groups.entries()) {
      const setting = this.#rule.differsInFirstStep?.(group)
      const without =
        setting &&
        group.params.find(
          parameter => !parameter.requiresGrad || (parameter instanceof DenseParameter && !parameter.hasGrad),
        )
      if (without)
        throw new ConfigError(
          `${this.#rule.name}: ${setting} does not count in a parameter's first step, and a parameter of shape [${without.shape}] in ` +
            `parameter group ${index} has no gradient in this one; leave it out of the optimizer, or set ${setting} to 0`,
        )
    }
  }

  /** A step's numbers, group by group. */
  #numbers(step: number, pending = false): number[] {
    return this.groups.flatMap(group =>
      pending ? this.#rule.pending(group) : this.#rule.numbers(group, step),
    )
  }

  #measureNorm(maxNorm: number): void {
    const dense = this.#arenas.map(({ g }) => ({ view: g, n: g.size / 4 }))
    const sparse = this.#tables.flatMap(table => table.gradParts())
    gradNorm(this.#gpu, { parts: [...dense, ...sparse], maxNorm, norm: this.#norm, coefficient: this.#clip })
  }

  #catchUp(state: TableState, rows?: Uint32Array): void {
    const shared = { history: this.#history, clip: this.#one, groups: this.groups.length }
    state.catchUp(shared, this.#base, this.stepCount, rows)
  }

  /** The history is full: every row catches up with it, and it starts again. */
  #restartHistory(): void {
    this.synchronize()
    this.#base = this.stepCount
  }
}
