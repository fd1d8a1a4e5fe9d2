// What each k of a ranker is worth, and what it costs: by this one chooses how many candidates the last pass is given.
import { COUNT, expectNumber, expectNumbers, expectOptions, NON_NEGATIVE, shown } from '../check.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import {
  finalNdcg,
  lastScored,
  meanOfLists,
  type Numbers,
  recallOfOwnBest,
  recallOfPasses,
  smallestCut,
} from '../metrics/index.ts'
import { percentile } from './latency.ts'
import { NPassRanker } from './n-pass.ts'
import { type Candidates, expectCandidates } from './n-pass-read.ts'

/** What to measure. */
export interface MeasureOptions {
  /** By row of the file, 0 or more: what is relevant. */
  labels: Numbers
  /** How many of each list the last pass is given, one after the other; all of them is measured too. */
  ks: readonly number[]
  /** Ranks that count in nDCG and in the last pass's own best; default 10. */
  at?: number
  /** How far below that of all the nDCG of the chosen k may be; default .01. */
  within?: number
  /** How often everything is timed; default 3. Of whole runs the fastest counts. */
  repeats?: number
}

/** Milliseconds of one query. */
export interface Latency {
  /** The median. */
  p50: number
  /** What 99 in 100 take at most. */
  p99: number
}

/** What one k is worth. */
export interface CutMeasures {
  /** Infinity where the last pass is given all. */
  k: number
  /** Positives that the last pass is given, the mean share over lists that have one. */
  recall: number
  /** The last pass's own best that it is given, the mean share over lists. */
  own_recall: number
  /** Of the final order; the ideal is the whole list's. Mean over lists with positives. */
  ndcg: number
  /** The same where the last pass's own best are the positives: how near the order is to what it would be if that pass scored all. */
  own_ndcg: number
  /** Candidates that the last pass scored. */
  scored: number
  /** Of one query by itself, by pass. */
  latency: Latency[]
  /** Of one query by itself. */
  total: Latency
  /** Of all queries at once, their candidates side by side in batches, by pass in milliseconds. */
  ms: number[]
  /** Queries a second, of all at once. */
  queries_per_second: number
}

/** What all of them are worth. */
export interface MeasuredCuts {
  /** By k, ascending; the last is that of all. */
  cuts: CutMeasures[]
  /** The smallest k whose nDCG is near that of all. */
  chosen: number
}

/**
 * Ranks labelled candidates once for every k, and each query by itself, with everything that can be kept in its place.
 * @throws ArgumentError or ConfigError for what cannot be asked for; as {@link NPassRanker.rank}
 *
 * @example
 * ```ts
 * import { readColumns } from 'kernelgrad/data'
 * import { measureCuts, NPassRanker } from 'kernelgrad/serve'
 *
 * const ranker = await NPassRanker.load(gpu, 'passes.json')
 * const candidates = await ranker.read('labelled.parquet')
 * const { label } = await readColumns('labelled.parquet', ['label'])
 * const { cuts, chosen } = await measureCuts(ranker, candidates, { labels: label!.map(Number), ks: [5, 10, 20, 50] })
 * for (const { k, ndcg, total } of cuts) console.log(k, ndcg, total.p99)
 * console.log(`k ${chosen} is enough`)
 * ```
 */
