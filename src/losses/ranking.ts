// What orders lists. Lists are packed: documents one after the other, `starts` [lists + 1] says where each list begins. Labels and starts are
// known on the host, so which pairs count is too; what depends on scores stays on the device, and nothing is read back.
import {
  bceWithLogits,
  mul,
  scale,
  segmentDiscounts,
  segmentLogSoftmax,
  segmentPairs,
  sum,
  type Tensor,
} from '../autograd/index.ts'
import { COUNT, expectNumber, expectOptions, shown, toFloats } from '../check.ts'
import { DataError, ShapeError } from '../errors.ts'
import { beside, checkStarts, perDocument } from './lists.ts'

/** Documents of a batch, checked. */
interface Lists {
  /** [N], float32 on the device. */
  scores: Tensor
  labels: Float32Array
  starts: Uint32Array
  N: number
  B: number
}

function checked(name: string, given: Tensor, values: ArrayLike<number>, offsets: ArrayLike<number>): Lists {
  const labels = toFloats(`${name}: labels`, values)
  const N = labels.length
  const scores = perDocument(name, 'scores', given, N)
  const wrong = labels.findIndex(label => !(label >= 0 && label < Infinity))
  if (wrong >= 0)
    throw new DataError(
      `${name}: the label of row ${wrong} is ${shown(values[wrong])}, expected a number of at least 0`,
    )
  const starts = checkStarts(name, offsets, N)
  return { scores, labels, starts, N, B: starts.length - 1 }
}

/** A value per document of its list. */
function spread({ starts, N }: Lists, of: (list: number) => number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(N)
  for (let list = 0; list + 1 < starts.length; list++) out.fill(of(list), starts[list]!, starts[list + 1]!)
  return out
}

/** 0, with a gradient of zeros. */
const nothing = (scores: Tensor): Tensor => scale(sum(scores), 0)

/**
 * Whether each document is clicked, by itself: sigmoid cross-entropy, labels above 0 are clicks; mean over documents.
 *
 * @example
 * ```ts
 * import { listwise, pointwise } from 'kernelgrad/losses'
 * import { add, tensor } from 'kernelgrad'
 *
 * const scores = tensor(gpu, Float32Array.of(0.2, 1.5, -1, 0.3), [4], { requiresGrad: true })
 * const [labels, starts] = [Float32Array.of(0, 1, 0, 2), Uint32Array.of(0, 3, 4)]
 * const loss = add(pointwise(scores, labels, starts), listwise(scores, labels, starts))
 * ```
 */
export function pointwise(scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>): Tensor {
  const lists = checked('pointwise', scores, labels, starts)
  const clicks = lists.labels.map(label => Number(label > 0))
  return bceWithLogits(lists.scores, beside(scores, clicks))
}

/** The same, summed in a list; mean over lists. */
export function pointwiseLists(scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>): Tensor {
  const { N, B } = checked('pointwiseLists', scores, labels, starts)
  return scale(pointwise(scores, labels, starts), N / B)
}

/** Minus the sum over documents of a weight times the logarithm of the softmax over their list. */
const weighted = ({ scores, starts }: Lists, weights: Float32Array<ArrayBuffer>): Tensor =>
  sum(
    mul(
      beside(
        scores,
        weights.map(weight => -weight),
      ),
      segmentLogSoftmax(scores, starts),
    ),
  )

/** How much lists count. */
export interface ListwiseOptions {
  /** [lists], 1 unless given. */
  weights?: ArrayLike<number>
}

/**
 * Softmax over each list, DeText's: the sum of y_i (logsumexp(s) - s_i), over the positive labels of the batch; 0 where there is none.
 */
export function listwise(
  scores: Tensor,
  labels: ArrayLike<number>,
  starts: ArrayLike<number>,
  options: ListwiseOptions = {},
): Tensor {
  const lists = checked('listwise', scores, labels, starts)
  expectOptions('listwise: options', options, ['weights'])
  const weights = options.weights === undefined ? undefined : toFloats('listwise: weights', options.weights)
  if (weights && weights.length !== lists.B)
    throw new ShapeError(
      `listwise: weights has ${weights.length} values, expected ${lists.B}, the number of lists`,
    )
  const bad = weights?.findIndex(weight => !Number.isFinite(weight)) ?? -1
  if (bad >= 0)
    throw new DataError(`listwise: the weight of list ${bad} is ${weights![bad]}, expected a finite number`)
  const positives = lists.labels.reduce((count, label) => count + Number(label > 0), 0)
  if (!positives) return nothing(lists.scores)
  const own = spread(lists, list => (weights?.[list] ?? 1) / positives)
  return weighted(
    lists,
    own.map((weight, i) => weight * lists.labels[i]!),
  )
}

