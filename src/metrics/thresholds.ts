// What comes of taking rows as clicks from a threshold on.
import { type ByClass, sweep } from './ranking.ts'

/** Points kept, closer together among the high scores, where thresholds are mostly put. */
const POINTS = 100
const BEND = 1.5

/** Rows at or above a score, of each class; scores descend. */
export interface Thresholds {
  score: number[]
  /** Clicked rows there. */
  clicks: number[]
  /** Rows there without a click. */
  others: number[]
}

/** At most 101 of the distinct scores: those that the highest (i / 100)^1.5 of the rows reach down to, and the one with the best F1. */
export function thresholdsOf(sorted: ByClass): Thresholds {
  const [all, rows] = [sorted.positives.length, sorted.positives.length + sorted.negatives.length]
  const points: [score: number, clicks: number, others: number][] = []
  let best: (typeof points)[number] | undefined
  let [clicks, others, next] = [0, 0, 1]
  const f1 = ([, found, wrong]: (typeof points)[number]) => (2 * found) / (found + wrong + all)
  sweep(sorted, (pos, neg, score) => {
    clicks += pos
    others += neg
    const point: (typeof points)[number] = [score, clicks, others]
    if (!best || f1(point) > f1(best)) best = point
    if (clicks + others < rows * (next / POINTS) ** BEND) return
    points.push(point)
    while (next <= POINTS && clicks + others >= rows * (next / POINTS) ** BEND) next++
  })
  const at = points.findIndex(([, found, wrong]) => found + wrong >= best![1] + best![2])
  if (best && points[at]?.[0] !== best[0]) points.splice(at, 0, best)
  return {
    // Nine digits tell float32 scores apart.
    score: points.map(([score]) => Number(score.toPrecision(9))),
    clicks: points.map(([, found]) => found),
    others: points.map(([, , wrong]) => wrong),
  }
}
