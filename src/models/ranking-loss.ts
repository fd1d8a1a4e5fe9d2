// The loss over lists that a ranker's configuration names, and what that loss keeps beside the model.
import {
  add,
  type Ids,
  logSumExp,
  mul,
  neg,
  reshape,
  stack,
  type Tensor,
  valuesChanged,
} from '../autograd/index.ts'
import { shown } from '../check.ts'
import type { Columns } from '../data/index.ts'
import { placeOf } from '../data/place.ts'
import { ConfigError, DataError } from '../errors.ts'
import {
  dla,
  ipsListwise,
  ipsPointwise,
  lambdaRank,
  listNet,
  listwise,
  listwiseNormed,
  pairDebias,
  pairwise,
  pointwise,
  pointwiseLists,
  positionBased,
  regressionEm,
  twoTower,
} from '../losses/index.ts'
import { ListEvaluation, type ListLoss } from '../metrics/index.ts'
import { Buffer } from '../nn/buffers.ts'
import { Embedding } from '../nn/index.ts'
import { countOf } from './list-count.ts'
import { placesLookedAt } from './places.ts'
import { LOSSES, type ResolvedRanking } from './ranking-config.ts'

/** What a batch has for a ranking loss. */
export interface RankingBatch {
  /** [lists + 1]. */
  lists?: Uint32Array | undefined
  labels?: Record<string, ArrayLike<number>> | undefined
  positions?: Record<string, Ids> | undefined
}

/** Losses by name; training makes their sum less. */
export type LossParts = Record<string, Tensor>

/** A loss over lists, and what it keeps beside the model: logits of looking by place, or biases of pairs. */
export class RankingLoss {
  /** Assigned to the model, under these names. */
  readonly fields: { propensities?: Embedding; pair_plus?: Buffer; pair_minus?: Buffer }
  /** What an evaluation's loss is. */
  readonly kind: ListLoss
  readonly #config: ResolvedRanking
  readonly #model: string

  constructor(model: string, config: ResolvedRanking) {
    this.#model = model
    this.#config = config
    const { name } = config.loss
    const { kind, table }: { kind: ListLoss; table?: 'logits' | 'biases' } = LOSSES[name]
    this.kind = kind
    const rows = config.position?.rows ?? 1
    // At the start every place is looked at alike.
    const biases = () => new Buffer([rows], { kind: 'constant', value: 1 })
    this.fields =
      table === 'logits'
        ? { propensities: new Embedding(rows, 1, { init: { kind: 'constant', value: 0 } }) }
        : table === 'biases'
          ? { pair_plus: biases(), pair_minus: biases() }
          : {}
  }

  /** Whether what is said of a click is not the score alone. */
  get examines(): boolean {
    return this.kind === 'pointwise' && this.fields.propensities !== undefined
  }

