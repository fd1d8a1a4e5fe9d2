// Figures that depend on the order of the scores alone: areas under curves. O(n log n).
import { checkPairs, checkSome, type Numbers, rowsOf } from './check.ts'

/** Scores, ascending, of the rows of each class. */
export interface ByClass {
  positives: Float32Array | Float64Array
  negatives: Float32Array | Float64Array
}

/**
 * Sorts the scores of each class. Two native sorts, and a merge where they are walked, are several times faster than
 * sorting row numbers with a comparison function.
 */
export function sortByClass(labels: Numbers, scores: Numbers): ByClass {
  let clicks = 0
  for (let i = 0; i < labels.length; i++) clicks += labels[i]!
  const Values = scores instanceof Float32Array ? Float32Array : Float64Array
  const positives = new Values(clicks)
  const negatives = new Values(labels.length - clicks)
  let p = 0
  let n = 0
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 1) positives[p++] = scores[i]!
    else negatives[n++] = scores[i]!
  }
  return { positives: positives.sort(), negatives: negatives.sort() }
}

/** Walks the distinct scores from high to low: how many clicked and other rows have each. */
export function sweep(
  { positives, negatives }: ByClass,
  visit: (positives: number, negatives: number, score: number) => void,
): void {
  let p = positives.length
  let n = negatives.length
  while (p || n) {
    const score = Math.max(
      p ? positives[p - 1]! : Number.NEGATIVE_INFINITY,
      n ? negatives[n - 1]! : Number.NEGATIVE_INFINITY,
    )
    const [p0, n0] = [p, n]
    while (p && positives[p - 1] === score) p--
    while (n && negatives[n - 1] === score) n--
    visit(p0 - p, n0 - n, score)
  }
}

export function rocAucSorted(sorted: ByClass): number {
  let clicksAbove = 0
  let ordered = 0
  sweep(sorted, (pos, neg) => {
    ordered += neg * (clicksAbove + pos / 2)
    clicksAbove += pos
  })
  return ordered / (sorted.positives.length * sorted.negatives.length)
}

export function prAucSorted(sorted: ByClass): number {
  if (!sorted.positives.length) return 0
  let clicks = 0
  let rows = 0
  let sum = 0
  sweep(sorted, (pos, neg) => {
    clicks += pos
    rows += pos + neg
    sum += pos * (clicks / rows)
  })
  return sum / sorted.positives.length
}

/**
 * Area under the ROC curve; a tie between a click and another row counts half.
 * @param labels 0 or 1 per row.
 * @param scores any monotone score per row.
 * @returns NaN when all labels are the same, as scikit-learn: there is no curve then.
 * @throws DataError on no rows, unequal lengths, another label, or a NaN score.
 * @see https://scikit-learn.org/stable/modules/generated/sklearn.metrics.roc_auc_score.html
 */
export function rocAuc(labels: Numbers, scores: Numbers): number {
  checkSome(rowsOf(labels, 'rocAuc'), 'rocAuc')
  checkPairs(labels, scores, 1, 'rocAuc')
  return rocAucSorted(sortByClass(labels, scores))
}

/**
 * Average precision: precision at each distinct score, weighted by the recall it adds.
 * @returns 0 when no label is 1, as scikit-learn.
 * @throws DataError as {@link rocAuc}.
 * @see https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html
 */
export function prAuc(labels: Numbers, scores: Numbers): number {
  checkSome(rowsOf(labels, 'prAuc'), 'prAuc')
  checkPairs(labels, scores, 1, 'prAuc')
  return prAucSorted(sortByClass(labels, scores))
}
