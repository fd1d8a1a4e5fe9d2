// How well a ranker orders lists: the same figures during training, and of a file afterwards, of all lists and by group.
import { COUNT, expectNumber, expectOneOf, expectOptions, NATURAL, shown } from '../check.ts'
import { ArgumentError, DataError, ShapeError } from '../errors.ts'
import { expectLists } from './check.ts'
import type { Figure } from './figures.ts'
import { Growing, groupNames, rowsOf, startsOf } from './judged-lists.ts'
import { type ListCurves, listCurves } from './list-curves.ts'
import { clickLoss, listLoss, pairLoss } from './list-losses.ts'
import type { Metric } from './metric.ts'
import {
  averagePrecision,
  baiduFigures,
  checkLists,
  dcg,
  err,
  expectScores,
  hitAt,
  type ListMean,
  meanOfLists,
  mrr,
  ndcg,
  pnr,
  precisionAt,
  type Ranked,
  rankLists,
  recallAt,
} from './ranking-lists.ts'

/** Which loss an evaluation of lists gives: of documents, of pairs, or of whole lists. */
export const LIST_LOSSES = ['pointwise', 'pairwise', 'listwise'] as const
/** One of {@link LIST_LOSSES}. */
export type ListLoss = (typeof LIST_LOSSES)[number]

/** What a {@link ListEvaluation} is of. */
export interface ListEvaluationOptions {
  /**
   * What `loss` is: 'pointwise' (default), the sigmoid cross-entropy of what is said of clicks, labels above 0 being clicks; 'pairwise', the mean of
   * log(1 + exp(-(s_i - s_j))) over pairs of a list with y_i > y_j; 'listwise', the cross-entropy of each list's softmax against its labels over their
   * sum, the mean of the lists that have a positive.
   */
  loss?: ListLoss
  /** Columns of `scores`, default 1; the first is ranked by. */
  columns?: number
  /** The column that is the logit of a click, default 0. */
  click?: number
  /** Further figures by name, ranks that count behind the '@': ndcg@3, mrr@1, precision@5, hit@10. Names that are none of these are left out. */
  also?: readonly string[]
}

/** Documents of lists, one list after the other. */
export interface JudgedLists {
  /** [N], 0 or more: grades, or 0 and 1. */
  labels: ArrayLike<number>
  /** [lists + 1]. */
  starts: ArrayLike<number>
  /** Row numbers, for messages. */
  rows?: ArrayLike<number>
}

const greater = (title: string): Figure => ({ title, better: 'greater' })
/** Figures of every evaluation of lists, in the order a report shows them. */
export const LIST_FIGURES = {
  loss: { title: 'Loss', better: 'lower' },
  log_loss: { title: 'Log loss', better: 'lower' },
  'ndcg@10': greater('nDCG@10'),
  'dcg@1': greater('DCG@1'),
  'dcg@3': greater('DCG@3'),
  'dcg@5': greater('DCG@5'),
  'dcg@10': greater('DCG@10'),
  'mrr@10': greater('MRR@10'),
  'map@10': greater('MAP@10'),
  'recall@10': greater('Recall@10'),
  'err@10': greater('ERR@10'),
  pnr: greater('Positive-negative ratio'),
  'baidu_ndcg@10': greater('nDCG@10, lists of 10 and more'),
  'baidu_err@10': greater('ERR@10, lists of 10 and more'),
  lists: { better: 'none' },
  lists_left_out: { better: 'none' },
} satisfies Record<string, Figure>

/** Of sorted lists, a value a list within rank k; `most` is the highest grade. */
const AT: Record<string, { title: string; of: (ranked: Ranked, k: number, most: number) => Float64Array }> = {
  ndcg: { title: 'nDCG', of: (ranked, k) => ndcg(ranked, { k }) },
  dcg: { title: 'DCG', of: (ranked, k) => dcg(ranked, { k }) },
  mrr: { title: 'MRR', of: mrr },
  map: { title: 'MAP', of: averagePrecision },
  recall: { title: 'Recall', of: recallAt },
  precision: { title: 'Precision', of: precisionAt },
  hit: { title: 'Hit', of: hitAt },
  err: { title: 'ERR', of: err },
}
const NAMED = new RegExp(`^(${Object.keys(AT).join('|')})@([1-9]\\d{0,8})$`)

