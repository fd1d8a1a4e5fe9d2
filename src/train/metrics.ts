// Classification metrics as scikit-learn computes them, over whole evaluation sets: O(n log n), sums in float64.
import { DataError } from '../errors.ts'

/** Probabilities are clipped to [CLIP, 1 - CLIP] before the logarithm. */
const CLIP = 1e-7
// A float32 softmax on a GPU may pass 1 by a rounding; anything beyond is no probability.
const SLACK = 1e-6

type Numbers = ArrayLike<number>

function checkPairs(labels: Numbers, scores: Numbers, columns: number, what: string): void {
  if (!labels.length) throw new DataError(`${what} needs at least one row, got none`)
  if (scores.length !== labels.length * columns) {
    throw new DataError(
      `${what}: ${labels.length} labels need ${labels.length * columns} scores, got ${scores.length}`,
    )
  }
  const classes = Math.max(2, columns)
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new DataError(`${what}: label ${label} in row ${i} is not a class from 0 to ${classes - 1}`)
    }
  }
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i]!))
      throw new DataError(`${what}: the score of row ${Math.floor(i / columns)} is NaN`)
  }
}

function checkProbabilities(p: Numbers, columns: number, what: string): void {
  for (let i = 0; i < p.length; i++) {
    if (p[i]! >= -SLACK && p[i]! <= 1 + SLACK) continue
    throw new DataError(`${what}: ${p[i]} in row ${Math.floor(i / columns)} is not a probability in [0, 1]`)
  }
}

/**
 * Walks the distinct scores from high to low and reports how many clicked and other rows have each. Two native
 * sorts and a merge, which is several times faster than sorting row numbers with a comparison function.
 */
function sweep(
  labels: Numbers,
  scores: Numbers,
  visit: (positives: number, negatives: number) => void,
): { positives: number; negatives: number } {
  let positives = 0
  for (let i = 0; i < labels.length; i++) positives += labels[i]!
  const pos = new Float64Array(positives)
  const neg = new Float64Array(labels.length - positives)
  let p = 0
  let n = 0
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 1) pos[p++] = scores[i]!
    else neg[n++] = scores[i]!
  }
  pos.sort()
  neg.sort()
  while (p || n) {
    const score = Math.max(
      p ? pos[p - 1]! : Number.NEGATIVE_INFINITY,
      n ? neg[n - 1]! : Number.NEGATIVE_INFINITY,
    )
    const [p0, n0] = [p, n]
    while (p && pos[p - 1] === score) p--
    while (n && neg[n - 1] === score) n--
    visit(p0 - p, n0 - n)
  }
  return { positives: pos.length, negatives: neg.length }
}

/**
 * Area under the ROC curve; a tie between a click and another row counts half.
 * @param labels 0 or 1 per row.
 * @param scores any monotone score per row.
 * @returns NaN when all labels are the same, as scikit-learn: there is no curve then.
 * @throws DataError on no rows, unequal lengths, another label, or a NaN score.
 */
export function rocAuc(labels: Numbers, scores: Numbers): number {
  checkPairs(labels, scores, 1, 'rocAuc')
  let clicksAbove = 0
  let ordered = 0
  const { positives, negatives } = sweep(labels, scores, (pos, neg) => {
    ordered += neg * (clicksAbove + pos / 2)
    clicksAbove += pos
  })
  return ordered / (positives * negatives)
}

/**
 * Average precision: precision at each distinct score, weighted by the recall it adds.
 * @returns NaN when no label is 1 (scikit-learn warns and returns 0).
 * @throws DataError as {@link rocAuc}.
 */
export function prAuc(labels: Numbers, scores: Numbers): number {
  checkPairs(labels, scores, 1, 'prAuc')
  let clicks = 0
  let rows = 0
  let sum = 0
  const { positives } = sweep(labels, scores, (pos, neg) => {
    clicks += pos
    rows += pos + neg
    sum += pos * (clicks / rows)
  })
  return sum / positives
}

/**
 * Mean negative log likelihood of the labels.
 * @param p probability of class 1 per row, clipped to [1e-7, 1 - 1e-7].
 * @throws DataError as {@link rocAuc}, and when a value is no probability.
 */
export function logLoss(labels: Numbers, p: Numbers): number {
  checkPairs(labels, p, 1, 'logLoss')
  checkProbabilities(p, 1, 'logLoss')
  let sum = 0
  for (let i = 0; i < labels.length; i++) {
    const q = Math.min(Math.max(p[i]!, CLIP), 1 - CLIP)
    sum -= labels[i] ? Math.log(q) : Math.log1p(-q)
  }
  return sum / labels.length
}

/**
 * Mean squared difference between probability and label. Float32 probabilities are squared and summed in float32, as
 * scikit-learn (numpy) does with them; anything else in float64.
 * @throws DataError as {@link logLoss}.
 */
export function brier(labels: Numbers, p: Numbers): number {
  checkPairs(labels, p, 1, 'brier')
  checkProbabilities(p, 1, 'brier')
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

function checkClasses(classes: number, what: string): void {
  if (!Number.isInteger(classes) || classes < 2) {
    throw new DataError(`${what} needs at least 2 classes, got ${classes}`)
  }
}

/**
 * Mean negative log likelihood over C classes.
 * @param labels class from 0 to C-1 per row, [B].
 * @param p probabilities [B, C], row-major, clipped to [1e-7, 1 - 1e-7] and not renormalized.
 * @throws DataError as {@link logLoss}.
 */
export function logLossMulti(labels: Numbers, p: Numbers, classes: number): number {
  checkClasses(classes, 'logLossMulti')
  checkPairs(labels, p, classes, 'logLossMulti')
  checkProbabilities(p, classes, 'logLossMulti')
  let sum = 0
  for (let i = 0; i < labels.length; i++) {
    sum -= Math.log(Math.min(Math.max(p[i * classes + labels[i]!]!, CLIP), 1 - CLIP))
  }
  return sum / labels.length
}

/**
 * Share of rows whose highest score is at their label; the first of equal scores wins, as numpy's argmax.
 * @param scores logits or probabilities [B, C], row-major.
 * @throws DataError as {@link rocAuc}.
 */
export function accuracy(labels: Numbers, scores: Numbers, classes: number): number {
  checkClasses(classes, 'accuracy')
  checkPairs(labels, scores, classes, 'accuracy')
  let right = 0
  for (let i = 0; i < labels.length; i++) {
    let best = 0
    for (let c = 1; c < classes; c++) if (scores[i * classes + c]! > scores[i * classes + best]!) best = c
    if (best === labels[i]) right++
  }
  return right / labels.length
}

/** The figures of one click evaluation, under the names they are logged by. */
export interface BinaryMetrics {
  log_loss: number
  roc_auc: number
  pr_auc: number
  brier: number
}

/**
 * All click metrics at once.
 * @param p probability of a click per row.
 * @throws DataError as {@link logLoss}.
 */
export function binaryMetrics(labels: Numbers, p: Numbers): BinaryMetrics {
  return {
    log_loss: logLoss(labels, p),
    roc_auc: rocAuc(labels, p),
    pr_auc: prAuc(labels, p),
    brier: brier(labels, p),
  }
}

/** Values rounded to 3 digits for display; 'n/a' for NaN. Never for storage. */
export function formatMetrics<K extends string>(metrics: Record<K, number>): Record<K, string> {
  const shown = Object.entries<number>(metrics).map(([name, value]) => [
    name,
    Number.isNaN(value) ? 'n/a' : value.toFixed(3),
  ])
  return Object.fromEntries(shown)
}
