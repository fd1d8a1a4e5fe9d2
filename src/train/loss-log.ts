import type { Tensor } from '../autograd/index.ts'
import type { Gpu, View } from '../gpu/index.ts'

const SLOTS = 1 << 14

/**
 * Losses of recent micro-batches, kept on the device so that a step reads nothing back; they are read together, late.
 */
export class LossLog {
  readonly #gpu: Gpu
  readonly #ring: View
  /** Per step, how many micro-batches were logged before it. */
  readonly #starts: number[] = []
  #logged = 0

  constructor(gpu: Gpu) {
    this.#gpu = gpu
    this.#ring = gpu.allocate(SLOTS * 4, 'losses')
  }

  /** Notes one micro-batch's loss, [1], of step `step`; steps are counted from 0 and logged in order. */
  add(step: number, loss: Tensor): void {
    this.#starts[step] ??= this.#logged
    this.#gpu.copy(loss.view, { buffer: this.#ring.buffer, offset: (this.#logged++ % SLOTS) * 4, size: 4 }, 4)
  }

  /**
   * Mean loss over steps `from` to `to - 1`, each the mean of its micro-batches, and the first of them that is not a
   * number. Steps that the ring no longer holds are left out.
   */
  async mean(from: number, to: number): Promise<{ mean: number; broken: number | undefined }> {
    const values = await this.#gpu.readFloats({ ...this.#ring, size: SLOTS * 4 })
    let sum = 0
    let count = 0
    let broken: number | undefined
    for (let step = Math.max(from, 0); step < to; step++) {
      const [start, end] = [this.#starts[step]!, this.#starts[step + 1] ?? this.#logged]
      if (start < this.#logged - SLOTS) continue
      let loss = 0
      for (let i = start; i < end; i++) loss += values[i % SLOTS]! / (end - start)
      if (!Number.isFinite(loss)) broken ??= step
      sum += loss
      count++
    }
    return { mean: sum / count, broken }
  }

  dispose(): void {
    this.#gpu.release(this.#ring)
  }
}
