import type { Tensor } from '../autograd/index.ts'
import type { Gpu, View } from '../gpu/index.ts'

const SLOTS = 1 << 14
const RECENT = 20

/** What a checkpoint keeps of the losses. */
export interface LossState {
  /** Of the steps since the last log line, each the mean of its micro-batches. */
  since_log: number[]
  /** Sum over all steps. */
  total: number
}

/**
 * Losses of micro-batches, kept on the device so that a step reads nothing back; they are read together, late.
 */
export class LossLog {
  /** The first loss read that is not a number: step, counted from 0, and micro-batch of that step. */
  broken: { step: number; microBatch: number } | undefined
  readonly #gpu: Gpu
  readonly #ring: View
  /** Micro-batches of each step that has not been read. */
  #unread: number[] = []
  #open = 0
  #logged = 0
  #step: number
  #sinceLog: number[]
  #recent: number[] = []
  #total: number
  /** Of the micro-batches in `#unread` and `#open`, the part of each that these losses are, where several processes share them. */
  #shares: number[] = []
  readonly #sum: ((values: Float32Array) => Promise<void>) | undefined

  /**
   * @param step steps taken before, and `saved` what was kept of them.
   * @param sum makes sums over all processes of losses times their shares, where several train.
   */
  constructor(
    gpu: Gpu,
    step = 0,
    saved: LossState = { since_log: [], total: 0 },
    sum?: (values: Float32Array) => Promise<void>,
  ) {
    this.#gpu = gpu
    this.#sum = sum
    this.#ring = gpu.allocate(SLOTS * 4, 'losses')
    this.#step = step
    this.#sinceLog = [...saved.since_log]
    this.#total = saved.total
  }

  /** Notes the loss, [1], of a micro-batch of the step under way. */
  add(loss: Tensor, share = 1): void {
    if (this.#sum) this.#shares.push(share)
    this.#gpu.copy(loss.view, { buffer: this.#ring.buffer, offset: (this.#logged++ % SLOTS) * 4, size: 4 }, 4)
    this.#open++
  }

  endStep(): void {
    this.#unread.push(this.#open)
    this.#open = 0
  }

  /** Whether losses must be read before the ring overwrites them. */
  get filling(): boolean {
    return this.#unread.reduce((sum, count) => sum + count, this.#open) > SLOTS / 2
  }

  /** Reads what has been noted since the last time. Losses of a step that has not ended wait for the next. */
  async read(): Promise<void> {
    const steps = this.#unread
    if (!steps.length) return
    this.#unread = []
    let at = this.#logged - this.#open - steps.reduce((sum, count) => sum + count, 0)
    const values = await this.#gpu.readFloats({ ...this.#ring, size: SLOTS * 4 })
    if (this.#sum) await this.#sumOver(values, at, this.#logged - this.#open)
    for (const count of steps) {
      let loss = 0
      for (let microBatch = 0; microBatch < count; microBatch++) {
        const value = values[at++ % SLOTS]!
        if (!Number.isFinite(value)) this.broken ??= { step: this.#step, microBatch }
        loss += value / count
      }
      this.#step++
      this.#total += loss
      this.#sinceLog.push(loss)
      this.#recent.push(loss)
    }
    this.#recent = this.#recent.slice(-RECENT)
  }

  /** Losses number `first` to before `end`, each in the place of a micro-batch's of all processes. */
  async #sumOver(values: Float32Array, first: number, end: number): Promise<void> {
    const shares = this.#shares.splice(0, end - first)
    // A share of nothing has no loss, whatever its batch would give.
    const own = Float32Array.from(shares, (share, i) => share && share * values[(first + i) % SLOTS]!)
    await this.#sum!(own)
    for (const [i, loss] of own.entries()) values[(first + i) % SLOTS] = loss
  }

  /** Mean of the last steps read, for a progress bar. */
  get recent(): number {
    return mean(this.#recent)
  }

  /** Mean over the steps read since this was last asked for. */
  takeMean(): number {
    const loss = mean(this.#sinceLog)
    this.#sinceLog = []
    return loss
  }

  /** Sum over all steps read, those before the checkpoint that a run went on from included. */
  get total(): number {
    return this.#total
  }

  /** What `read` has read, for a checkpoint. */
  state(): LossState {
    return { since_log: [...this.#sinceLog], total: this.#total }
  }

  dispose(): void {
    this.#gpu.release(this.#ring)
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