export async function measureCuts(
  ranker: NPassRanker,
  candidates: Candidates,
  options: MeasureOptions,
): Promise<MeasuredCuts> {
  const where = 'measureCuts'
  expectOptions(`${where}: options`, options, ['labels', 'ks', 'at', 'within', 'repeats'])
  const { labels, ks, at = 10, within = 0.01, repeats = 3 } = options
  expectNumber(`${where}: at`, at, COUNT)
  expectNumber(`${where}: within`, within, NON_NEGATIVE)
  expectNumber(`${where}: repeats`, repeats, COUNT)
  if (!(ranker instanceof NPassRanker))
    throw new ArgumentError(`${where}: ranker is ${shown(ranker)}, expected an NPassRanker`)
  if (ranker.passes < 2)
    throw new ConfigError(`${where}: the ranker has one pass, expected two or more: there is no k to choose`)
  if (!Array.isArray(ks) || !ks.length)
    throw new ArgumentError(`${where}: ks is ${shown(ks)}, expected numbers of candidates`)
  for (const [i, k] of ks.entries()) expectNumber(`${where}: ks[${i}]`, k, COUNT)
  expectCandidates(where, candidates)
  const n = candidates.rows.length
  expectLabels(where, labels, n)
  // What the passes before hand on is theirs to say; the last is given k.
  const every = [...new Set(ks)].sort((a, b) => a - b)
  const passes = (k: number) =>
    Array.from({ length: ranker.passes }, (_, i) => (i === ranker.passes - 2 ? k : undefined))
  const all = await ranker.rank(candidates, { ks: passes(Number.POSITIVE_INFINITY) })
  // Documents are numbered list after list.
  const own = new Float64Array(n)
  for (const [i, one] of all.order.documents.entries()) own[one] = all.scores[i]!
  const byDocument = Array.from(candidates.rows, row => labels[row]!)
  // By rank in the order of all, which holds each document once.
  const best = new Float64Array(n)
  for (let list = 0; list + 1 < candidates.starts.length; list++)
    for (const one of all.order.documents
      .subarray(candidates.starts[list], candidates.starts[list + 1])
      .subarray(0, at))
      best[one] = 1
  const cuts: CutMeasures[] = []
  for (const k of [...every, Number.POSITIVE_INFINITY]) {
    const { order } = await ranker.rank(candidates, { ks: passes(k) })
    cuts.push({
      k,
      recall: meanOfLists(recallOfPasses(order, byDocument)).mean,
      own_recall: meanOfLists(recallOfOwnBest(order, own, at)).mean,
      ndcg: meanOfLists(finalNdcg(order, byDocument, at)).mean,
      own_ndcg: meanOfLists(finalNdcg(order, best, at)).mean,
      scored: lastScored(order),
      ...(await timed(ranker, candidates, passes(k), repeats)),
    })
  }
  const largest = Math.max(
    ...candidates.starts.slice(1).map((end, list) => end - candidates.starts[list]!),
    ...every,
  )
  const chosen = smallestCut(
    cuts.map(({ k, ndcg }) => ({ k: Math.min(k, largest + 1), ndcg })),
    within,
  )
  return { cuts, chosen: chosen > largest ? Number.POSITIVE_INFINITY : chosen }
}

/** @throws ArgumentError for what is no array; DataError naming the row of a label that is none */
function expectLabels(where: string, labels: unknown, rows: number): asserts labels is Numbers {
  expectNumbers(`${where}: labels`, labels)
  if (labels.length !== rows)
    throw new DataError(
      `${where}: labels has ${labels.length} values, expected ${rows}, one a row of the file`,
    )
  for (let row = 0; row < rows; row++)
    if (!(typeof labels[row] === 'number' && labels[row]! >= 0 && labels[row]! < Infinity))
      throw new DataError(
        `${where}: the label of row ${row} is ${shown(labels[row])}, expected a number of at least 0`,
      )
}

/** All queries at once, and each by itself: first once unseen, so that kernels are compiled and memory is there. */
async function timed(
  ranker: NPassRanker,
  candidates: Candidates,
  ks: (number | undefined)[],
  repeats: number,
): Promise<Pick<CutMeasures, 'latency' | 'total' | 'ms' | 'queries_per_second'>> {
  const lists = candidates.starts.length - 1
  let ms: number[] | undefined
  for (let i = 0; i < repeats; i++) {
    const run = await ranker.rank(candidates, { ks })
    if (!ms || sum(run.ms) < sum(ms)) ms = run.ms
  }
  const [byPass, whole]: [number[][], number[]] = [ks.map(() => []), []]
  for (let i = -1; i < repeats; i++)
    for (let list = 0; list < lists; list++) {
      const run = await ranker.rank(candidates, { ks, lists: [list] })
      if (i < 0) continue
      for (const [pass, one] of run.ms.entries()) byPass[pass]!.push(one)
      whole.push(sum(run.ms))
    }
  return {
    latency: byPass.map(latencyOf),
    total: latencyOf(whole),
    ms: ms!,
    queries_per_second: (1000 * lists) / sum(ms!),
  }
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0)

function latencyOf(times: readonly number[]): Latency {
  const sorted = Float64Array.from(times).sort()
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) }
}
