// What a DetextModel is judged by: its loss, and how well lists are ordered.
import { DataError } from '../../errors.ts'
import type { AnyBatch } from '../../inputs.ts'
import { type Figure, type Metric, meanOfLists, mrr, ndcg, rankLists } from '../../metrics/index.ts'
import type { DetextLoss } from './config.ts'

const FIGURES = {
  loss: { title: 'Loss', better: 'lower' },
  'ndcg@10': { title: 'nDCG@10', better: 'greater' },
  'mrr@10': { title: 'MRR@10', better: 'greater' },
} as const satisfies Record<string, Figure>

/** What an evaluation takes of a batch. */
export interface Judged {
  labels: ArrayLike<number>
  starts: ArrayLike<number>
  /** Weight of each list. */
  weights: ArrayLike<number>
}

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** Takes labels and scores in pieces, lists whole; the pieces' sizes do not change a bit of the result. Lists without positives are left out of means. */
export class DetextEvaluation implements Metric {
  readonly figures: Readonly<Record<string, Figure>> = FIGURES
  readonly #kind: DetextLoss
  readonly #judged: (batch: AnyBatch) => Judged
  readonly #labels: number[] = []
  readonly #scores: number[] = []
  readonly #starts: number[] = [0]
  #sum = 0
  #count = 0

  constructor(kind: DetextLoss, judged: (batch: AnyBatch) => Judged) {
    this.#kind = kind
    this.#judged = judged
  }

  add(batch: AnyBatch, scores: Float32Array): void {
    const { labels, starts, weights } = this.#judged(batch)
    for (let list = 0; list + 1 < starts.length; list++) {
      const own = Array.from({ length: starts[list + 1]! - starts[list]! }, (_, i) => starts[list]! + i)
      this.#addLoss(
        own.map(row => labels[row]!),
        own.map(row => scores[row]!),
        weights[list]!,
      )
      for (const row of own) {
        this.#labels.push(labels[row]!)
        this.#scores.push(scores[row]!)
      }
      this.#starts.push(this.#labels.length)
    }
  }

  #addLoss(labels: number[], scores: number[], weight: number): void {
    if (this.#kind === 'softmax') {
      const most = Math.max(...scores)
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
    if (!this.#labels.length) throw new DataError('evaluation has no rows, expected at least one')
    const ranked = rankLists(this.#labels, this.#scores, this.#starts)
    return {
      loss: this.#sum / Math.max(this.#count, 1),
      'ndcg@10': meanOfLists(ndcg(ranked, { k: 10 })).mean,
      'mrr@10': meanOfLists(mrr(ranked, 10)).mean,
    }
  }
}
