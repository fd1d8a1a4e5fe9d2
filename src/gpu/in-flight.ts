import { wait } from '#platform'
import type { Gpu } from './gpu.ts'

/**
 * Lets at most `limit` pieces of work be under way: recording is faster than the device, and an unbounded queue would
 * hold every step's memory. Work is waited for oldest first.
 *
 * @example
 * ```ts
 * import { InFlight } from 'kernelgrad/gpu'
 *
 * const inFlight = new InFlight()
 * for (let i = 0; i < 100; i++) {
 *   optimizer.step()
 *   await inFlight.push(gpu)
 * }
 * await inFlight.drain()
 * ```
 */
export class InFlight {
  readonly #limit: number
  readonly #pending: Promise<unknown>[] = []

  /** At most `limit` pieces are under way. */
  constructor(limit = 2) {
    this.#limit = limit
  }

  /** Adds work (by default all that `gpu` has been given) and waits until no more than the limit is under way. */
  async push(gpu: Gpu, work?: Promise<unknown>): Promise<void> {
    // Whoever waits for it is told why it failed; until then, or where an earlier one failed first, nobody waits.
    work?.catch(() => {})
    gpu.flush()
    const pending = work ?? gpu.finished()
    pending.catch(() => {})
    this.#pending.push(pending)
    while (this.#pending.length > this.#limit) await wait(this.#pending.shift()!)
  }

  /** Waits for everything. */
  async drain(): Promise<void> {
    while (this.#pending.length) await wait(this.#pending.shift()!)
  }
}
