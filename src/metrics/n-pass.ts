// Rankers in a row: what each lets through, and what the whole is worth. Lists are packed, as in ranking-lists.ts; equal scores keep the order in
// which a pass was given its documents, and scores of different passes are never compared.
import { COUNT, expectNumber, NON_NEGATIVE, shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { expectLists, type Numbers } from './check.ts'
import { ndcg, rankLists } from './ranking-lists.ts'

/** Lists on their way through the passes of a ranker. */
export interface PassOrder {
  /** Where each list begins, and their end, [lists + 1]. */
  readonly starts: Uint32Array
  /**
   * Document numbers, list after list, in the order so far: first those that are still in, by the last pass, behind them the rest, each in the
   * order of the last pass that it reached.
   */
  readonly documents: Uint32Array
  /** Of each list, how many of its first documents are still in. */
  readonly kept: Uint32Array
  /** By document, how many passes scored it. */
  readonly reached: Uint8Array
  /** How many passes there were. */
  passes: number
}

const MOST_PASSES = 255

/**
 * Lists before their first pass, which gets all documents in their order.
 * @param starts where each list begins, and their end, [lists + 1].
 * @throws DataError for a list without documents
 *
 * @example
 * ```ts
 * import { finalNdcg, recallOfPasses, startPasses, takePass } from 'kernelgrad/train'
 *
 * const order = startPasses([0, 3, 5])
 * takePass(order, [0.1, 0.9, 0.5, 0.2, 0.3], 2) // a cheap model's scores: the 2 best of each list stay in
 * takePass(order, [0, 0.3, 0.4, 0.9, 0.1]) // a better one's, of those 2
 * console.log(order.documents) // 2, 1, 0, 3, 4
 * console.log(recallOfPasses(order, [0, 1, 1, 0, 1]), finalNdcg(order, [0, 1, 1, 0, 1], 10))
 * ```
 */
export function startPasses(starts: Numbers): PassOrder {
  expectLists('startPasses', { starts })
  if (starts.length < 2)
    throw new DataError(
      `startPasses: starts has ${starts.length} values, expected one a list and the end: no query, no candidates`,
    )
  if (starts[0] !== 0) throw new DataError(`startPasses: starts[0] is ${shown(starts[0])}, expected 0`)
  for (let list = 0; list + 1 < starts.length; list++) {
    const [start, end] = [starts[list]!, starts[list + 1]!]
    if (!(Number.isInteger(end) && end > start && end < 2 ** 32))
      throw new DataError(
        `startPasses: list ${list} begins at ${shown(start)} and the next at ${shown(end)}, expected one candidate or more`,
      )
  }
  const own = Uint32Array.from(starts)
  const n = own.at(-1)!
  return {
    starts: own,
    documents: Uint32Array.from({ length: n }, (_, i) => i),
    kept: Uint32Array.from({ length: own.length - 1 }, (_, list) => own[list + 1]! - own[list]!),
    reached: new Uint8Array(n),
    passes: 0,
  }
}

/**
 * The next pass: orders what is still in by score, the highest first and equal ones as they came, and keeps the k best of each list.
 * @param scores by document; of those that are out, nothing is read.
 * @param k how many go on; all unless given.
 * @throws DataError for a score that is no number; ConfigError for a k that is no whole number of at least 1
 */
export function takePass(order: PassOrder, scores: Numbers, k?: number): void {
  const { starts, documents, kept, reached } = expectOrder('takePass', order)
  expectLists('takePass', { scores })
  if (k !== undefined) expectNumber('takePass: k', k, COUNT)
  if (scores.length !== documents.length)
    throw new DataError(
      `takePass: ${documents.length} documents need ${documents.length} scores, got ${scores.length}`,
    )
  if (order.passes === MOST_PASSES)
    throw new ArgumentError(`takePass: there were ${MOST_PASSES} passes already`)
  for (let list = 0; list < kept.length; list++)
    for (let i = starts[list]!; i < starts[list]! + kept[list]!; i++) {
      const score = scores[documents[i]!]
      if (typeof score !== 'number' || Number.isNaN(score))
        throw new DataError(
          `takePass: the score of document ${documents[i]} is ${shown(score)}, expected a number`,
        )
    }
  order.passes++
  for (let list = 0; list < kept.length; list++) {
    const start = starts[list]!
    const came = documents.slice(start, start + kept[list]!)
    const places = Uint32Array.from(came.keys())
    // Infinities have no difference.
    places.sort((a, b) => {
      const [one, other] = [scores[came[a]!]!, scores[came[b]!]!]
      return one < other ? 1 : one > other ? -1 : a - b
    })
    for (let i = 0; i < places.length; i++) {
      documents[start + i] = came[places[i]!]!
      reached[came[i]!]!++
    }
    kept[list] = Math.min(k ?? came.length, came.length)
  }
}

/** Documents that the last pass scored. */
export function lastScored(order: PassOrder): number {
  const { reached, passes } = expectOrder('lastScored', order)
  return reached.reduce((sum, count) => sum + Number(count === passes), 0)
}

/** The share of a list's positives, labels above 0, that the last pass scored. A value per list; NaN without positives. */
export function recallOfPasses(order: PassOrder, labels: Numbers): Float64Array {
  const { starts, documents, reached, passes } = expectOrder('recallOfPasses', order, { labels })
  return Float64Array.from({ length: starts.length - 1 }, (_, list) => {
    let [positives, there] = [0, 0]
    for (const one of documents.subarray(starts[list], starts[list + 1])) {
      if (!(labels[one]! > 0)) continue
      positives++
      there += Number(reached[one] === passes)
    }
    return there / positives
  })
}

/**
 * The share of the last pass's own k best that it was given: those it would put first if it scored every document. A value per list.
 * @param scores the last pass's of every document.
 */
export function recallOfOwnBest(order: PassOrder, scores: Numbers, k: number): Float64Array {
  const { starts, reached, passes } = expectOrder('recallOfOwnBest', order, { scores })
  expectNumber('recallOfOwnBest: k', k, COUNT)
  const own = startPasses(starts)
  takePass(own, scores, k)
  return Float64Array.from({ length: starts.length - 1 }, (_, list) => {
    const best = own.documents.subarray(starts[list], starts[list]! + own.kept[list]!)
    return best.reduce((sum, one) => sum + Number(reached[one] === passes), 0) / best.length
  })
}

/**
 * nDCG@k of the order that came of all passes; the ideal is the whole list's, so that what an early pass loses is missed. Gain 2^y - 1. A
 * value per list; NaN without positives.
 */
export function finalNdcg(order: PassOrder, labels: Numbers, k: number): Float64Array {
  const { starts, documents } = expectOrder('finalNdcg', order, { labels })
  const byRank = Float64Array.from(documents, one => labels[one]!)
  const places = Float64Array.from(documents, (_, i) => -i)
  return ndcg(rankLists(byRank, places, starts), { k })
}

/** What a ranker is worth with one k. */
export interface CutFigures {
  /** Documents of each list that the last pass scores. */
  k: number
  /** nDCG of its final order. */
  ndcg: number
}

/**
 * The smallest k whose nDCG is within a bound of the largest's, where the last pass scores all.
 * @param within default .01.
 * @returns a k of `figures`
 * @throws DataError for no figures, or one that is no number
 */
export function smallestCut(figures: readonly CutFigures[], within = 0.01): number {
  if (!Array.isArray(figures) || !figures.length)
    throw new DataError(`smallestCut: figures is ${shown(figures)}, expected { k, ndcg } of one k or more`)
  expectNumber('smallestCut: within', within, NON_NEGATIVE)
  for (const [i, one] of figures.entries()) {
    const { k, ndcg } = Object(one) as CutFigures
    expectNumber(`smallestCut: figures[${i}]: k`, k, COUNT)
    if (!Number.isFinite(ndcg))
      throw new DataError(
        `smallestCut: figures[${i}]: nDCG with k = ${k} is ${shown(ndcg)}, expected a number`,
      )
  }
  const rising = figures.toSorted((a, b) => a.k - b.k)
  const all = rising.at(-1)!.ndcg
  return rising.find(({ ndcg }) => ndcg >= all - within)!.k
}

/** @throws ArgumentError for what `startPasses` did not make; DataError for values that are not one a document, or labels below 0 */
function expectOrder(where: string, order: PassOrder, values: Record<string, Numbers> = {}): PassOrder {
  if (!(Object(order).documents instanceof Uint32Array && Object(order).reached instanceof Uint8Array))
    throw new ArgumentError(`${where}: order is ${shown(order)}, expected one that startPasses() made`)
  expectLists(where, values)
  for (const [name, given] of Object.entries(values)) {
    if (given.length !== order.documents.length)
      throw new DataError(
        `${where}: ${name} has ${given.length} values, expected ${order.documents.length}, one a document`,
      )
    for (let i = 0; i < given.length; i++)
      if (
        typeof given[i] !== 'number' ||
        !(name === 'labels' ? given[i]! >= 0 && given[i]! < Infinity : !Number.isNaN(given[i]))
      )
        throw new DataError(
          `${where}: ${name}[${i}] is ${shown(given[i])}, expected ${name === 'labels' ? 'a finite number of at least 0' : 'a number'}`,
        )
  }
  return order
}
