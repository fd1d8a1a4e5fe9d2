// How well lists are ordered. Lists are packed: `starts` [lists + 1] says where each begins. A measure is a value per list, from lists
// that were sorted once; rank 1 has the highest score, equal scores keep their order, and a positive has a label above 0.
import { COUNT, expectNumber, expectOneOf, expectOptions, NATURAL, shown } from '../check.ts'
import { DataError } from '../errors.ts'
import { expectLists, type Numbers } from './check.ts'

/** Lists sorted by score, highest first. */
export interface Ranked {
  /** Where each list begins, and their end. */
  readonly starts: Uint32Array
  /** Labels by rank. */
  readonly labels: Float64Array
  /** Scores by rank. */
  readonly scores: Float64Array
  /** Labels in the best order there is, the greatest first. */
  readonly ideal: Float64Array
}

/** What a document of a label is worth. */
export type Gain = 'exp' | 'linear'

/** How documents are counted. */
export interface DcgOptions {
  /** Ranks that count: 1 to k. */
  k: number
  /** 'exp', 2^y - 1, unless given; 'linear', y, is scikit-learn's and trec_eval's. Of labels 0 and 1 both are the same. */
  gain?: Gain
  /** 'stable' unless given: equal scores keep their order. With 'mean', each of them gets their mean gain, as by scikit-learn. */
  ties?: 'stable' | 'mean'
}

/** What is made of lists on which a measure says nothing, as those without positives: left out unless given. */
export type Undefined = 'skip' | 'zero' | 'one'

/**
 * Sorts lists by score.
 * @param labels per document, 0 or more: grades, or 0 and 1.
 * @param scores per document, higher is better.
 * @param starts where each list begins, and their end, [lists + 1]; no list is empty.
 * @throws DataError naming the row or list of what cannot be right
 *
 * @example
 * ```ts
 * import { meanOfLists, ndcg, rankLists } from 'kernelgrad/train'
 *
 * const ranked = rankLists([0, 2, 1, 1, 0], [0.1, 0.9, 0.5, 0.2, 0.3], [0, 3, 5])
 * const { mean, left_out } = meanOfLists(ndcg(ranked, { k: 10 }))
 * ```
 */
export function rankLists(labels: Numbers, scores: Numbers, starts: Numbers): Ranked {
  const offsets = checkLists(labels, scores, starts)
  const n = labels.length
  const ranked = {
    starts: offsets,
    labels: new Float64Array(n),
    scores: new Float64Array(n),
    ideal: new Float64Array(n),
  }
  for (let i = 0; i < n; i++) {
    ranked.labels[i] = labels[i]!
    ranked.scores[i] = scores[i]!
    ranked.ideal[i] = labels[i]!
  }
  for (let list = 0; list + 1 < offsets.length; list++) sortList(ranked, offsets[list]!, offsets[list + 1]!)
  return ranked
}

/** The starts of lists that can be ranked. @throws DataError as {@link rankLists} */
export function checkLists(labels: Numbers, scores: Numbers, starts: Numbers): Uint32Array {
  expectLists('rankLists', { labels, scores, starts })
  const n = labels.length
  if (scores.length !== n)
    throw new DataError(`rankLists: ${n} labels need ${n} scores, got ${scores.length}`)
  if (starts.length < 2)
    throw new DataError(`rankLists: starts has ${starts.length} values, expected one a list and the end`)
  for (let i = 0; i < n; i++)
    if (!(typeof labels[i] === 'number' && labels[i]! >= 0 && labels[i]! < Infinity))
      throw new DataError(
        `rankLists: the label of row ${i} is ${shown(labels[i])}, expected a number of at least 0`,
      )
  expectScores('rankLists', scores)
  for (let list = 0; list < starts.length; list++) {
    const [start, end] = [starts[list]!, list + 1 < starts.length ? starts[list + 1]! : n]
    if (list === 0 && start !== 0) throw new DataError(`rankLists: starts[0] is ${shown(start)}, expected 0`)
    if (list + 1 === starts.length) {
      if (start !== n)
        throw new DataError(`rankLists: starts ends at ${shown(start)}, expected ${n}, the number of rows`)
    } else if (!Number.isInteger(end) || end <= start)
      throw new DataError(
        `rankLists: list ${list} begins at ${shown(start)} and the next at ${shown(end)}, expected one document or more`,
      )
  }
  return Uint32Array.from(starts)
}

