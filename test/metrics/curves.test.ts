// Curves for the report: few points, the same picture.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { thinned } from '../../src/metrics/curves.ts'
import { Evaluation, ScoreAccumulator } from '../../src/metrics/index.ts'

interface Case {
  y: string
  p: number[]
  roc?: { fpr: number[]; tpr: number[] }
  pr?: { precision: number[]; recall: number[] }
}
const { cases } = JSON.parse(readFileSync('test/golden/metrics/more.json', 'utf8')) as { cases: Case[] }

const curvesOf = (labels: ArrayLike<number>, scores: ArrayLike<number>) =>
  new ScoreAccumulator().add(labels, scores).curves()

/** n rows with about 5 % clicks whose scores say something. */
function drawn(n: number): { y: Uint8Array; p: Float32Array } {
  let state = 99
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const p = Float32Array.from({ length: n }, () => 0.1 * random() ** 2 + 0.05 * random())
  return { p, y: Uint8Array.from(p, v => Number(random() < v)) }
}

test('few rows: every point is one of scikit-learn, and the ends are there', () => {
  let compared = 0
  for (const { y, p, roc, pr } of cases) {
    if (!roc || !pr) continue
    compared++
    const got = curvesOf(Uint8Array.from(y, Number), Float64Array.from(p))
    const near = (points: number[][], [x, y]: number[]) =>
      points.some(([a, b]) => Math.abs(a! - x!) < 2e-6 && Math.abs(b! - y!) < 2e-6)
    const wantRoc = roc.fpr.map((x, i) => [x, roc.tpr[i]!])
    for (const [i, x] of got.roc.fpr.entries()) assert.ok(near(wantRoc, [x, got.roc.tpr[i]!]), `ROC ${i}`)
    assert.equal([got.roc.fpr[0], got.roc.tpr[0], got.roc.fpr.at(-1), got.roc.tpr.at(-1)], [0, 0, 1, 1])
    const { recall, precision } = got.precision_recall
    const wantPr = pr.recall.map((x, i) => [x, pr.precision[i]!])
    for (const [i, x] of recall.entries()) assert.ok(near(wantPr, [x, precision[i]!]), `precision ${i}`)
    assert.equal([recall[0], precision[0], recall.at(-1)], [0, 1, 1])
  }
  assert.is(compared, 3)
})

test('many rows: a few hundred points, and every point left out is within a pixel of the line', () => {
  const n = 40_000
  const { y, p } = drawn(n)
  const { roc } = curvesOf(y, p)
  assert.ok(roc.fpr.length > 200 && roc.fpr.length <= 602, `${roc.fpr.length} points`)
  // The whole curve, walked beside the thin one.
  const order = [...p.keys()].sort((a, b) => p[b]! - p[a]!)
  const clicks = y.reduce((a, b) => a + b)
  let [x, up, at, worst] = [0, 0, 0, 0]
  for (const row of order) {
    if (y[row]) up++
    else x++
    const [fx, fy] = [x / (n - clicks), up / clicks]
    while (at < roc.fpr.length - 2 && roc.fpr[at + 1]! + roc.tpr[at + 1]! < fx + fy) at++
    const [dx, dy] = [roc.fpr[at + 1]! - roc.fpr[at]!, roc.tpr[at + 1]! - roc.tpr[at]!]
    const cross = Math.abs((fx - roc.fpr[at]!) * dy - (fy - roc.tpr[at]!) * dx) / Math.hypot(dx, dy)
    worst = Math.max(worst, cross)
  }
  assert.ok(worst > 0 && worst < 1 / 200, `off by ${worst}`)
})

test('many rows: the precision drawn spans what the whole curve spans', () => {
  const { y, p } = drawn(40_000)
  const { recall, precision } = curvesOf(y, p).precision_recall
  assert.ok(recall.length > 100 && recall.length <= 500, `${recall.length} points`)
  const order = [...p.keys()].sort((a, b) => p[b]! - p[a]!)
  const clicks = y.reduce((a, b) => a + b)
  let found = 0
  const low = new Map<number, number>()
  const high = new Map<number, number>()
  for (const [i, row] of order.entries()) {
    found += y[row]!
    const place = Math.floor((found / clicks) * 20)
    const value = found / (i + 1)
    low.set(place, Math.min(low.get(place) ?? 1, value))
    high.set(place, Math.max(high.get(place) ?? 0, value))
  }
  for (let place = 1; place < 20; place++) {
    const there = precision.filter((_, i) => Math.floor(recall[i]! * 20 + 1e-4) === place)
    assert.ok(Math.abs(Math.min(...there) - low.get(place)!) < 0.002, `lowest of ${place}`)
    assert.ok(Math.abs(Math.max(...there) - high.get(place)!) < 0.002, `highest of ${place}`)
  }
})

