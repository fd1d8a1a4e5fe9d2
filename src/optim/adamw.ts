import {
  type Arena,
  DenseParameter,
  type Parameter,
  type TableParameter,
  weightsChanged,
} from '../autograd/index.ts'
import { ConfigError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { type AdamWStep, adamw, adamwHistory } from '../kernels/adamw.ts'
import { gradNorm } from '../kernels/reduce.ts'
import { scalerPending } from '../kernels/scaler.ts'
import { type ArenaState, arenaStates } from './arena-state.ts'
import type { GradScaler } from './grad-scaler.ts'
import { type MomentChunk, TableState } from './table-state.ts'

/** Settings of a group, under the names and with the defaults of `torch.optim.AdamW`. */
export interface AdamWOptions {
  /** Learning rate, default 1e-3. */
  lr?: number
  /** Decay of the first and second moment, default 0.9 and 0.999. */
  betas?: readonly [number, number]
  /** Added to the root of the second moment, default 1e-8. */
  eps?: number
  /** Decoupled weight decay, default 0.01. */
  weightDecay?: number
}

/** Parameters that share settings; `lr` may be changed between steps. */
export interface ParameterGroup extends AdamWOptions {
  params: Iterable<Parameter>
}

/** A group with every setting filled in. */
export interface FullGroup extends AdamWStep {
  params: Parameter[]
}

const HISTORY_STEPS = 4096
const FLOATS = 8

/**
 * AdamW with parameter groups: `torch.optim.AdamW`. Dense parameters are updated one launch per arena. Embedding tables are
 * updated only in the rows that have gradients; the others catch up, step by step and to the bit, before they are next
 * read. A parameter without a gradient since `zeroGrad` is left alone. Parameters that are frozen when the optimizer is made are not
 * taken into it and cost no memory: after unfreezing them, make a new one. One that is frozen later stays as it is, moments
 * included, until it is trained again.
 */
export class AdamW {
  readonly groups: FullGroup[]
  /** Steps taken, those included that a scaler made void. */
  stepCount = 0
  readonly #gpu: Gpu
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

  constructor(
    gpu: Gpu,
    groups: ParameterGroup[],
    { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01 }: AdamWOptions = {},
  ) {
    this.#gpu = gpu
    const given = groups.map(group => ({ ...group, params: [...group.params] }))
    this.#leftOut = given.flatMap(({ params }) => params.filter(parameter => !parameter.requiresGrad))
    this.groups = given.map(group => ({
      params: group.params.filter(parameter => parameter.requiresGrad),
      lr: group.lr ?? lr,
      beta1: (group.betas ?? betas)[0],
      beta2: (group.betas ?? betas)[1],
      eps: group.eps ?? eps,
      weightDecay: group.weightDecay ?? weightDecay,
    }))
    const arenas = new Set<Arena>()
    const tables = new Set<TableParameter>()
    for (const [index, { params }] of this.groups.entries()) {
      for (const parameter of params) {
        this.#assign(parameter, index)
        if (parameter instanceof DenseParameter) arenas.add(parameter.arena!)
        else tables.add(parameter)
      }
    }
    this.#history = gpu.allocate(HISTORY_STEPS * this.groups.length * FLOATS * 4, 'optimizer history')
    this.#one = gpu.allocate(4)
    this.#clip = gpu.allocate(4)
    this.#norm = gpu.allocate(4)
    gpu.upload(this.#one, Float32Array.of(1))
    this.#arenas = [...arenas].flatMap(arena =>
      arenaStates(gpu, arena, parameter => this.#groupOf.has(parameter)),
    )
    this.#tables = [...tables].map(table => new TableState(gpu, table, this.#groupOf.get(table)!))
    for (const state of this.#tables) state.table.beforeRead = rows => this.#catchUp(state, rows)
  }

  /**
   * Takes one step with the gradients there are. With `maxGradNorm`, gradients are scaled as
   * `torch.nn.utils.clip_grad_norm_` does. The gradient norm before clipping stays on the device: see `gradNorm`. What the
   * step recorded is then submitted, all at once. With `scaler`, gradients are those of a loss it scaled: they are unscaled,
   * and when one overflowed, the step changes nothing but the scale.
   */
  step({ maxGradNorm = 0, scaler }: { maxGradNorm?: number; scaler?: GradScaler | undefined } = {}): void {
    const gpu = this.#gpu
    if (this.#leftOut.some(parameter => parameter.requiresGrad)) {
      throw new ConfigError(
        'a parameter was unfrozen that this optimizer left out when it was made; make a new optimizer',
      )
    }
    if (this.stepCount - this.#base === HISTORY_STEPS) this.#restartHistory()
    this.stepCount++
    const index = this.stepCount - this.#base - 1
    const numbers = this.groups.flatMap(group =>
      scaler ? scalerPending(group) : adamwHistory(group, this.stepCount),
    )
    gpu.upload(this.#history, Float32Array.from(numbers), index * numbers.length * 4)
    for (const table of this.#tables) table.merge()
    const active = this.#arenas.map(state => state.show(parameter => this.#groupOf.get(parameter)))
    const measured = maxGradNorm > 0 || scaler !== undefined
    const clip = measured ? this.#clip : this.#one
    if (measured) this.#measureNorm(maxGradNorm)
    scaler?.update({
      norm: this.#norm,
      coefficient: clip,
      history: this.#history,
      step: index,
      groups: this.groups.length,
      maxNorm: maxGradNorm,
    })
    const shared = { history: this.#history, clip, groups: this.groups.length }
    for (const [i, { arena, w, m, v, g, slots, blocks }] of this.#arenas.entries()) {
      if (!active[i]) continue
      adamw(gpu, { ...shared, w, m, v, g, slots, blocks, step: index })
      weightsChanged(arena)
    }
    for (const table of this.#tables) table.step(shared, this.#base, this.stepCount)
    gpu.flush()
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
    for (const state of this.#tables) this.#catchUp(state)
  }

  /** First and second moments of a parameter, as torch's exp_avg and exp_avg_sq, every row up to date. */
  async readState(parameter: Parameter): Promise<{ expAvg: Float32Array; expAvgSq: Float32Array }> {
    const [expAvg, expAvgSq] = [new Float32Array(parameter.size), new Float32Array(parameter.size)]
    let start = 0
    for (const chunk of this.momentChunks(parameter)) {
      const bytes = chunk.size * 4
      expAvg.set(await this.#gpu.readFloats({ ...chunk.expAvg, size: bytes }), start)
      expAvgSq.set(await this.#gpu.readFloats({ ...chunk.expAvgSq, size: bytes }), start)
      start += chunk.size
    }
    return { expAvg, expAvgSq }
  }

  /** Where a parameter's moments lie, in order, every row up to date: for checkpoints. */
  momentChunks(parameter: Parameter): MomentChunk[] {
    if (!(parameter instanceof DenseParameter)) {
      const state = this.#tables.find(({ table }) => table === parameter)
      if (!state) throw new ConfigError('the parameter belongs to no group of this optimizer')
      this.#catchUp(state)
      return state.chunks()
    }
    const state = this.#groupOf.has(parameter) && this.#arenas.find(state => state.holds(parameter))
    if (!state) throw new ConfigError('the parameter belongs to no group of this optimizer')
    const { m, v } = state.momentsOf(parameter)
    return [{ expAvg: m, expAvgSq: v, size: parameter.size }]
  }

  /** Goes on after `steps` steps, whose moments have been written to `momentChunks` and whose weights are the model's. */
  loadState(steps: number): void {
    this.stepCount = steps
    this.#base = steps
    for (const state of this.#tables) state.resume(steps)
  }

  /** Returns the optimizer's memory; call `synchronize()` first where the model is used on. */
  dispose(): void {
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

  #measureNorm(maxNorm: number): void {
    const dense = this.#arenas.map(({ g }) => ({ view: g, n: g.size / 4 }))
    const sparse = this.#tables.flatMap(({ merged }) =>
      merged ? [{ view: merged.values.view, n: merged.values.size }] : [],
    )
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
