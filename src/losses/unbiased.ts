// Losses that learn relevance from clicks, which the place of a document distorts: a click means that it was looked at and is relevant.
// Lists are packed; scores are the relevance model's logits, and examination is what the other model says of looking, a logit a document. What
// one model weighs the other's clicks by is a constant of the gradient.
import {
  add,
  bceWithLogits,
  clamp,
  detach,
  div,
  exp,
  logSumExp,
  mean,
  mul,
  neg,
  scale,
  segmentLogSoftmax,
  segmentSum,
  sigmoid,
  softplus,
  stack,
  sub,
  sum,
  type Tensor,
  where,
} from '../autograd/index.ts'
import { expectNumber, expectNumbers, expectOptions, POSITIVE, type Range, shown } from '../check.ts'
import { ConfigError } from '../errors.ts'
import { type ClickLists, checkLists, type Lists, positionsOf } from './click-lists.ts'
import { beside, pick } from './lists.ts'

const PROPENSITY: Range = { says: 'a number above 0 and at most 1', takes: x => x > 0 && x <= 1 }

/** How clicks are weighed by the places they were made at. */
export interface PropensityOptions {
  /** By position from 0: the chance that a place is looked at, above 0 and at most 1. */
  propensities: ArrayLike<number>
  /** Largest weight, default 10: rare clicks far down would else decide everything. */
  maxWeight?: number
}

/** Losses of two models that teach each other; their sum is what is trained on. */
export interface TwoLosses {
  /** Of the scores, [1]. */
  relevance: Tensor
  /** Of the examination logits, [1]. */
  examination: Tensor
}

function weightsOf(lists: Lists, options: PropensityOptions, known: string[], most: number): Float32Array {
  expectOptions(`${lists.name}: options`, options, known)
  const { propensities, maxWeight = most } = options
  expectNumbers(`${lists.name}: propensities`, propensities, PROPENSITY)
  if (maxWeight !== Number.POSITIVE_INFINITY) expectNumber(`${lists.name}: maxWeight`, maxWeight, POSITIVE)
  const positions = positionsOf(lists, propensities.length)
  return Float32Array.from(positions, position => Math.min(1 / propensities[position]!, maxWeight))
}

/** The sigmoid cross-entropy of scores against clicks, the mean of the documents: what takes clicks at their word. */
export function clickPointwise(scores: Tensor, lists: ClickLists): Tensor {
  const checked = checkLists('clickPointwise', lists, scores)
  return bceWithLogits(checked.scores, beside(scores, checked.clicks))
}

/**
 * The cross-entropy of each list's softmax against its clicks over their sum, the mean of the lists that have one (0 where none has): what takes clicks
 * at their word.
 */
export function clickListwise(scores: Tensor, lists: ClickLists): Tensor {
  const checked = checkLists('clickListwise', lists, scores)
  return listwiseNormed(checked.scores, beside(scores, checked.clicks), checked)
}

/** Labels are 0 where nothing was clicked, and above elsewhere. */
function listwiseNormed(x: Tensor, labels: Tensor, lists: Lists): Tensor {
  const { starts, clicks, listOf } = lists
  const clicked = new Float32Array(starts.length - 1)
  clicks.forEach((click, i) => {
    if (click) clicked[listOf[i]!] = 1
  })
  const count = clicked.reduce((total, one) => total + one, 0)
  // A list without clicks has the sum 0, and 1 in its place: its labels are all 0.
  const sums = add(
    segmentSum(labels, starts),
    beside(
      x,
      clicked.map(one => 1 - one),
    ),
  )
  const targets = detach(div(labels, pick(sums, listOf)))
  return scale(sum(mul(targets, segmentLogSoftmax(x, starts))), -1 / Math.max(count, 1))
}

/**
 * Inverse propensity scoring, document by document: -(w c) log sigmoid(s) - (1 - w c) log sigmoid(-s) with w = min(1 / propensity, maxWeight), the mean
 * of the documents. In expectation it is the loss on relevance; that of a single document may be below 0.
 */
export function ipsPointwise(scores: Tensor, lists: ClickLists, options: PropensityOptions): Tensor {
  const checked = checkLists('ipsPointwise', lists, scores)
  const weights = weightsOf(checked, options, ['propensities', 'maxWeight'], 10)
  const weighted = beside(
    scores,
    weights.map((weight, i) => weight * checked.clicks[i]!),
  )
  const s = checked.scores
  return mean(sub(softplus(s), mul(s, weighted)))
}

/** {@link clickListwise} with clicks weighed by min(1 / propensity, maxWeight). */
export function ipsListwise(scores: Tensor, lists: ClickLists, options: PropensityOptions): Tensor {
  const checked = checkLists('ipsListwise', lists, scores)
  const weights = weightsOf(checked, options, ['propensities', 'maxWeight'], 10)
  const weighted = weights.map((weight, i) => weight * checked.clicks[i]!)
  return listwiseNormed(checked.scores, beside(scores, weighted), checked)
}

/**
 * The sigmoid cross-entropy times 1 / propensity, whether clicked or not, summed in lists, the mean of the lists: as the code of Baidu-ULTR's baselines
 * has it. Against the theory it weighs what was not clicked too; {@link ipsPointwise} does not.
 */
export function ipwPointwise(
  scores: Tensor,
  lists: ClickLists,
  options: Pick<PropensityOptions, 'propensities'>,
): Tensor {
  const checked = checkLists('ipwPointwise', lists, scores)
  const weights = weightsOf(checked, options, ['propensities'], Number.POSITIVE_INFINITY)
  const each = bceWithLogits(checked.scores, beside(scores, checked.clicks), { reduction: 'none' })
  return scale(sum(mul(each, beside(scores, weights))), 1 / (checked.starts.length - 1))
}