/** Of those names that say a figure and a rank and are in no evaluation already, both. */
const further = (names: readonly string[]) =>
  names.flatMap(name => {
    const [, figure, k] = Object.hasOwn(LIST_FIGURES, name) ? [] : (NAMED.exec(name) ?? [])
    return figure === undefined ? [] : [{ name, k: Number(k), ...AT[figure]! }]
  })

/** The highest grade there is, unless a label is higher. */
const GRADE = 4

/**
 * Takes labels and scores of whole lists, in pieces. Gains are 2^y - 1, equal scores keep their order. nDCG, MRR, MAP and recall leave out lists without
 * positives (`lists_left_out` of them); of `baidu_ndcg@10` and `baidu_err@10`, as Baidu's competition has them, lists of less than ten documents are left out.
 * With groups, every figure stands once more for each, as `ndcg@10 (high)`. Memory: two or three
 * numbers a row, and six more while the figures are made.
 *
 * @example
 * ```ts
 * import { ListEvaluation } from 'kernelgrad/train'
 *
 * const evaluation = new ListEvaluation({ loss: 'listwise' })
 * evaluation.addLists({ labels: [0, 2, 1], starts: [0, 3] }, Float32Array.of(0.1, 0.9, 0.5))
 * console.log(evaluation.result()['ndcg@10'])
 * ```
 */
export class ListEvaluation implements Metric<never> {
  readonly figures: Readonly<Record<string, Figure>>
  readonly takesGroups = true
  readonly #loss: ListLoss
  readonly #columns: number
  readonly #click: number
  readonly #also: ReturnType<typeof further>
  readonly #labels = new Growing()
  readonly #scores = new Growing()
  /** Of a column of their own. */
  readonly #clicks = new Growing()
  /** Of each list. */
  readonly #ends = new Growing()
  /** A name a list, where lists have groups. */
  readonly #groups: string[] = []