test('recall ascends', () => {
  const { y, p } = drawn(5000)
  const { recall } = curvesOf(y, p).precision_recall
  for (let i = 1; i < recall.length; i++) assert.ok(recall[i]! >= recall[i - 1]!)
})

test('the histogram counts every row once, those far out in the outermost bins', () => {
  const { y, p } = drawn(5000)
  p[17] = 0.99
  const { edges, clicks, others } = curvesOf(y, p).histogram
  assert.equal([edges.length, clicks.length, others.length], [41, 40, 40])
  const sum = (values: number[]) => values.reduce((a, b) => a + b)
  const total = y.reduce((a, b) => a + b)
  assert.equal([sum(clicks), sum(others)], [total, 5000 - total])
  assert.ok(edges[40]! < 0.16, 'one row far out does not stretch the axis')
  const inside = p.filter((v, i) => !y[i] && v > edges[10]! && v < edges[11]!).length
  assert.ok(Math.abs(inside - others[10]!) <= 1)
})

test('one class, one row, one score', () => {
  const clicksOnly = curvesOf([1, 1], [0.25, 0.5])
  assert.equal(clicksOnly.roc, { fpr: [], tpr: [] })
  assert.equal(clicksOnly.precision_recall, { recall: [0, 0.5, 1], precision: [1, 1, 1] })
  assert.equal(curvesOf([0, 0], [0.25, 0.5]).precision_recall, { recall: [], precision: [] })
  const one = curvesOf([0, 1, 0], [0.25, 0.25, 0.25])
  assert.equal(one.roc, { fpr: [0, 1], tpr: [0, 1] })
  assert.equal(one.reliability, { prob_true: [1 / 3], prob_pred: [0.25], counts: [3] })
  const { edges, clicks } = one.histogram
  assert.equal([edges[0], edges[40], clicks.reduce((a, b) => a + b)], [0.245, 0.255, 1])
  const single = curvesOf([1], [1])
  assert.is(single.reliability.counts.length, 1)
})

test('thinning keeps first, lowest, highest and last of each stretch, in order', () => {
  const thin = thinned(30, 3)
  for (const [x, y] of [
    [0, 5],
    [1, 9],
    [2, 1],
    [3, 4],
    [4, 5],
    [10, 2],
    [25, 3],
    [26, 3],
  ])
    thin.add(x!, y!)
  assert.equal(thin.points(), [
    [0, 5],
    [1, 9],
    [2, 1],
    [4, 5],
    [10, 2],
    [25, 3],
    [26, 3],
  ])
})

test('thresholds count the rows at or above them, with the best F1 among them', () => {
  const { y, p } = drawn(20_000)
  const { score, clicks, others } = curvesOf(y, p).thresholds!
  assert.ok(score.length > 90 && score.length <= 101, `${score.length}`)
  const all = y.reduce((sum, label) => sum + label, 0)
  const counted = (from: number) => {
    let [found, wrong] = [0, 0]
    for (const [i, value] of p.entries()) if (value >= from) y[i] ? found++ : wrong++
    return [found, wrong]
  }
  const f1 = ([found, wrong]: number[]) => (2 * found!) / (found! + wrong! + all)
  for (const [i, value] of score.entries()) {
    assert.ok(i === 0 || value < score[i - 1]!)
    assert.equal(counted(Math.fround(value)), [clicks[i], others[i]])
  }
  assert.equal([clicks.at(-1), others.at(-1)], [all, y.length - all])
  const best = Math.max(...score.map((_, i) => f1([clicks[i]!, others[i]!])))
  for (let i = 0; i < p.length; i += 37) assert.ok(f1(counted(p[i]!)) <= best)
  // Of few rows, and of one class.
  assert.equal(curvesOf([1, 0, 1], [0.5, 0.5, 0.25]).thresholds, {
    score: [0.5, 0.25],
    clicks: [1, 2],
    others: [1, 1],
  })
  assert.equal(curvesOf([0, 0], [0.5, 0.25]).thresholds!.clicks, [0, 0])
  assert.equal(curvesOf([1, 1], [0.5, 0.25]).thresholds!.others, [0, 0])
})

test('confusions of more than two classes are counted, up to as many as a page shows', () => {
  const probabilities = Float32Array.of(0.7, 0.2, 0.1, 0.1, 0.1, 0.8, 0.3, 0.4, 0.3, 0.4, 0.4, 0.2)
  const evaluation = new Evaluation(3).add(Uint32Array.of(0, 1, 1, 2), probabilities)
  assert.equal(evaluation.confusion(), [
    [1, 0, 0],
    [0, 1, 1],
    [1, 0, 0],
  ])
  assert.is(new Evaluation(2).add(Uint32Array.of(1), Float32Array.of(0.5, 0.5)).confusion(), undefined)
  assert.is(new Evaluation(51).confusion(), undefined)
})

test.run()