/** @throws DataError naming the row of what is no number; infinities are */
export function expectScores(what: string, scores: Numbers, of = ''): void {
  for (let i = 0; i < scores.length; i++)
    if (typeof scores[i] !== 'number' || Number.isNaN(scores[i]))
      throw new DataError(`${what}: the score${of} of row ${i} is ${shown(scores[i])}, expected a number`)
}

/** Short lists by insertion, without memory of their own; long ones by their row numbers. */
function sortList({ labels, scores, ideal }: Ranked, start: number, end: number): void {
  if (end - start > 64) {
    const rows = Uint32Array.from({ length: end - start }, (_, i) => start + i)
    // Infinities have no difference.
    rows.sort((a, b) => (scores[a]! < scores[b]! ? 1 : scores[a]! > scores[b]! ? -1 : a - b))
    const [byRank, values] = [
      Float64Array.from(rows, row => labels[row]!),
      Float64Array.from(rows, row => scores[row]!),
    ]
    labels.set(byRank, start)
    scores.set(values, start)
    ideal.subarray(start, end).sort().reverse()
    return
  }
  for (let i = start + 1; i < end; i++) {
    const [score, label, best] = [scores[i]!, labels[i]!, ideal[i]!]
    let at = i
    for (; at > start && scores[at - 1]! < score; at--) {
      scores[at] = scores[at - 1]!
      labels[at] = labels[at - 1]!
    }
    scores[at] = score
    labels[at] = label
    for (at = i; at > start && ideal[at - 1]! < best; at--) ideal[at] = ideal[at - 1]!
    ideal[at] = best
  }
}

const GAINS: Record<Gain, (label: number) => number> = { exp: y => 2 ** y - 1, linear: y => y }
/** 2^y is finite, and so are sums of many. */
const MOST = 1000

function optionsOf(what: string, options: DcgOptions, { ideal }: Ranked) {
  expectOptions(`${what}: options`, options, ['k', 'gain', 'ties'])
  const { k, gain = 'exp', ties = 'stable' } = options
  expectNumber(`${what}: k`, k, COUNT)
  expectOneOf(`${what}: gain`, gain, ['exp', 'linear'])
  expectOneOf(`${what}: ties`, ties, ['stable', 'mean'])
  if (gain === 'exp')
    for (let i = 0; i < ideal.length; i++)
      if (ideal[i]! > MOST)
        throw new DataError(
          `${what}: there is a label ${ideal[i]}, expected at most ${MOST}, of which 2^y can be summed; or gain 'linear'`,
        )
  return { k, gain: GAINS[gain], ties }
}

const discount = (rank: number): number => 1 / Math.log2(1 + rank)
const discounts = (k: number, longest: number): Float64Array =>
  Float64Array.from({ length: Math.min(k, longest) }, (_, i) => discount(i + 1))

const longestOf = (starts: Uint32Array): number => {
  let longest = 0
  for (let list = 0; list + 1 < starts.length; list++)
    longest = Math.max(longest, starts[list + 1]! - starts[list]!)
  return longest
}

/** A value per list. */
function perList({ starts }: Ranked, of: (start: number, end: number) => number): Float64Array {
  const out = new Float64Array(starts.length - 1)
  for (let list = 0; list < out.length; list++) out[list] = of(starts[list]!, starts[list + 1]!)
  return out
}

