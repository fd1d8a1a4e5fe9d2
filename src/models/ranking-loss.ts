// What rankers share: lists of documents, the column they learn from, the loss by its name, and what that loss keeps beside the model.
import * as v from 'valibot'
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
import { count, nonNegative, oneOf, parseStrict, positive, real, strict, text } from '../config/schema.ts'
import type { Columns } from '../data/index.ts'
import { placeOf } from '../data/place.ts'
import { ConfigError, DataError } from '../errors.ts'
import type { FloatsInput, IdsInput, ListInput } from '../inputs.ts'
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
import type { ListLoss } from '../metrics/index.ts'
import { Buffer } from '../nn/buffers.ts'
import { Embedding } from '../nn/index.ts'
import { placesLookedAt } from './places.ts'

const unit = real('above 0 and at most 1', x => x > 0 && x <= 1)
const named = <const N extends string, const E extends v.ObjectEntries>(name: N, entries: E) =>
  strict({ name: v.literal(name), ...entries })
const weighted = {
  /** By position from 0. */
  propensities: v.pipe(
    v.array(unit, 'expected a list of numbers above 0 and at most 1, by position'),
    v.minLength(1, 'expected one number a position, got an empty list'),
  ),
  max_weight: v.optional(positive, 10),
}

/** Names of losses over lists. Those from `ips_pointwise` on are of clicks, and read positions. */
export type RankingLossName =
  | 'pointwise'
  | 'pointwise_lists'
  | 'pairwise'
  | 'lambdarank'
  | 'listwise'
  | 'listwise_normed'
  | 'listnet'
  | 'ips_pointwise'
  | 'ips_listwise'
  | 'two_tower'
  | 'pbm'
  | 'dla'
  | 'regression_em'
  | 'pair_debias'

/** By name: the loss's options, and what it asks of the model. */
const LOSSES = {
  pointwise: { kind: 'pointwise', schema: named('pointwise', {}) },
  pointwise_lists: { kind: 'pointwise', schema: named('pointwise_lists', {}) },
  pairwise: { kind: 'pairwise', schema: named('pairwise', {}) },
  lambdarank: { kind: 'pairwise', schema: named('lambdarank', { k: v.optional(count) }) },
  listwise: { kind: 'listwise', schema: named('listwise', {}) },
  listwise_normed: { kind: 'listwise', schema: named('listwise_normed', {}) },
  listnet: { kind: 'listwise', schema: named('listnet', {}) },
  ips_pointwise: { kind: 'pointwise', schema: named('ips_pointwise', weighted), clicks: true },
  ips_listwise: { kind: 'listwise', schema: named('ips_listwise', weighted), clicks: true },
  two_tower: { kind: 'pointwise', schema: named('two_tower', {}), clicks: true, table: 'logits' },
  pbm: { kind: 'pointwise', schema: named('pbm', {}), clicks: true, table: 'logits' },
  dla: {
    kind: 'listwise',
    schema: named('dla', { max_weight: v.optional(positive, 10) }),
    clicks: true,
    table: 'logits',
  },
  regression_em: { kind: 'pointwise', schema: named('regression_em', {}), clicks: true, table: 'logits' },
  pair_debias: {
    kind: 'pairwise',
    schema: named('pair_debias', {
      rate: v.optional(
        real('from 0 to 1', x => x >= 0 && x <= 1),
        0.05,
      ),
      p: v.optional(nonNegative, 1),
    }),
    clicks: true,
    table: 'biases',
  },
} as const satisfies Record<
  RankingLossName,
  { kind: ListLoss; schema: v.GenericSchema; clicks?: true; table?: 'logits' | 'biases' }
>

/** A loss with its options, by position from 0 where they are lists. */
export type RankingLossConfig =
  | {
      name: Exclude<RankingLossName, 'lambdarank' | 'ips_pointwise' | 'ips_listwise' | 'dla' | 'pair_debias'>
    }
  | { name: 'lambdarank'; k?: number | undefined }
  | { name: 'ips_pointwise' | 'ips_listwise'; propensities: number[]; max_weight: number }
  | { name: 'dla'; max_weight: number }
  | { name: 'pair_debias'; rate: number; p: number }

/** Which rows are a list: columns that tell lists apart, and how long a list may be. */
export interface ListsConfig {
  columns: string[]
  /** Most documents of a list, unless it may have any number. */
  longest?: number
  /** Of a longer list: 'refuse' it (default), or 'cut' it to its first documents where it is trained on. */
  longer?: 'refuse' | 'cut'
}

/** Where a document's place stands. */
export interface PositionConfig {
  /** Its column, places from 0. */
  column: string
  /** Places there are: rows of the table. */
  rows: number
}

