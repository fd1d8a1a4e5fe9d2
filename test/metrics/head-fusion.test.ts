// Heads put together: sums against float64, weights against a search that knows no derivatives, figures by hand, and what is refused.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KernelgradError } from '../../src/errors.ts'
import { FusedEvaluation, fitHeads, fuseHeads, ListEvaluation } from '../../src/metrics/index.ts'
import { generator } from '../support/gpu.ts'

/** Lists of 1 to 9 documents: three heads, the grade a noisy sum of them, and the sum's weights. */
function drawn(seed: number, lists: number) {
  const next = generator(seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  const starts = [0]
  for (let l = 0; l < lists; l++) starts.push(starts.at(-1)! + 1 + Math.floor(next() * 9))
  const N = starts.at(-1)!
  const heads = Float64Array.from({ length: 3 * N }, (_, i) => normal() * [1, 30, 0.2][i % 3]! + 5)
  const planted = [1, -0.05, 2]
  const labels = Float64Array.from(fuseHeads(heads, planted), sum =>
    Math.max(0, Math.min(4, Math.round(sum - 14 + normal()))),
  )
  return { heads, labels, starts, N, planted }
}

/** The mean over lists with a positive and another document of their softmax's cross-entropy, in plain float64. */
function lossOf(scores: ArrayLike<number>, labels: ArrayLike<number>, starts: number[]): number {
  let [sum, count] = [0, 0]
  for (let l = 0; l + 1 < starts.length; l++) {
    const rows = Array.from({ length: starts[l + 1]! - starts[l]! }, (_, i) => starts[l]! + i)
    const positives = rows.reduce((a, i) => a + labels[i]!, 0)
    if (!positives || rows.every(i => labels[i] === labels[rows[0]!])) continue
    const all = Math.log(rows.reduce((a, i) => a + Math.exp(scores[i]!), 0))
    sum += rows.reduce((a, i) => a + (labels[i]! / positives) * (all - scores[i]!), 0)
    count++
  }
  return sum / count
}

test('the fused score is the weighted sum of the heads', () => {
  const { heads, N, planted } = drawn(1, 20)
  const sums = fuseHeads(heads, planted)
  assert.is(sums.length, N)
  for (let i = 0; i < N; i++)
    assert.ok(Math.abs(sums[i]! - (heads[3 * i]! - 0.05 * heads[3 * i + 1]! + 2 * heads[3 * i + 2]!)) < 1e-12)
})

test('fitted weights are where no step of any head makes the loss less, at any scale and offset of the heads', () => {
  for (const seed of [2, 3, 4]) {
    const { heads, labels, starts } = drawn(seed, 300)
    const weights = fitHeads(heads, 3, { labels, starts })
    const at = (w: ArrayLike<number>) => lossOf(fuseHeads(heads, w), labels, starts)
    const best = at(weights)
    assert.ok(best < at([1, 0, 0]) && best < at([0, 0, 0]))
    // The ridge moves the minimum by less than that.
    for (const [k, scale] of [1, 30, 0.2].entries())
      for (const step of [0.03, -0.03])
        assert.ok(at(weights.map((w, j) => (j === k ? w + step / scale : w))) > best)
    // Signs and proportions are the planted ones'.
    assert.ok(weights[0]! > 0 && weights[1]! < 0 && weights[2]! > 0)
    assert.ok(Math.abs(weights[1]! / weights[0]! + 0.05) < 0.02)
    const moved = heads.map((value, i) => (i % 3 === 1 ? value * 1000 - 7 : value))
    const again = fitHeads(moved, 3, { labels, starts })
    assert.ok(Math.abs(again[1]! * 1000 - weights[1]!) < 1e-6 && Math.abs(again[0]! - weights[0]!) < 1e-6)
  }
})

test('a head that says nothing within lists has no weight, and what is told apart whole stays finite', () => {
  const { heads, labels, starts } = drawn(5, 60)
  const listOf = Array.from(labels, (_, i) =>
    starts.findIndex((start, l) => start <= i && i < starts[l + 1]!),
  )
  const level = heads.map((value, i) => (i % 3 === 2 ? listOf[Math.floor(i / 3)]! / 7 : value))
  assert.is(fitHeads(level, 3, { labels, starts })[2], 0)
  const clicks = labels.map(label => Number(label > 0))
  const [weight] = fitHeads(clicks, 1, { labels: clicks, starts })
  assert.ok(weight! > 3 && Number.isFinite(weight))
})

test('an evaluation of fused heads has the figures of their sum, with given weights and with fitted ones', () => {
  const { heads, labels, starts, N } = drawn(6, 80)
  const clicks = Float32Array.from({ length: N }, (_, i) => Math.sin(i))
  const columns = Float32Array.from({ length: 4 * N }, (_, i) =>
    i % 4 === 3 ? clicks[i >> 2]! : heads[3 * (i >> 2) + (i % 4)]!,
  )
  const names = ['score', 'skip_score', 'dwell_score', null]
  const own = Float64Array.from({ length: 3 * N }, (_, i) => columns[4 * Math.floor(i / 3) + (i % 3)]!)
  const fitted = fitHeads(own, 3, { labels: Float32Array.from(labels), starts })
  for (const given of [undefined, { score: 2, dwell_score: -1 }]) {
    const evaluation = new FusedEvaluation({
      names,
      click: 3,
      loss: 'listwise',
      ...(given && { weights: given }),
    })
    for (const [from, to] of [
      [0, 31],
      [31, 80],
    ] as const) {
      const [begin, end] = [starts[from]!, starts[to]!]
      const batch = {
        labels: { label: Float32Array.from(labels.slice(begin, end)) },
        lists: Uint32Array.from(starts.slice(from, to + 1), start => start - begin),
      }
      evaluation.add(batch as never, columns.slice(4 * begin, 4 * end))
    }
    const weights = given ? [2, 0, -1] : [...fitted]
    const scores = fuseHeads(own, weights)
    const alone = new ListEvaluation({ loss: 'listwise', columns: 2, click: 1 })
    alone.addLists(
      { labels, starts },
      Float64Array.from({ length: 2 * N }, (_, i) => (i % 2 ? clicks[i >> 1]! : scores[i >> 1]!)),
    )
    const {
      'weight score': a,
      'weight skip_score': b,
      'weight dwell_score': c,
      ...figures
    } = evaluation.result()
    assert.equal([a, b, c], weights)
    assert.equal(figures, alone.result())
    assert.equal(Object.keys(evaluation.figures).slice(-3), [
      'weight score',
      'weight skip_score',
      'weight dwell_score',
    ])
  }
})

test('what cannot be is refused', () => {
  const { heads, labels, starts } = drawn(7, 4)
  const lists = { labels, starts }
  for (const [work, says] of [
    [() => fuseHeads(heads, []), /expected 0 scores a document|weights/],
    [() => fuseHeads([1, 2, 3], [1, 2]), /3 scores and 2 weights, expected 2 scores a document/],
    [() => fuseHeads(undefined as never, [1]), /heads is undefined/],
    [() => new FusedEvaluation({} as never), /names is undefined/],
    [() => fuseHeads([1, 2], [Number.NaN, 1]), /weights: element 0 is NaN/],
    [() => fitHeads(heads, 2, lists), /expected 2 a document/],
    [() => fitHeads(heads, 0, lists), /expected 0 a document/],
    [() => fitHeads(heads.with(4, Number.POSITIVE_INFINITY), 3, lists), /score 1 of row 1 is Infinity/],
    [
      () => fitHeads(heads, 3, { labels: labels.map(() => 0), starts }),
      /no list has both a positive and another/,
    ],
    [
      () => fitHeads(heads, 3, { labels: labels.map(() => 2), starts }),
      /no list has both a positive and another/,
    ],
    [() => fitHeads(heads, 3, { labels: labels.with(0, -1), starts }), /-1/],
    [() => fitHeads(heads, 3, { ...lists, list: 1 } as never), /'list' is unknown/],
    [
      () => new FusedEvaluation({ names: ['score', null], weights: { skip_score: 1 } }),
      /'skip_score' is 1, expected numbers of some of score/,
    ],
    [() => new FusedEvaluation({ names: ['score'], weights: { score: Number.NaN } }), /'score' is NaN/],
    [() => new FusedEvaluation({ names: ['score'] }).add({} as never, Float32Array.of(1)), /needs labels/],
  ] as [() => unknown, RegExp][]) {
    let message = 'nothing was refused'
    try {
      work()
    } catch (error) {
      assert.instance(error, KernelgradError, String((error as Error).stack))
      message = (error as Error).message
    }
    assert.match(message, says)
  }
})

test.run()