/**
 * Two towers: the sigmoid cross-entropy of score + examination against the click, the mean of the documents. Rank by the score alone.
 * @param examination [N] logits of what a document's place says, as a table's rows at its positions.
 */
export function twoTower(scores: Tensor, examination: Tensor, lists: ClickLists): Tensor {
  const checked = checkLists('twoTower', lists, scores, { logits: examination })
  return bceWithLogits(add(checked.scores, checked.examination!), beside(scores, checked.clicks))
}

/**
 * The position-based model: a click has the probability sigmoid(examination) x sigmoid(score), and the loss is its cross-entropy, the mean of the
 * documents. Computed from the logits, so that it stays finite.
 */
export function positionBased(scores: Tensor, examination: Tensor, lists: ClickLists): Tensor {
  const checked = checkLists('positionBased', lists, scores, { logits: examination })
  const [s, e] = [neg(checked.scores), neg(checked.examination!)]
  // With a = exp(-s) and b = exp(-e): p = 1 / ((1 + a) (1 + b)), and 1 - p = (a + b + a b) p.
  const missed = logSumExp(stack([s, e, add(s, e)], 1), 1)
  const notClicked = beside(
    scores,
    checked.clicks.map(click => 1 - click),
  )
  return mean(sub(add(softplus(s), softplus(e)), mul(notClicked, missed)))
}

/** How the two models of the dual learning algorithm weigh each other's clicks. */
export interface DlaOptions {
  /** Largest weight, default 10. */
  maxWeight?: number
}

/** [N], the softmax of the list's first document over each one's, at most `most`; a constant. */
function relativeToFirst(x: Tensor, { starts, listOf }: Lists, most: number): Tensor {
  const first = pick(
    x,
    listOf.map(list => starts[list]!),
  )
  const ratio = exp(sub(first, x))
  return detach(most === Number.POSITIVE_INFINITY ? ratio : clamp(ratio, 0, most))
}

/**
 * The dual learning algorithm (Ai and others, SIGIR 2018): {@link clickListwise} of the scores, clicks weighed by what the examination model
 * says of their places, and of the examination logits, clicks weighed by what the scores say; weights are relative to the list's first document
 * and at most `maxWeight`. Lists without clicks give nothing.
 */
export function dla(
  scores: Tensor,
  examination: Tensor,
  lists: ClickLists,
  options: DlaOptions = {},
): TwoLosses {
  const checked = checkLists('dla', lists, scores, { logits: examination })
  expectOptions('dla: options', options, ['maxWeight'])
  const { maxWeight = 10 } = options
  if (maxWeight !== Number.POSITIVE_INFINITY) expectNumber('dla: maxWeight', maxWeight, POSITIVE)
  const clicks = beside(scores, checked.clicks)
  const [s, e] = [checked.scores, checked.examination!]
  return {
    relevance: listwiseNormed(s, mul(clicks, relativeToFirst(e, checked, maxWeight)), checked),
    examination: listwiseNormed(e, mul(clicks, relativeToFirst(s, checked, maxWeight)), checked),
  }
}

/** What the ULTRA toolbox adds to a click, so that no list is without. */
const ULTRA_CLICK = 1e-7

/**
 * {@link dla} as the ULTRA toolbox computes it: labels are (click + 1e-7) times the weight, which has no bound, and each list counts as much as its labels
 * sum up to.
 */
export function dlaUltra(scores: Tensor, examination: Tensor, lists: ClickLists): TwoLosses {
  const checked = checkLists('dlaUltra', lists, scores, { logits: examination })
  const clicks = beside(
    scores,
    checked.clicks.map(click => click + ULTRA_CLICK),
  )
  const loss = (x: Tensor, other: Tensor) => {
    const labels = mul(clicks, relativeToFirst(other, checked, Number.POSITIVE_INFINITY))
    return neg(div(sum(mul(labels, segmentLogSoftmax(x, checked.starts))), sum(labels)))
  }
  const [s, e] = [checked.scores, checked.examination!]
  return { relevance: loss(s, e), examination: loss(e, s) }
}

/**
 * Regression-EM (Wang and others, WSDM 2018): both models learn, by sigmoid cross-entropy, what they are likely to have been: 1 where clicked, else
 * relevance sigmoid(s - softplus(e)) and examination sigmoid(e - softplus(s)), constants of the gradient.
 */
export function regressionEm(scores: Tensor, examination: Tensor, lists: ClickLists): TwoLosses {
  const checked = checkLists('regressionEm', lists, scores, { logits: examination })
  const clicks = beside(scores, checked.clicks)
  const likely = (x: Tensor, other: Tensor) => detach(where(clicks, 1, sigmoid(sub(x, softplus(other)))))
  const [s, e] = [checked.scores, checked.examination!]
  return { relevance: bceWithLogits(s, likely(s, e)), examination: bceWithLogits(e, likely(e, s)) }
}

/**
 * What a table says of the documents' places: [N] logits of examination.
 * @param table [positions] or [positions, 1], as a parameter of the model.
 * @throws DataError naming the document and position that the table does not have
 */
export function examinationAt(table: Tensor, positions: ArrayLike<number>): Tensor {
  const [rows, columns = 1] = table.shape
  if (rows === undefined || columns !== 1 || table.shape.length > 2)
    throw new ConfigError(
      `examinationAt: table has shape [${table.shape}], expected [positions] or [positions, 1]`,
    )
  if (typeof positions !== 'object' || positions === null)
    throw new ConfigError(`examinationAt: positions is ${shown(positions)}, expected an array of them`)
  const at = positionsOf({ name: 'examinationAt', positions: Uint32Array.from(positions) } as Lists, rows)
  return pick(table, at)
}