  /**
   * @param scores [N, 1] or [N].
   * @throws ConfigError for a batch without lists, labels or positions; DataError for what is no click where the loss is of clicks
   */
  parts(scores: Tensor, batch: RankingBatch): LossParts {
    const { loss, label, position } = this.#config
    const starts = this.#need(batch.lists, `the lists of ${this.#config.lists.columns.join(', ')}`)
    const labels = this.#need(batch.labels?.[label], `the column '${label}'`)
    switch (loss.name) {
      case 'pointwise':
        return { click_loss: pointwise(scores, labels, starts) }
      case 'pointwise_lists':
        return { click_loss: pointwiseLists(scores, labels, starts) }
      case 'pairwise':
        return { click_loss: pairwise(scores, labels, starts) }
      case 'lambdarank':
        return { click_loss: lambdaRank(scores, labels, starts, loss.k ? { k: loss.k } : {}) }
      case 'listwise':
        return { click_loss: listwise(scores, labels, starts) }
      case 'listwise_normed':
        return { click_loss: listwiseNormed(scores, labels, starts) }
      case 'listnet':
        return { click_loss: listNet(scores, labels, starts) }
    }
    const places = this.#need(batch.positions?.[position!.column], `the column '${position!.column}'`)
    const clicked = {
      clicks: labels,
      positions: 'ids' in places ? places.ids : places,
      starts,
    }
    const s = reshape(scores, [scores.size])
    switch (loss.name) {
      case 'ips_pointwise':
      case 'ips_listwise': {
        const options = { propensities: loss.propensities, maxWeight: loss.max_weight }
        const of = loss.name === 'ips_pointwise' ? ipsPointwise : ipsListwise
        return { click_loss: of(s, clicked, options) }
      }
      case 'pair_debias':
        return { click_loss: this.#pairDebias(s, clicked, loss) }
    }
    const e = reshape(this.fields.propensities!.forward(places), [scores.size])
    switch (loss.name) {
      case 'two_tower':
        return { click_loss: twoTower(s, e, clicked) }
      case 'pbm':
        return { click_loss: positionBased(s, e, clicked) }
      case 'dla':
        return both(dla(s, e, clicked, { maxWeight: loss.max_weight }))
      case 'regression_em':
        return both(regressionEm(s, e, clicked))
    }
  }

  /** What the loss of a batch is a mean over: documents, lists, labels or pairs. */
  count({ lists, labels: all }: RankingBatch): number | 'sum' {
    const { loss, label } = this.#config
    const starts = this.#need(lists, `the lists of ${this.#config.lists.columns.join(', ')}`)
    const labels = this.#need(all?.[label], `the column '${label}'`)
    return countOf(loss.name, Float32Array.from(labels), starts)
  }

  /** @throws DataError for a label that is no click where the loss is of clicks, and grades are for judging alone */
  checkRows(where: string, rows: Columns): void {
    const { loss, label } = this.#config
    const labels = rows.floats[label]
    if (!labels || !('clicks' in LOSSES[loss.name])) return
    for (let row = 0; row < rows.length; row++)
      if (labels[row] !== 0 && labels[row] !== 1)
        throw new DataError(
          `${where}: column '${label}', ${placeOf(rows, row)}: value ${shown(labels[row])}, expected 0 or 1: the loss '${loss.name}' learns from clicks`,
        )
  }

  /** [N, 1], the logit of a click: with what is said of the place, where the batch knows it. */
  clickLogits(scores: Tensor, { positions }: RankingBatch): Tensor {
    const places = this.#config.position && positions?.[this.#config.position.column]
    if (!this.examines || !places) return scores
    const e = this.fields.propensities!.forward(places)
    if (this.#config.loss.name === 'two_tower') return add(scores, e)
    // Of the product of both probabilities: with a = exp(-s) and b = exp(-e), minus log(a + b + a b).
    const [a, b] = [neg(scores), neg(e)]
    return neg(reshape(logSumExp(stack([a, b, add(a, b)], 1), 1), scores.shape))
  }

  /** What judges scores of so many columns, the last of which is the logit of a click where that is not the first. */
  metrics(columns: number, also?: readonly string[]): ListEvaluation {
    const own = { loss: this.kind, columns, click: this.examines ? columns - 1 : 0 }
    return new ListEvaluation(also ? { ...own, also } : own)
  }

  /** How much places are looked at beside the first, by the table, where there is one. */
  placesLookedAt(): Promise<number[] | undefined> {
    return placesLookedAt(this.fields, this.#config)
  }

  #pairDebias(
    s: Tensor,
    clicked: Parameters<typeof pairDebias>[1],
    { rate, p }: { rate: number; p: number },
  ): Tensor {
    const { pair_plus: plus, pair_minus: minus } = this.fields as { pair_plus: Buffer; pair_minus: Buffer }
    const { loss, tables } = pairDebias(s, clicked, { plus, minus }, { rate, p })
    for (const [kept, moved] of [[plus, tables.plus] as const, [minus, tables.minus] as const]) {
      kept.gpu.copy(moved.view, kept.view, kept.bytes)
      valuesChanged(kept)
    }
    return loss
  }

  #need<T>(value: T | undefined, what: string): T {
    if (value !== undefined && value !== null) return value
    throw new ConfigError(
      `${this.#model}: the batch lacks ${what}, which the loss '${this.#config.loss.name}' reads`,
    )
  }
}

const both = ({ relevance, examination }: { relevance: Tensor; examination: Tensor }): LossParts => ({
  relevance_loss: relevance,
  examination_loss: examination,
})

/** The sum of losses, each with its weight: 1 unless given. */
export function totalLoss(parts: LossParts, weights: Record<string, number> = {}): Tensor {
  const each = Object.entries(parts).map(([name, loss]) => {
    const weight = weights[name] ?? 1
    return weight === 1 ? loss : mul(loss, weight)
  })
  return each.reduce((sum, one) => add(sum, one))
}