/** Keys that rankers have. */
export const rankingEntries = {
  lists: v.optional(v.unknown(), ['list']),
  label: v.optional(text, 'label'),
  loss: v.optional(v.unknown()),
  position: v.optional(v.unknown()),
  /** As a features.json has it; what ranks has no classes. */
  num_labels: v.optional(v.unknown()),
}

/** What they may be, before defaults. */
export interface RankingConfig {
  /** Columns whose values tell lists apart, or these with a length cap; ['list'] unless given. */
  lists?: string[] | ListsConfig
  /** The column that is learned from, numbers of at least 0; 'label' unless given. */
  label?: string
  /** The loss by its name, or with options. */
  loss?: RankingLossName | ({ name: RankingLossName } & Record<string, unknown>)
  /** Where places stand; losses of clicks read them. */
  position?: { column?: string; rows?: number }
}

/** {@link RankingConfig} with every default. */
export interface ResolvedRanking {
  lists: ListsConfig
  label: string
  loss: RankingLossConfig
  /** Absent where the loss reads no places. */
  position?: PositionConfig
}

const listsSchema = strict({
  columns: v.pipe(v.array(text, 'expected a list of columns'), v.minLength(1, 'expected a column or more')),
  longest: v.optional(count),
  longer: v.optional(oneOf(['refuse', 'cut'])),
})
const positionSchema = strict({ column: v.optional(text, 'position'), rows: v.optional(count) })
const nameSchema = v.looseObject({ name: oneOf(Object.keys(LOSSES) as RankingLossName[]) }, 'expected a name')

/**
 * Reads the keys that rankers have.
 * @throws ConfigError naming key, value and what was expected
 */
export function parseRanking(
  raw: { lists: unknown; label: string; loss?: unknown; position?: unknown },
  where: string,
  loss: RankingLossName,
): ResolvedRanking {
  const { lists, label } = raw
  const given = raw.loss ?? loss
  const whole = typeof given === 'string' ? { name: given } : given
  const at = `${where}: loss`
  const { name } = parseStrict(nameSchema, whole, at)
  const { schema, ...needs }: { schema: v.GenericSchema; clicks?: true; table?: string } = LOSSES[name]
  const resolved = parseStrict(schema, whole, at) as RankingLossConfig
  const listed = parseStrict(
    listsSchema,
    Array.isArray(lists) ? { columns: lists } : lists,
    `${where}: lists`,
  )
  if (listed.longer !== undefined && listed.longest === undefined)
    throw new ConfigError(`${where}: lists: longer is '${listed.longer}', expected longest beside it`)
  const twice = listed.columns.find((column, i) => listed.columns.indexOf(column) < i)
  if (twice !== undefined) throw new ConfigError(`${where}: lists: column '${twice}' is named twice`)
  const out: ResolvedRanking = { lists: listed as ListsConfig, label, loss: resolved }
  if (!needs.clicks) {
    if (raw.position !== undefined)
      throw new ConfigError(
        `${where}: position: loss '${name}' reads no places; leave it out, or take one of ${ofClicks().join(', ')}`,
      )
    return out
  }
  const { column, rows } = parseStrict(positionSchema, raw.position ?? {}, `${where}: position`)
  const known = 'propensities' in resolved ? resolved.propensities.length : undefined
  if (rows !== undefined && known !== undefined && rows !== known)
    throw new ConfigError(
      `${where}: position: rows is ${rows}, and loss.propensities has ${known}, expected as many; leave rows out`,
    )
  return { ...out, position: { column, rows: rows ?? known ?? PLACES } }
}

/** Places of a page of results. */
const PLACES = 10
const ofClicks = () => Object.keys(LOSSES).filter(name => 'clicks' in LOSSES[name as RankingLossName])

/** What a ranker's loss reads, beside what its model does. */
export type RankingInputs = {
  lists: ListInput & { trainOnly: true }
  labels: FloatsInput & { trainOnly: true }
  /** Nothing where the loss reads no places. */
  positions: IdsInput & { trainOnly: true; lossOnly: true }
}

/** The inputs of {@link ResolvedRanking}; without `position`, there is no `positions`. */
export function rankingInputs({ lists, label, position }: ResolvedRanking): RankingInputs {
  const inputs: Omit<RankingInputs, 'positions'> & Partial<RankingInputs> = {
    lists: { kind: 'list', ...lists, trainOnly: true },
    labels: { kind: 'floats', columns: [label], least: 0, trainOnly: true },
  }
  if (position) {
    const columns = { [position.column]: position.rows }
    inputs.positions = { kind: 'ids', columns, trainOnly: true, lossOnly: true }
  }
  return inputs as RankingInputs
}

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
