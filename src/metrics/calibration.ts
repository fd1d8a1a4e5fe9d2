// Do predicted probabilities mean what they say?
import { checkClickRows, type Numbers } from './check.ts'
import type { ByClass } from './ranking.ts'

/** Bins of {@link expectedCalibrationError}, as Guo et al. and torchmetrics have them. */
const ECE_BINS = 15

/**
 * Expected calibration error: over 15 bins of equal width on [0, 1], the mean distance between the bin's share of clicks and
 * its mean probability, weighted by the bin's rows. A probability on an edge belongs to the bin below it, as in scikit-learn's
 * `calibration_curve(strategy='uniform')`.
 * @param p probability of a click per row.
 * @throws DataError as {@link logLoss}.
 * @see Guo et al., On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599
 */
export function expectedCalibrationError(labels: Numbers, p: Numbers): number {
  checkClickRows(labels, p, 'expectedCalibrationError')
  return calibrationError(labels, p)
}

/** {@link expectedCalibrationError} of rows that are checked already. */
export function calibrationError(labels: Numbers, p: Numbers): number {
  // numpy's linspace multiplies by the step.
  const edges = Float64Array.from({ length: ECE_BINS + 1 }, (_, i) => i * (1 / ECE_BINS))
  const surplus = new Float64Array(ECE_BINS)
  for (let i = 0; i < labels.length; i++) {
    let bin = Math.min(Math.max(Math.ceil(p[i]! * ECE_BINS) - 1, 0), ECE_BINS - 1)
    // The product may be rounded across an edge.
    if (bin > 0 && p[i]! <= edges[bin]!) bin--
    else if (bin < ECE_BINS - 1 && p[i]! > edges[bin + 1]!) bin++
    surplus[bin]! += p[i]! - labels[i]!
  }
  return surplus.reduce((sum, gap) => sum + Math.abs(gap), 0) / labels.length
}

/**
 * Sum of the predicted probabilities over the number of clicks: 1 is calibrated, 1.1 predicts 10 % too many clicks.
 * @param p probability of a click per row.
 * @returns NaN without a click.
 * @throws DataError as {@link logLoss}.
 */
export function calibrationRatio(labels: Numbers, p: Numbers): number {
  checkClickRows(labels, p, 'calibrationRatio')
  return ratioOfSums(labels, p)
}

/** {@link calibrationRatio} of rows that are checked already. */
export function ratioOfSums(labels: Numbers, p: Numbers): number {
  let [predicted, clicks] = [0, 0]
  for (let i = 0; i < labels.length; i++) {
    predicted += p[i]!
    clicks += labels[i]!
  }
  return clicks ? predicted / clicks : Number.NaN
}

/** Points of a reliability diagram, under scikit-learn's names. */
export interface CalibrationCurve {
  /** Share of clicks in each bin. */
  prob_true: number[]
  /** Mean predicted probability of each bin. */
  prob_pred: number[]
  /** Rows of each bin. */
  counts: number[]
}

/**
 * Reliability over bins of (nearly) equal rows, as scikit-learn's `calibration_curve(strategy='quantile')`: at a click rate of
 * a few per cent, bins of equal width would put every row into the first. Empty bins are left out.
 */
export function calibrationCurve(sorted: ByClass, bins: number): CalibrationCurve {
  const fractions = Array.from({ length: bins - 1 }, (_, i) => (i + 1) / bins)
  const edges = percentiles(sorted, fractions)
  const sums = { clicks: new Float64Array(bins), p: new Float64Array(bins), rows: new Float64Array(bins) }
  let bin = 0
  ascend(sorted, (p, label) => {
    while (bin < edges.length && p > edges[bin]!) bin++
    sums.clicks[bin]! += label
    sums.p[bin]! += p
    sums.rows[bin]!++
  })
  const filled = [...sums.rows.keys()].filter(bin => sums.rows[bin]! > 0)
  return {
    prob_true: filled.map(bin => sums.clicks[bin]! / sums.rows[bin]!),
    prob_pred: filled.map(bin => sums.p[bin]! / sums.rows[bin]!),
    counts: filled.map(bin => sums.rows[bin]!),
  }
}

/** Scores below which the given shares of all rows lie, interpolated as numpy's percentile does. */
export function percentiles(sorted: ByClass, fractions: number[]): number[] {
  const last = sorted.positives.length + sorted.negatives.length - 1
  const at = fractions.map(fraction => fraction * last)
  const wanted = new Map<number, number>()
  for (const place of at) for (const rank of [Math.floor(place), Math.ceil(place)]) wanted.set(rank, 0)
  let rank = 0
  ascend(sorted, p => {
    if (wanted.has(rank)) wanted.set(rank, p)
    rank++
  })
  return at.map(place => {
    const [a, b, t] = [wanted.get(Math.floor(place))!, wanted.get(Math.ceil(place))!, place % 1]
    return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t)
  })
}

/** Every row from the lowest score to the highest. */
export function ascend(
  { positives, negatives }: ByClass,
  visit: (score: number, label: 0 | 1) => void,
): void {
  let [p, n] = [0, 0]
  while (p < positives.length || n < negatives.length) {
    if (n === negatives.length || positives[p]! < negatives[n]!) visit(positives[p++]!, 1)
    else visit(negatives[n++]!, 0)
  }
}