/** Gains by rank over log2(1 + rank), summed to rank k: Järvelin and Kekäläinen 2002. A value per list; 0 without positives. */
export function dcg(ranked: Ranked, options: DcgOptions): Float64Array {
  const { k, gain, ties } = optionsOf('dcg', options, ranked)
  const { labels, scores, starts } = ranked
  const weights = discounts(k, longestOf(starts))
  return perList(ranked, (start, end) => {
    if (ties === 'stable') return summed(labels, start, end, weights, gain)
    let sum = 0
    for (let at = start; at < end && at - start < weights.length; ) {
      let [next, gains, share] = [at, 0, 0]
      for (; next < end && scores[next] === scores[at]; next++) {
        gains += gain(labels[next]!)
        share += weights[next - start] ?? 0
      }
      sum += (gains / (next - at)) * share
      at = next
    }
    return sum
  })
}

function summed(
  labels: Float64Array,
  start: number,
  end: number,
  weights: Float64Array,
  gain: (y: number) => number,
): number {
  let sum = 0
  const most = Math.min(end - start, weights.length)
  for (let i = 0; i < most; i++) sum += gain(labels[start + i]!) * weights[i]!
  return sum
}

/** `dcg` over that of the best order, cut at k too. A value per list; NaN without positives. */
export function ndcg(ranked: Ranked, options: DcgOptions): Float64Array {
  const { k, gain } = optionsOf('ndcg', options, ranked)
  const found = dcg(ranked, options)
  const weights = discounts(k, longestOf(ranked.starts))
  const best = perList(ranked, (start, end) => summed(ranked.ideal, start, end, weights, gain))
  return found.map((value, list) => value / best[list]!)
}

/** Of each list, how often a positive stands within k; visits those in order of rank. */
function overPositives(
  what: string,
  ranked: Ranked,
  k: number,
  of: (found: number, positives: number, first: number, precisions: number) => number,
): Float64Array {
  expectNumber(`${what}: k`, k, COUNT)
  const { labels } = ranked
  return perList(ranked, (start, end) => {
    let [found, positives, first, precisions] = [0, 0, 0, 0]
    for (let i = start; i < end; i++) {
      if (!(labels[i]! > 0)) continue
      positives++
      const rank = i - start + 1
      if (rank > k) continue
      found++
      first ||= rank
      precisions += found / rank
    }
    return of(found, positives, first, precisions)
  })
}

/** 1 over the rank of the first positive within k, else 0. A value per list; NaN without positives. */
export const mrr = (ranked: Ranked, k: number): Float64Array =>
  overPositives('mrr', ranked, k, (_, positives, first) => (positives ? (first ? 1 / first : 0) : Number.NaN))

/** Precision at each positive within k, over all positives of the list: average precision. A value per list; NaN without positives. */
export const averagePrecision = (ranked: Ranked, k: number): Float64Array =>
  overPositives('averagePrecision', ranked, k, (_, positives, __, precisions) => precisions / positives)

/** Positives within k over all of the list. A value per list; NaN without positives. */
export const recallAt = (ranked: Ranked, k: number): Float64Array =>
  overPositives('recallAt', ranked, k, (found, positives) => found / positives)

/** Positives within k over k, also of shorter lists. A value per list; 0 without positives. */
export const precisionAt = (ranked: Ranked, k: number): Float64Array =>
  overPositives('precisionAt', ranked, k, found => found / k)

/** 1 where a positive stands within k, else 0. A value per list; NaN without positives. */
export const hitAt = (ranked: Ranked, k: number): Float64Array =>
  overPositives('hitAt', ranked, k, (found, positives) => (positives ? Number(found > 0) : Number.NaN))

/**
 * Expected reciprocal rank within k: who reads from the top stops at a document with probability (2^y - 1) / 2^`most`. Chapelle and
 * others 2009. A value per list; 0 without positives.
 * @param most the highest grade there is.
 */
