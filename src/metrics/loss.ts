// Figures that are means over the rows, as scikit-learn computes them; sums in float64 unless said otherwise.
import {
  checkClasses,
  checkClickRows,
  checkPairs,
  checkProbabilities,
  checkSome,
  type Numbers,
  rowsOf,
} from './check.ts'

/** Probabilities are clipped to [CLIP, 1 - CLIP] before the logarithm. */
const CLIP = 1e-7

const clip = (p: number) => Math.min(Math.max(p, CLIP), 1 - CLIP)

/**
 * Mean negative log likelihood of the labels. One class alone is fine: scikit-learn's `log_loss(..., labels=[0, 1])`.
 * @param p probability of class 1 per row, clipped to [1e-7, 1 - 1e-7].
 * @throws DataError on no rows, unequal lengths, a label that is not 0 or 1, NaN, or a value that is no probability.
 * @see https://scikit-learn.org/stable/modules/generated/sklearn.metrics.log_loss.html
 */
export function logLoss(labels: Numbers, p: Numbers): number {
  checkClickRows(labels, p, 'logLoss')
  return meanLogLoss(labels, p)
}

/** {@link logLoss} of rows that are checked already. */
export function meanLogLoss(labels: Numbers, p: Numbers): number {
  let sum = 0
  for (let i = 0; i < labels.length; i++) {
    const q = clip(p[i]!)
    sum -= labels[i] ? Math.log(q) : Math.log1p(-q)
  }
  return sum / labels.length
}

/**
 * Log loss over that of always predicting the share of clicks: below 1 is better than knowing the click rate alone. It is 1 minus
 * scikit-learn's `d2_log_loss_score`.
 * @param p probability of class 1 per row.
 * @returns NaN when all labels are the same: their click rate leaves nothing to predict.
 * @throws DataError as {@link logLoss}.
 * @see He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, section 3
 */
export function normalizedEntropy(labels: Numbers, p: Numbers): number {
  return normalized(logLoss(labels, p), labels)
}

/** A log loss over the entropy of the labels' click rate. */
export function normalized(loss: number, labels: Numbers): number {
  let clicks = 0
  for (let i = 0; i < labels.length; i++) clicks += labels[i]!
  const rate = clicks / labels.length
  if (rate === 0 || rate === 1) return Number.NaN
  return loss / -(rate * Math.log(rate) + (1 - rate) * Math.log1p(-rate))
}

/**
 * Mean squared difference between probability and label. Float32 probabilities are squared and summed in float32, as
 * scikit-learn (numpy) does with them; anything else in float64.
 * @throws DataError as {@link logLoss}.
 * @see https://scikit-learn.org/stable/modules/generated/sklearn.metrics.brier_score_loss.html
 */
export function brier(labels: Numbers, p: Numbers): number {
  checkClickRows(labels, p, 'brier')
  return meanSquare(labels, p)
}

/** {@link brier} of rows that are checked already. */
export function meanSquare(labels: Numbers, p: Numbers): number {
  if (p instanceof Float32Array) {
    const squares = p.map((value, i) => Math.fround(labels[i]! - value) ** 2)
    return Math.fround(pairwiseSum(squares) / labels.length)
  }
  let sum = 0
  for (let i = 0; i < labels.length; i++) sum += (p[i]! - labels[i]!) ** 2
  return sum / labels.length
}

/** numpy's float32 sum: eight running sums per block of at most 128, blocks added as a balanced tree. */
function pairwiseSum(x: Float32Array): number {
  const add = (a: number, b: number) => Math.fround(a + b)
  if (x.length < 8) return x.reduce(add, 0)
  if (x.length > 128) {
    const half = Math.floor(x.length / 2)
    const cut = half - (half % 8)
    return add(pairwiseSum(x.subarray(0, cut)), pairwiseSum(x.subarray(cut)))
  }
  const r = x.slice(0, 8)
  const whole = x.length - (x.length % 8)
  for (let i = 8; i < whole; i++) r[i % 8]! += x[i]!
  const sum = add(add(add(r[0]!, r[1]!), add(r[2]!, r[3]!)), add(add(r[4]!, r[5]!), add(r[6]!, r[7]!)))
  return x.subarray(whole).reduce(add, sum)
}

/**
 * Mean negative log likelihood over C classes.
 * @param labels class from 0 to C-1 per row, [B].
 * @param p probabilities [B, C], row-major, clipped to [1e-7, 1 - 1e-7] and not renormalized.
 * @throws DataError as {@link logLoss}.
 */
export function logLossMulti(labels: Numbers, p: Numbers, classes: number): number {
  checkSome(rowsOf(labels, 'logLossMulti'), 'logLossMulti')
  checkClassRows(labels, p, classes, 'logLossMulti')
  let sum = 0
  for (let i = 0; i < labels.length; i++) sum += lossOf(p, i, labels[i]!, classes)
  return sum / labels.length
}

/** Checks labels and probabilities [B, C]. */
export function checkClassRows(
  labels: Numbers,
  p: Numbers,
  classes: number,
  what: string,
  firstRow = 0,
): void {
  checkClasses(classes, what)
  checkPairs(labels, p, classes, what, firstRow)
  checkProbabilities(p, classes, what, firstRow)
}

/** Negative log likelihood of one row of [B, C]. */
export const lossOf = (p: Numbers, row: number, label: number, classes: number): number =>
  -Math.log(clip(p[row * classes + label]!))

/**
 * Share of rows whose highest score is at their label; the first of equal scores wins, as numpy's argmax.
 * @param scores logits or probabilities [B, C], row-major.
 * @throws DataError on no rows, unequal lengths, a label out of range, or a NaN score.
 */
export function accuracy(labels: Numbers, scores: Numbers, classes: number): number {
  checkClasses(classes, 'accuracy')
  checkSome(rowsOf(labels, 'accuracy'), 'accuracy')
  checkPairs(labels, scores, classes, 'accuracy')
  let right = 0
  for (let i = 0; i < labels.length; i++) if (argmax(scores, i, classes) === labels[i]) right++
  return right / labels.length
}

/** The class with the highest score of one row of [B, C]. */
export function argmax(scores: Numbers, row: number, classes: number): number {
  let best = 0
  for (let c = 1; c < classes; c++) if (scores[row * classes + c]! > scores[row * classes + best]!) best = c
  return best
}
