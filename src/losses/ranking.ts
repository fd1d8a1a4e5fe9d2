// What orders lists. Lists are packed: documents one after the other, `starts` [lists + 1] says where each list begins. Labels and starts are
// known on the host, so which pairs count is too; what depends on scores stays on the device, and nothing is read back.
import { expectTensor } from '../autograd/checks.ts'
import {
  abs,
  add,
  bceWithLogits,
  detach,
  eq,
  gt,
  le,
  log,
  mul,
  neg,
  reciprocal,
  reshape,
  scale,
  segmentLogSumExp,
  segmentSum,
  softplus,
  sub,
  sum,
  type Tensor,
  takeRows,
  tensor,
  where,
} from '../autograd/index.ts'
import { COUNT, expectNumber, expectOptions, shown, toFloats, toUints } from '../check.ts'
import { DataError, ShapeError } from '../errors.ts'

/** Documents of a batch, checked. */
interface Lists {
  /** [N, 1], float32 on the device. */
  scores: Tensor
  labels: Float32Array
  starts: Uint32Array
  N: number
  B: number
}

function checked(name: string, scores: Tensor, given: ArrayLike<number>, offsets: ArrayLike<number>): Lists {
  expectTensor(name, 'scores', scores)
  const labels = toFloats(`${name}: labels`, given)
  const starts = toUints(`${name}: starts`, offsets)
  const N = labels.length
  const { shape } = scores
  if (!(shape.length === 1 || (shape.length === 2 && shape[1] === 1)) || shape[0] !== N)
    throw new ShapeError(
      `${name}: scores has shape [${shape.join(', ')}], expected [${N}] or [${N}, 1], a score a label`,
    )
  const wrong = labels.findIndex(label => !(label >= 0 && label < Infinity))
  if (wrong >= 0)
    throw new DataError(
      `${name}: the label of row ${wrong} is ${shown(given[wrong])}, expected a number of at least 0`,
    )
  if (starts.length < 2 || starts[0] !== 0 || starts.at(-1) !== N)
    throw new ShapeError(
      `${name}: starts is [${describe(starts)}], expected 0 first, ${N} last, the number of rows, and where each list begins`,
    )
  for (let list = 0; list + 1 < starts.length; list++)
    if (starts[list + 1]! <= starts[list]!)
      throw new DataError(
        `${name}: list ${list} begins at ${starts[list]} and the next at ${starts[list + 1]}, expected one document or more`,
      )
  return { scores: reshape(scores, [N, 1]), labels, starts, N, B: starts.length - 1 }
}

const describe = (starts: Uint32Array): string =>
  starts.length > 6 ? `${starts.subarray(0, 3).join(', ')}, …, ${starts.at(-1)}` : starts.join(', ')

/** A value per document of its list. */
function spread({ starts, N }: Lists, of: (list: number) => number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(N)
  for (let list = 0; list + 1 < starts.length; list++) out.fill(of(list), starts[list]!, starts[list + 1]!)
  return out
}

const onDevice = (scores: Tensor, values: Float32Array<ArrayBuffer>): Tensor =>
  tensor(scores.gpu, values, [values.length, 1])

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
  return bceWithLogits(
    lists.scores,
    onDevice(
      scores,
      lists.labels.map(label => Number(label > 0)),
    ),
  )
}

/** The same, summed in a list; mean over lists. */
export function pointwiseLists(scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>): Tensor {
  const { N, B } = checked('pointwiseLists', scores, labels, starts)
  return scale(pointwise(scores, labels, starts), N / B)
}

/** Of each document, the logarithm of the softmax over its list: differences first, so that large scores lose nothing. [N, 1]. */
function logSoftmaxOfLists({ scores, starts, N }: Lists): Tensor {
  const owner = new Uint32Array(N)
  for (let list = 0; list + 1 < starts.length; list++) owner.fill(list, starts[list]!, starts[list + 1]!)
  return sub(scores, takeRows(segmentLogSumExp(scores, starts), owner))
}

