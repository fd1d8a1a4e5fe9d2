// What a DetextModel is judged by: its loss, and how well lists are ordered.
import type { AnyBatch } from '../../inputs.ts'
import { type Figure, type ListCurves, ListEvaluation, type Metric } from '../../metrics/index.ts'
import type { DetextLoss } from './config.ts'

/** What an evaluation takes of a batch. */
export interface Judged {
  labels: ArrayLike<number>
  starts: ArrayLike<number>
  /** Weight of each list. */
  weights: ArrayLike<number>
}

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** A {@link ListEvaluation} whose loss is the model's own, tasks weighed. */
export class DetextEvaluation implements Metric {
  readonly takesGroups = true
  readonly #kind: DetextLoss
  readonly #judged: (batch: AnyBatch) => Judged
  readonly #lists: ListEvaluation
  #sum = 0
  #count = 0

  get figures(): Readonly<Record<string, Figure>> {
    return this.#lists.figures
  }

  /** @param also further figures by name, as a {@link ListEvaluation} takes them. */
  constructor(kind: DetextLoss, judged: (batch: AnyBatch) => Judged, also: readonly string[] = []) {
    this.#lists = new ListEvaluation({ also })
    this.#kind = kind
    this.#judged = judged
  }

  add(batch: AnyBatch, scores: Float32Array, groups?: ArrayLike<unknown>): void {
    const { labels, starts, weights } = this.#judged(batch)
    this.#lists.addLists({ labels, starts, rows: batch.rows }, scores, groups)
    for (let list = 0; list + 1 < starts.length; list++) {
      const own = Array.from({ length: starts[list + 1]! - starts[list]! }, (_, i) => starts[list]! + i)
      this.#addLoss(
        own.map(row => labels[row]!),
        own.map(row => scores[row]!),
        weights[list]!,
      )
    }
  }

  #addLoss(labels: number[], scores: number[], weight: number): void {
    if (this.#kind === 'softmax') {
      const most = scores.reduce((a, b) => Math.max(a, b))
      const total = most + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - most), 0))
      for (const [i, y] of labels.entries()) this.#sum += weight * y * (total - scores[i]!)
      this.#count += labels.filter(y => y > 0).length
      return
    }
    for (const [i, y] of labels.entries()) {
      if (this.#kind === 'pointwise') {
        this.#sum += weight * softplus(y > 0 ? -scores[i]! : scores[i]!)
        this.#count++
        continue
      }
      for (const [j, other] of labels.entries()) {
        if (!(y > other)) continue
        this.#sum += weight * softplus(scores[j]! - scores[i]!)
        this.#count++
      }
    }
  }

  result(): { loss: number } & Record<string, number> {
    const figures = Object.entries(this.#lists.result())
    // Of groups it would be another loss.
    const kept = figures.filter(([name]) => !name.startsWith('loss ('))
    return { ...Object.fromEntries(kept), loss: this.#sum / Math.max(this.#count, 1) }
  }
  listCurves(): ListCurves {
    return this.#lists.listCurves()
  }
}