/** Softmax over each list against its labels over their sum; mean over the lists that have a positive, 0 where none has. */
export function listwiseNormed(scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>): Tensor {
  const lists = checked('listwiseNormed', scores, labels, starts)
  const totals = totalsOf(lists)
  const counted = totals.filter(total => total > 0).length
  if (!counted) return nothing(lists.scores)
  const own = spread(lists, list => (totals[list] ? 1 / (totals[list]! * counted) : 0))
  return weighted(
    lists,
    own.map((weight, i) => weight * lists.labels[i]!),
  )
}

const totalsOf = ({ labels, starts }: Lists): number[] =>
  Array.from(starts.subarray(1), (end, list) =>
    labels.subarray(starts[list], end).reduce((sum, y) => sum + y, 0),
  )

/** ListNet, top one (Cao and others 2007): softmax over each list against the softmax of its labels; mean over lists. */
export function listNet(scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>): Tensor {
  const lists = checked('listNet', scores, labels, starts)
  const weights = new Float32Array(lists.N)
  for (let list = 0; list < lists.B; list++) {
    const own = lists.labels.subarray(lists.starts[list], lists.starts[list + 1])
    const most = own.reduce((a, b) => Math.max(a, b), 0)
    const total = own.reduce((sum, y) => sum + Math.exp(y - most), 0)
    weights.set(
      own.map(y => Math.exp(y - most) / (total * lists.B)),
      lists.starts[list]!,
    )
  }
  return weighted(lists, weights)
}

/** Pairs of a list with different labels, of all lists. */
export function pairsOf({ labels, starts, B }: Pick<Lists, 'labels' | 'starts' | 'B'>): number {
  let pairs = 0
  for (let list = 0; list < B; list++) {
    const own = labels.slice(starts[list], starts[list + 1]).sort()
    // Of those before a run of equal labels, each makes a pair with each of the run.
    for (let i = 0, next = 0; i < own.length; i = next) {
      while (next < own.length && own[next] === own[i]) next++
      pairs += i * (next - i)
    }
  }
  return pairs
}

/**
 * RankNet (Burges and others 2005): log(1 + exp(-(s_i - s_j))) over pairs of a list with y_i > y_j; mean over all pairs of the batch, 0
 * where there is none. Time grows with the pairs, memory with the documents.
 */
export function pairwise(scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>): Tensor {
  const lists = checked('pairwise', scores, labels, starts)
  const pairs = pairsOf(lists)
  if (!pairs) return nothing(lists.scores)
  const losses = segmentPairs(lists.scores, beside(scores, lists.labels), lists.starts)
  return scale(sum(losses), 1 / pairs)
}

/** How LambdaRank counts ranks. */
export interface LambdaRankOptions {
  /** Ranks that count: 1 to k; all unless given. */
  k?: number
}

/** 2^y is finite, and so are sums of many. */
const MOST = 100

/**
 * LambdaRank (Burges 2010): RankNet's pairs, each times what nDCG@k changes by where both swap places: |G_i - G_j| |D_i - D_j|, gains
 * 2^y - 1 over the best DCG@k there is, D = 1 / log2(1 + rank) in the present order, 0 behind k. The weights are constants in the gradient,
 * equal scores keep their order. Summed in a list, mean over lists.
 */
export function lambdaRank(
  scores: Tensor,
  labels: ArrayLike<number>,
  starts: ArrayLike<number>,
  options: LambdaRankOptions = {},
): Tensor {
  const lists = checked('lambdaRank', scores, labels, starts)
  expectOptions('lambdaRank: options', options, ['k'])
  const { k = lists.N } = options
  expectNumber('lambdaRank: k', k, COUNT)
  const high = lists.labels.findIndex(label => label > MOST)
  if (high >= 0)
    throw new DataError(
      `lambdaRank: the label of row ${high} is ${lists.labels[high]}, expected at most ${MOST}, of which 2^y can be summed`,
    )
  if (!pairsOf(lists)) return nothing(lists.scores)
  const best = Array.from({ length: lists.B }, (_, list) => bestDcg(lists, list, k))
  const gains = spread(lists, list => (best[list] ? 1 / (best[list]! * lists.B) : 0)).map(
    (share, row) => (2 ** lists.labels[row]! - 1) * share,
  )
  const values = segmentDiscounts(lists.scores, lists.starts, k)
  return sum(segmentPairs(lists.scores, beside(scores, gains), lists.starts, { kind: 'swaps', values }))
}

function bestDcg({ labels, starts }: Lists, list: number, k: number): number {
  const sorted = labels
    .slice(starts[list], starts[list + 1])
    .sort()
    .reverse()
  return sorted.subarray(0, k).reduce((sum, y, i) => sum + (2 ** y - 1) / Math.log2(i + 2), 0)
}