/** Minus the sum over documents of a weight times the logarithm of the softmax over their list. */
const weighted = (lists: Lists, weights: Float32Array<ArrayBuffer>): Tensor =>
  neg(sum(mul(onDevice(lists.scores, weights), logSoftmaxOfLists(lists))))

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
  const weights = options.weights && toFloats('listwise: weights', options.weights)
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

/** Pairs of a list of which the first has the greater label, and a weight for each. */
function pairsOf(
  { labels, starts, B }: Lists,
  weigh: (i: number, j: number, list: number) => number = () => 1,
) {
  const [first, second, weights]: [number[], number[], number[]] = [[], [], []]
  for (let list = 0; list < B; list++)
    for (let i = starts[list]!; i < starts[list + 1]!; i++)
      for (let j = starts[list]!; j < starts[list + 1]!; j++) {
        if (!(labels[i]! > labels[j]!)) continue
        first.push(i)
        second.push(j)
        weights.push(weigh(i, j, list))
      }
  return {
    first: Uint32Array.from(first),
    second: Uint32Array.from(second),
    weights: Float32Array.from(weights),
  }
}

/** log(1 + exp(-(s_i - s_j))) of each pair, [pairs, 1]. */
const logistic = (scores: Tensor, first: Uint32Array, second: Uint32Array): Tensor =>
  softplus(sub(takeRows(scores, second), takeRows(scores, first)))

/**
 * RankNet (Burges and others 2005): log(1 + exp(-(s_i - s_j))) over pairs of a list with y_i > y_j; mean over all pairs of the batch, 0
 * where there is none. Memory grows with the pairs.
 */
export function pairwise(scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>): Tensor {
  const lists = checked('pairwise', scores, labels, starts)
  const { first, second } = pairsOf(lists)
  if (!first.length) return nothing(lists.scores)
  return scale(sum(logistic(lists.scores, first, second)), 1 / first.length)
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
  const gain = (row: number) => 2 ** lists.labels[row]! - 1
  const best = Array.from({ length: lists.B }, (_, list) => bestDcg(lists, list, k))
  const { first, second, weights } = pairsOf(lists, (i, j, list) => (gain(i) - gain(j)) / best[list]!)
  if (!first.length) return nothing(lists.scores)
  const discounts = discountsOf(lists, k)
  const swapped = abs(sub(takeRows(discounts, first), takeRows(discounts, second)))
  const fixed = mul(onDevice(scores, weights), swapped)
  return scale(sum(mul(detach(fixed), logistic(lists.scores, first, second))), 1 / lists.B)
}

function bestDcg({ labels, starts }: Lists, list: number, k: number): number {
  const sorted = labels
    .slice(starts[list], starts[list + 1])
    .sort()
    .reverse()
  return sorted.subarray(0, k).reduce((sum, y, i) => sum + (2 ** y - 1) / Math.log2(i + 2), 0)
}

/** 1 / log2(1 + rank) of each document in its list, 0 behind rank k; [N, 1]. The rank is 1 and how many stand before it. */
function discountsOf({ scores, starts, N, B }: Lists, k: number): Tensor {
  const [own, other, before, begins]: [number[], number[], number[], number[]] = [[], [], [], [0]]
  for (let list = 0; list < B; list++)
    for (let i = starts[list]!; i < starts[list + 1]!; i++) {
      for (let j = starts[list]!; j < starts[list + 1]!; j++) {
        if (i === j) continue
        own.push(i)
        other.push(j)
        before.push(Number(j < i))
      }
      begins.push(own.length)
    }
  const still = detach(scores)
  if (!own.length) return tensor(scores.gpu, new Float32Array(N).fill(1), [N, 1])
  const [mine, theirs] = [takeRows(still, own), takeRows(still, other)]
  const above = add(gt(theirs, mine), mul(eq(theirs, mine), onDevice(scores, Float32Array.from(before))))
  const rank = add(segmentSum(above, Uint32Array.from(begins)), 1)
  return where(le(rank, k), scale(reciprocal(log(add(rank, 1))), Math.LN2), 0)
}