export function err(ranked: Ranked, k: number, most = 4): Float64Array {
  expectNumber('err: k', k, COUNT)
  expectNumber('err: most', most, NATURAL)
  const { labels } = ranked
  for (let i = 0; i < labels.length; i++)
    if (labels[i]! > most)
      throw new DataError(`err: there is a label ${labels[i]}, expected at most ${most}, the highest grade`)
  return perList(ranked, (start, end) => {
    let [sum, going] = [0, 1]
    for (let i = start; i < end && i - start < k; i++) {
      const stops = (2 ** labels[i]! - 1) / 2 ** most
      sum += (going * stops) / (i - start + 1)
      going *= 1 - stops
    }
    return sum
  })
}

/** Pairs of a list in the order of their labels over those in the other, over all lists; equal labels or scores are neither. */
export function pnr({ labels, scores, starts }: Ranked): number {
  let [right, wrong] = [0, 0]
  for (let list = 0; list + 1 < starts.length; list++)
    for (let i = starts[list]!; i < starts[list + 1]!; i++)
      for (let j = i + 1; j < starts[list + 1]!; j++) {
        if (scores[i] === scores[j]) continue
        if (labels[i]! > labels[j]!) right++
        else if (labels[i]! < labels[j]!) wrong++
      }
  return right / (wrong + 1e-8)
}

/** A mean over lists. */
export interface ListMean {
  /** NaN where no list counts. */
  mean: number
  /** Lists that count. */
  lists: number
  /** Lists on which the measure says nothing, and that were left out. */
  left_out: number
}

/**
 * The mean of a measure over lists.
 * @param without what lists without positives count: left out ('skip'), 0 ('zero') as by
 * scikit-learn and trec_eval, or 1 ('one') as by XGBoost.
 */
export function meanOfLists(values: Numbers, without: Undefined = 'skip'): ListMean {
  expectLists('meanOfLists', { values })
  expectOneOf('meanOfLists: without', without, ['skip', 'zero', 'one'])
  let [sum, lists, left_out] = [0, 0, 0]
  for (let list = 0; list < values.length; list++) {
    const value = values[list]!
    if (!Number.isNaN(value)) sum += value
    else if (without === 'one') sum += 1
    else if (without === 'skip') left_out++
  }
  lists = values.length - left_out
  return { mean: sum / lists, lists, left_out }
}

/**
 * The mean of a measure over the lists of each group, such as how frequent the query is; groups in the order they appear.
 * @throws DataError unless there is one group a list
 */
export function meanByGroup<G>(
  values: Numbers,
  groups: ArrayLike<G>,
  without: Undefined = 'skip',
): Map<G, ListMean> {
  expectLists('meanByGroup', { values, groups })
  if (groups.length !== values.length)
    throw new DataError(`meanByGroup: ${values.length} lists need a group each, got ${groups.length}`)
  const byGroup = new Map<G, number[]>()
  for (let list = 0; list < values.length; list++) {
    const own = byGroup.get(groups[list]!)
    if (own) own.push(values[list]!)
    else byGroup.set(groups[list]!, [values[list]!])
  }
  return new Map([...byGroup].map(([group, own]) => [group, meanOfLists(own, without)]))
}

/**
 * DCG, nDCG and ERR as Baidu's competition counts them: means over lists, of the last two over those of k documents or more, 1e-8
 * added to the best DCG. NaN where no list is long enough.
 * @param most the highest grade there is, for ERR.
 */
export function baiduFigures(
  ranked: Ranked,
  k: number,
  most = 4,
): { dcg: number; ndcg: number; err: number } {
  const { starts } = ranked
  const found = dcg(ranked, { k })
  const weights = discounts(k, longestOf(starts))
  const best = perList(ranked, (start, end) => summed(ranked.ideal, start, end, weights, GAINS.exp))
  const long = (values: Float64Array) =>
    meanOfLists(values.filter((_, list) => starts[list + 1]! - starts[list]! >= k)).mean
  return {
    dcg: meanOfLists(found).mean,
    ndcg: long(found.map((value, list) => value / (best[list]! + 1e-8))),
    err: long(err(ranked, k, most)),
  }
}
