// What a report draws of an evaluation: a few hundred points that look like all of them.
import { ascend, type CalibrationCurve, calibrationCurve, percentiles } from './calibration.ts'
import { type ByClass, sweep } from './ranking.ts'
import { type Thresholds, thresholdsOf } from './thresholds.ts'

/** Steps along a curve; two points at most are kept in each of a ROC curve's, four in each of the other's. */
const ROC_STEPS = 300
const RECALL_STEPS = 120
const RELIABILITY_BINS = 10
const HISTOGRAM_BINS = 40

/** Curves of one evaluation, under scikit-learn's names. Shares are rounded to 6 digits. */
export interface Curves {
  /** From (0, 0) to (1, 1); rows count as clicks from a threshold on. Empty with one class only. */
  roc: { fpr: number[]; tpr: number[] }
  /** Recall ascending from (0, 1). Empty without clicks. */
  precision_recall: { precision: number[]; recall: number[] }
  reliability: CalibrationCurve
  /** Rows per bin of score: bin i runs from edges[i] to edges[i + 1]; the outermost hold what lies beyond, too. */
  histogram: { edges: number[]; clicks: number[]; others: number[] }
  /** What comes of taking rows as clicks from a score on; reports of before lack it. */
  thresholds?: Thresholds | undefined
}

export function curvesOf(sorted: ByClass): Curves {
  return {
    roc: rocCurve(sorted),
    precision_recall: precisionRecallCurve(sorted),
    reliability: calibrationCurve(sorted, RELIABILITY_BINS),
    histogram: histogram(sorted),
    thresholds: thresholdsOf(sorted),
  }
}

/**
 * Points of the ROC curve at most 1/300 of its length (right plus up) apart, unless one score alone goes further: what is left out
 * lies within a pixel of the line through what is kept.
 */
function rocCurve(sorted: ByClass): Curves['roc'] {
  const [fpr, tpr] = [[0], [0]]
  const [clicks, others] = [sorted.positives.length, sorted.negatives.length]
  if (!clicks || !others) return { fpr: [], tpr: [] }
  let [x, y, keptX, keptY] = [0, 0, 0, 0]
  const keep = () => {
    fpr.push(round6(x / others))
    tpr.push(round6(y / clicks))
    keptX = x
    keptY = y
  }
  sweep(sorted, (pos, neg) => {
    const far = (x + neg - keptX) / others + (y + pos - keptY) / clicks > 2 / ROC_STEPS
    if (far && (x > keptX || y > keptY)) keep()
    x += neg
    y += pos
  })
  keep()
  return { fpr, tpr }
}

function precisionRecallCurve(sorted: ByClass): Curves['precision_recall'] {
  const clicks = sorted.positives.length
  if (!clicks) return { precision: [], recall: [] }
  const thin = thinned(clicks, RECALL_STEPS)
  thin.add(0, 1)
  let [found, rows] = [0, 0]
  sweep(sorted, (pos, neg) => {
    found += pos
    rows += pos + neg
    thin.add(found, found / rows)
  })
  const points = thin.points()
  return {
    recall: points.map(([found]) => round6(found / clicks)),
    precision: points.map(([, precision]) => round6(precision)),
  }
}

/**
 * Thins a line with x ascending: of the points in each of `steps` stretches of a `range` of x, the first, lowest, highest and last
 * are kept, so that a line drawn through them covers the same pixels.
 */
export function thinned(
  range: number,
  steps: number,
): { add(x: number, y: number): void; points(): [number, number][] } {
  type Point = [x: number, y: number, order: number]
  const kept: [number, number][] = []
  let current: { place: number; first: Point; low: Point; high: Point; last: Point } | undefined
  let order = 0
  const close = () => {
    if (!current) return
    const { first, low, high, last } = current
    const points = [...new Set([first, low, high, last])].sort((a, b) => a[2] - b[2])
    kept.push(...points.map(([x, y]): [number, number] => [x, y]))
    current = undefined
  }
  return {
    add(x, y) {
      const point: Point = [x, y, order++]
      const place = Math.floor((x * steps) / range)
      if (current?.place !== place) {
        close()
        current = { place, first: point, low: point, high: point, last: point }
        return
      }
      if (y < current.low[1]) current.low = point
      if (y > current.high[1]) current.high = point
      current.last = point
    },
    points() {
      close()
      return kept
    },
  }
}

/** Bins of equal width between the scores that leave a thousandth of the rows out on either side. */
function histogram(sorted: ByClass): Curves['histogram'] {
  let [low, high] = percentiles(sorted, [0.001, 0.999]) as [number, number]
  if (low === high) [low, high] = [low - 0.005, high + 0.005]
  const width = (high - low) / HISTOGRAM_BINS
  const clicks = new Array<number>(HISTOGRAM_BINS).fill(0)
  const others = new Array<number>(HISTOGRAM_BINS).fill(0)
  ascend(sorted, (p, label) => {
    const bin = Math.min(Math.max(Math.floor((p - low) / width), 0), HISTOGRAM_BINS - 1)
    ;(label ? clicks : others)[bin]!++
  })
  const edges = Array.from({ length: HISTOGRAM_BINS + 1 }, (_, i) => round6(low + i * width))
  return { edges, clicks, others }
}

const round6 = (x: number) => Math.round(x * 1e6) / 1e6