  constructor(options: ListEvaluationOptions = {}) {
    expectOptions('ListEvaluation: options', options, ['loss', 'columns', 'click', 'also'])
    const { loss = 'pointwise', columns = 1, click = 0, also = [] } = options
    expectOneOf('ListEvaluation: loss', loss, LIST_LOSSES)
    expectNumber('ListEvaluation: columns', columns, COUNT)
    const place = {
      says: `a column, 0 to ${columns - 1}`,
      takes: (x: number) => NATURAL.takes(x) && x < columns,
    }
    expectNumber('ListEvaluation: click', click, place)
    this.#loss = loss
    this.#columns = columns
    this.#click = click
    if (!Array.isArray(also))
      throw new ArgumentError(`ListEvaluation: also is ${shown(also)}, expected an array of names`)
    this.#also = further(also)
    this.figures = {
      ...LIST_FIGURES,
      ...Object.fromEntries(this.#also.map(({ name, title, k }) => [name, greater(`${title}@${k}`)])),
    }
  }

  /** Adds a batch of a model whose inputs are called `labels` (numbers of one column) and `lists`. */
  add(batch: never, scores: Float32Array, groups?: ArrayLike<unknown>): void {
    const { labels, lists, rows } = batch as {
      labels?: Record<string, Float32Array>
      lists?: Uint32Array
      rows?: number[]
    }
    const [grades] = Object.values(labels ?? {})
    if (!grades || !lists)
      throw new DataError(
        `the evaluation needs ${grades ? 'the columns that tell lists apart' : 'labels'}, and the data has none`,
      )
    this.addLists({ labels: grades, starts: lists, ...(rows ? { rows } : {}) }, scores, groups)
  }

  /**
   * Adds lists.
   * @param scores [N, columns], row-major.
   * @param groups a value a document, the same in the whole list.
   * @throws DataError naming the row or list of what cannot be right
   */
  addLists(lists: JudgedLists, scores: ArrayLike<number>, groups?: ArrayLike<unknown>): this {
    expectOptions('ListEvaluation: lists', lists, ['labels', 'starts', 'rows'])
    const { labels, starts } = lists
    expectLists('ListEvaluation', { labels, scores })
    const [N, K] = [labels.length, this.#columns]
    if (scores.length !== N * K)
      throw new ShapeError(
        `ListEvaluation: ${N} labels need ${N * K} scores, ${K} a document, got ${scores.length}`,
      )
    const column = (k: number) => (K === 1 ? scores : Array.from({ length: N }, (_, i) => scores[i * K + k]!))
    const own = column(0)
    checkLists(labels, own, starts)
    const clicks = this.#click ? column(this.#click) : []
    expectScores('ListEvaluation', clicks, ' of a click')
    const more = groups && groupNames(lists, groups)
    if (this.#ends.length && Boolean(more) !== this.#groups.length > 0)
      throw new DataError(
        `ListEvaluation: the lists from ${this.#ends.length} on ${more ? 'have' : 'lack'} groups, unlike those before, expected groups for all or none`,
      )
    // What is refused has added nothing.
    const begin = this.#labels.length
    this.#labels.add(labels)
    this.#scores.add(own)
    this.#clicks.add(clicks)
    this.#ends.add(Array.from({ length: starts.length - 1 }, (_, list) => begin + starts[list + 1]!))
    for (const group of more ?? []) this.#groups.push(group)
    return this
  }

  /** The figures of all lists, and of every group where there are some. @throws DataError when there are no lists */
  result(): { loss: number } & Record<string, number> {
    if (!this.#ends.length) throw new DataError('the evaluation has no lists, expected one or more')
    const [labels, scores, starts] = [this.#labels.values, this.#scores.values, this.#starts()]
    const clicks = this.#click ? this.#clicks.values : scores
    const all = this.#figuresOf(labels, scores, clicks, starts)
    const byGroup = new Map<string, number[]>()
    this.#groups.forEach((group, list) => {
      const own = byGroup.get(group)
      if (own) own.push(list)
      else byGroup.set(group, [list])
    })
    const collate = new Intl.Collator('en', { numeric: true })
    for (const [group, lists] of [...byGroup].sort(([a], [b]) => collate.compare(a, b))) {
      const part = (values: Float64Array) => rowsOf(values, starts, lists)
      const own = startsOf(starts, lists)
      for (const [name, value] of Object.entries(
        this.#figuresOf(part(labels), part(scores), part(clicks), own),
      ))
        all[`${name} (${group})`] = value
    }
    return all
  }

  #starts(): Uint32Array {
    const starts = new Uint32Array(this.#ends.length + 1)
    starts.set(this.#ends.values, 1)
    return starts
  }

  /** What a report draws: nDCG by rank, by length and by group. */
  listCurves(): ListCurves {
    return listCurves(rankLists(this.#labels.values, this.#scores.values, this.#starts()), this.#groups)
  }

  #figuresOf(
    labels: Float64Array,
    scores: Float64Array,
    clicks: Float64Array,
    starts: Uint32Array,
  ): { loss: number } & Record<string, number> {
    const ranked = rankLists(labels, scores, starts)
    const most = labels.reduce((a, b) => Math.max(a, Math.ceil(b)), GRADE)
    const logLoss = clickLoss(labels, clicks)
    const losses = {
      pointwise: () => logLoss,
      pairwise: () => pairLoss(ranked),
      listwise: () => listLoss(ranked),
    }
    const nd: ListMean = meanOfLists(ndcg(ranked, { k: 10 }))
    const mean = (values: Float64Array) => meanOfLists(values).mean
    const gains = (k: number) => mean(dcg(ranked, { k }))
    const baidu = baiduFigures(ranked, 10, most)
    return {
      loss: losses[this.#loss](),
      log_loss: logLoss,
      'ndcg@10': nd.mean,
      'dcg@1': gains(1),
      'dcg@3': gains(3),
      'dcg@5': gains(5),
      'dcg@10': gains(10),
      'mrr@10': mean(mrr(ranked, 10)),
      'map@10': mean(averagePrecision(ranked, 10)),
      'recall@10': mean(recallAt(ranked, 10)),
      'err@10': mean(err(ranked, 10, most)),
      pnr: pnr(ranked),
      'baidu_ndcg@10': baidu.ndcg,
      'baidu_err@10': baidu.err,
      ...Object.fromEntries(this.#also.map(({ name, of, k }) => [name, mean(of(ranked, k, most))])),
      lists: starts.length - 1,
      lists_left_out: nd.left_out,
    }
  }
}
