import {
  type Arena,
  BLOCK_BYTES,
  DenseParameter,
  type Parameter,
  type TableParameter,
  weightsChanged,
} from '../autograd/index.ts'
import { ConfigError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { ADAMW_SKIP, type AdamWStep, adamw, adamwHistory } from '../kernels/adamw.ts'
import { fill } from '../kernels/elementwise.ts'
import { gradNorm } from '../kernels/reduce.ts'
import { scalerPending } from '../kernels/scaler.ts'
import type { GradScaler } from './grad-scaler.ts'
import { type MomentChunk, TableState } from './table-state.ts'

export interface AdamWOptions {
  /** Learning rate of groups that name none. */
  lr?: number
  betas?: readonly [number, number]
  eps?: number
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

/** Flat memory of one arena and its moments. */
interface ArenaState {
  arena: Arena
  m: View
  v: View
  slots: View
  /** What `slots` holds, to upload it only when it changes. */
  shown: string
  blocks: number
}

const HISTORY_STEPS = 4096
const FLOATS = 8

/**
 * AdamW with parameter groups: `torch.optim.AdamW`. Dense parameters are updated one launch per arena. Embedding tables are
 * updated only in the rows that have gradients; the others catch up, step by step and to the bit, before they are next
 * read. A parameter without a gradient since `zeroGrad` is left alone, and so is a frozen one.
 */
export class AdamW {
  readonly groups: FullGroup[]
  /** Steps taken, those included that a scaler made void. */
  stepCount = 0
  readonly #gpu: Gpu
  readonly #arenas: ArenaState[]
  readonly #tables: TableState[]
  readonly #groupOf = new Map<Parameter, number>()
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
    this.groups = groups.map(group => ({
      params: [...group.params],
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
    fill(gpu, { out: this.#one, value: 1, n: 1 })
    this.#arenas = [...arenas].map(arena => this.#arenaState(arena))
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
    if (this.stepCount - this.#base === HISTORY_STEPS) this.#restartHistory()
    this.stepCount++
    const index = this.stepCount - this.#base - 1
    const numbers = this.groups.flatMap(group =>
      scaler ? scalerPending(group) : adamwHistory(group, this.stepCount),
    )
    gpu.upload(this.#history, Float32Array.from(numbers), index * numbers.length * 4)
    for (const table of this.#tables) table.merge()
    const active = this.#arenas.map(state => this.#showSlots(state))
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
    for (const [i, { arena, m, v, slots, blocks }] of this.#arenas.entries()) {
      if (!active[i]) continue
      adamw(gpu, { ...shared, w: arena.weights, m, v, g: arena.grads, slots, blocks, step: index })
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
    const state = this.#arenas.find(({ arena }) => arena === parameter.arena)
    if (!state) throw new ConfigError('the parameter belongs to no group of this optimizer')
    const { offset, size } = parameter.view
    const [expAvg, expAvgSq] = [state.m, state.v].map(({ buffer }) => ({ buffer, offset, size })) as [
      View,
      View,
    ]
    return [{ expAvg, expAvgSq, size: parameter.size }]
  }

  /** Goes on after `steps` steps, whose moments have been written to `momentChunks` and whose weights are the model's. */
  loadState(steps: number): void {
    this.stepCount = steps
    this.#base = steps
    for (const state of this.#tables) state.resume(steps)
  }

  /** Returns the optimizer's memory; call `synchronize()` first where the model is used on. */
  dispose(): void {
    for (const { m, v, slots } of this.#arenas) for (const view of [m, v, slots]) this.#gpu.release(view)
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

  #arenaState(arena: Arena): ArenaState {
    const gpu = this.#gpu
    const bytes = arena.weights.size
    const zeros = () => {
      const view = gpu.allocate(bytes, 'optimizer moments')
      gpu.clear(view)
      return view
    }
    const blocks = bytes / BLOCK_BYTES
    return {
      arena,
      m: zeros(),
      v: zeros(),
      slots: gpu.allocate(blocks * 4, 'optimizer slots'),
      shown: '',
      blocks,
    }
  }

  /** Uploads which group each block belongs to, if that changed. False when no block has a gradient. */
  #showSlots(state: ArenaState): boolean {
    const slotOf = (parameter: DenseParameter) =>
      parameter.hasGrad && parameter.requiresGrad ? (this.#groupOf.get(parameter) ?? ADAMW_SKIP) : ADAMW_SKIP
    const slots = state.arena.blocks.map(({ parameter }) => slotOf(parameter))
    if (slots.join() !== state.shown) {
      const table = new Uint32Array(state.blocks)
      for (const [i, { offset, bytes }] of state.arena.blocks.entries()) {
        table.fill(slots[i]!, offset / BLOCK_BYTES, (offset + bytes) / BLOCK_BYTES)
        // The norm runs over whole arenas: a gradient left over from an earlier step must not count.
        if (slots[i] === ADAMW_SKIP)
          this.#gpu.clear({ buffer: state.arena.grads.buffer, offset, size: bytes })
      }
      this.#gpu.upload(state.slots, table)
      state.shown = slots.join()
    }
    return slots.some(slot => slot !== ADAMW_SKIP)
  }

  #measureNorm(maxNorm: number): void {
    const dense = this.#arenas.map(({ arena }) => ({ view: arena.grads, n: arena.grads.size / 4 }))
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
