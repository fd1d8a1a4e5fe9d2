// What a run's ranks do together at each step. A run that is alone has no peers, and its loop nothing of this.
import { type Parameter, readParameter, writeParameter } from '../autograd/index.ts'
import { batchStarts, partOf } from '../data/lists.ts'
import { type Cuts, cutsOf } from '../data/stream-plan.ts'
import { choicesOf, setChoices } from '../kernels/tuning.ts'
import type { Model } from '../models/index.ts'
import { Counter } from '../nn/buffers.ts'
import type { Optimizer } from '../optim/index.ts'
import type { Ranks } from '../ranks/index.ts'
import { epochOrder } from './batches.ts'
import type { TrainerControl } from './callbacks.ts'
import type { Fingerprints } from './fingerprint.ts'
import { agreeOnRun } from './ranks-agree.ts'
import type { StageRows } from './stage-data.ts'
import { batchSizeOf, type Stage } from './stages.ts'
import type { CheckedOptions } from './trainer-options.ts'
import type { Stopwatch, TrainerState } from './trainer-state.ts'

/** Of each micro-batch of an epoch: this rank's rows, and those of all. */
type Shares = (microBatch: number) => { own: number; all: number }

/** The rest of a run, as one of its ranks sees it. */
export class Peers {
  readonly ranks: Ranks
  readonly #model: Model
  /** Values that each forward pass changes, such as running statistics. */
  readonly #buffers: Parameter[]
  /** Whether this rank was asked to end the run; all of them do at the next step. */
  interrupted = false
  /** What masks are drawn from on rank 0, while this rank has its own. */
  #seed: number | undefined
  #shares: Shares = () => ({ own: 1, all: 1 })

  constructor(ranks: Ranks, model: Model) {
    this.ranks = ranks
    this.#model = model
    this.#buffers = [...model.namedBuffers()].flatMap(([, one]) => (one instanceof Counter ? [] : one))
  }

  /** What a loader is to make of each micro-batch. */
  get cut() {
    const { rank, size } = this.ranks
    return { part: { rank, size } }
  }

  /** Adds up values of all ranks, in place. */
  readonly sum = (values: Float32Array): Promise<void> => this.ranks.sum(values)

  /**
   * Before the first step: holds what the run begins with against the others', and draws dropout masks of its own from now on.
   * @throws RankError naming the first rank that differs, and in what
   */
  async meet(options: CheckedOptions, data: Fingerprints, state: TrainerState): Promise<void> {
    await agreeOnRun(options, data, state)
    const { rng } = this.#model
    this.#seed = rng.seed
    // Rank 0 keeps the seed: a checkpoint holds it.
    rng.seed = (rng.seed ^ Math.imul(this.ranks.rank, 0x9e3779b1)) >>> 0
  }

  /** After the last step: masks are drawn as on rank 0 again. */
  leave(): void {
    if (this.#seed !== undefined) this.#model.rng.seed = this.#seed
    this.#seed = undefined
  }

  /** All take the forms that rank 0 has: with other forms, a resumed run would end with other bits. */
  async sameForms(state: TrainerState): Promise<void> {
    const { gpu } = this.#model
    const own = new TextEncoder().encode(JSON.stringify([choicesOf(gpu), state.kernel_tuning]))
    const [choices, tuning] = JSON.parse(new TextDecoder().decode(await this.#fromFirst(own)))
    setChoices(gpu, choices)
    Object.assign(state, { kernel_choices: choicesOf(gpu), kernel_tuning: tuning })
  }

  /** Goes through an epoch of a stage, which is counted through all stages. */
  begin({ config, ranks }: Stage, { units, stream }: StageRows, epoch: number): void {
    if (stream) {
      const size = batchSizeOf(config).batchSize
      const cuts = Array.from({ length: ranks }, (_, rank) =>
        cutsOf(stream.length, size, { rank, size: ranks }),
      )
      const rows = ({ startOf }: Cuts, i: number) => startOf(i + 1) - startOf(i)
      this.#shares = i => ({
        own: rows(cuts[this.ranks.rank]!, i),
        all: cuts.reduce((sum, one) => sum + rows(one, i), 0),
      })
      return
    }
    const order = epochOrder(units.count, config, epoch)
    const starts = batchStarts(units, order, batchSizeOf(config, ranks))
    const rows = (part: Uint32Array) => units.rowsOf(part).length
    this.#shares = microBatch => {
      const batch = order.subarray(starts[microBatch], starts[microBatch + 1])
      return { own: rows(partOf(batch, this.ranks)), all: rows(batch) }
    }
  }

  /**
   * What part of a micro-batch's loss this rank's is: by what its loss is a mean over, its rows unless the model says otherwise. One without rows
   * computes another's first, for nothing.
   * @param count of what the rank's own loss is a mean over, where that is not rows.
   */
  async share(microBatch: number, count: number | 'sum' | undefined): Promise<number> {
    const { own, all } = this.#shares(microBatch)
    if (count === undefined) return own / all
    if (count === 'sum') return own ? 1 : 0
    const mine = own ? count : 0
    const sum = Float32Array.of(mine)
    await this.ranks.sum(sum)
    return sum[0] ? mine / sum[0] : 0
  }

  /** Before an optimizer's step: sums gradients, and takes rank 0's running statistics, as DistributedDataParallel does. */
  async exchange(optimizer: Optimizer, watch: Stopwatch): Promise<void> {
    await watch.time('exchange', async () => {
      await optimizer.exchange(this.ranks)
      if (this.#buffers.length) await this.#shareBuffers()
    })
  }

  async #shareBuffers(): Promise<void> {
    const own = this.ranks.rank ? [] : await Promise.all(this.#buffers.map(readParameter))
    const size = own.reduce((sum, values) => sum + values.length, 0)
    const joined = new Float32Array(size)
    let at = 0
    for (const values of own) {
      joined.set(values, at)
      at += values.length
    }
    const bytes = (await this.#fromFirst(new Uint8Array(joined.buffer))).slice()
    const first = new Float32Array(bytes.buffer)
    at = 0
    for (const buffer of this.#buffers) {
      writeParameter(buffer, first.subarray(at, at + buffer.size))
      at += buffer.size
    }
  }

  /**
   * What any rank wants done next, all do.
   * @returns whether the run is to end, and whether losses are to be read
   */
  async agree(control: TrainerControl, due: boolean): Promise<{ interrupted: boolean; due: boolean }> {
    const names = ['shouldTrainingStop', 'shouldEvaluate', 'shouldSave', 'shouldLog'] as const
    const wants = Float32Array.from([...names.map(name => control[name]), this.interrupted, due], Number)
    await this.ranks.sum(wants)
    for (const [i, name] of names.entries()) control[name] = wants[i]! > 0
    return { interrupted: wants[4]! > 0, due: wants[5]! > 0 }
  }

  async #fromFirst(bytes: Uint8Array): Promise<Uint8Array> {
    const all = await this.ranks.gather(this.ranks.rank ? new Uint8Array(0) : bytes)
    return all[0]!
  }
}
