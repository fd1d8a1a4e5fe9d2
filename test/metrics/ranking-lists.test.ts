// Measures of order: frozen values, definitions written out once more, and what is refused.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkRankingCase } from '../../bench/parity/ranking-case.ts'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import {
  averagePrecision,
  dcg,
  err,
  hitAt,
  meanByGroup,
  meanOfLists,
  mrr,
  ndcg,
  pnr,
  precisionAt,
  rankLists,
  recallAt,
} from '../../src/metrics/index.ts'
import { generator } from '../../src/testing/index.ts'

test('lists and means are as frozen, ties and lists without positives among them', () => {
  const folder = 'test/golden/rank_metrics'
  const frozen = JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))
  assert.is(frozen.cases.length, 4)
  const found = checkRankingCase(folder, frozen)
  assert.is(found.length, 2)
  assert.ok(found.every(passes), findingsTable(found))
})

test('lists of every length are sorted stably, long ones as short ones', () => {
  const next = generator(5)
  for (const n of [1, 2, 63, 64, 65, 300]) {
    const scores = Array.from({ length: n }, () => Math.floor(next() * 9) - 4)
    scores[n >> 1] = Number.NEGATIVE_INFINITY
    scores[n >> 2] = Number.POSITIVE_INFINITY
    const labels = scores.map((_, i) => i)
    const { labels: byRank, ideal } = rankLists([7, ...labels], [0, ...scores], [0, 1, n + 1])
    const wanted = labels.toSorted((a, b) =>
      scores[a]! === scores[b]! ? a - b : scores[b]! > scores[a]! ? 1 : -1,
    )
    assert.equal([...byRank], [7, ...wanted])
    assert.equal([...ideal], [7, ...labels.toReversed()])
  }
})

test('measures of a list written out', () => {
  const ranked = rankLists([0, 1, 0, 2, 0, 0], [9, 8, 7, 6, 1, 2], [0, 4, 6])
  const at = (values: Float64Array) => [...values]
  assert.equal(at(mrr(ranked, 1)), [0, Number.NaN])
  assert.equal(at(mrr(ranked, 3)), [1 / 2, Number.NaN])
  assert.equal(at(averagePrecision(ranked, 4)), [(1 / 2 + 2 / 4) / 2, Number.NaN])
  assert.equal(at(recallAt(ranked, 3)), [1 / 2, Number.NaN])
  assert.equal(at(precisionAt(ranked, 8)), [2 / 8, 0])
  assert.equal(at(hitAt(ranked, 1)), [0, Number.NaN])
  const close = (got: number, wanted: number) =>
    assert.ok(Math.abs(got - wanted) < 1e-15, `${got}, ${wanted}`)
  close(dcg(ranked, { k: 10 })[0]!, 1 / Math.log2(3) + 3 / Math.log2(5))
  close(dcg(ranked, { k: 3 })[0]!, 1 / Math.log2(3))
  close(
    ndcg(ranked, { k: 10, gain: 'linear' })[0]!,
    (1 / Math.log2(3) + 2 / Math.log2(5)) / (2 + 1 / Math.log2(3)),
  )
  close(err(ranked, 10)[0]!, 1 / 16 / 2 + (15 / 16) * (3 / 16 / 4))
  close(pnr(rankLists([2, 1, 0], [3, 1, 2], [0, 3])), 2 / (1 + 1e-8))
})

test('a constant scorer is not told the labels by its ties', () => {
  const [labels, scores] = [
    [0, 0, 1],
    [5, 5, 5],
  ]
  assert.is(ndcg(rankLists(labels, scores, [0, 3]), { k: 1 })[0], 0)
  assert.ok(Math.abs(ndcg(rankLists(labels, scores, [0, 3]), { k: 1, ties: 'mean' })[0]! - 1 / 3) < 1e-15)
})

test('means tell how many lists were left out, by group too', () => {
  const values = Float64Array.of(1, Number.NaN, 0.5, Number.NaN)
  assert.equal(meanOfLists(values), { mean: 0.75, lists: 2, left_out: 2 })
  assert.equal(meanOfLists(values, 'zero'), { mean: 0.375, lists: 4, left_out: 0 })
  assert.equal(meanOfLists(values, 'one'), { mean: 0.875, lists: 4, left_out: 0 })
  assert.equal(
    [...meanByGroup(values, ['a', 'b', 'b', 'a'])],
    [
      ['a', { mean: 1, lists: 1, left_out: 1 }],
      ['b', { mean: 0.5, lists: 1, left_out: 1 }],
    ],
  )
  assert.ok(Number.isNaN(meanOfLists([Number.NaN]).mean))
})

for (const [what, given, message] of [
  [
    'a label below zero',
    [
      [1, -1],
      [0, 0],
      [0, 2],
    ],
    /the label of row 1 is -1, expected a number of at least 0/,
  ],
  [
    'a label that is none',
    [
      [1, Number.NaN],
      [0, 0],
      [0, 2],
    ],
    /the label of row 1 is NaN/,
  ],
  [
    'a score that is none',
    [
      [1, 1],
      [0, Number.NaN],
      [0, 2],
    ],
    /the score of row 1 is NaN/,
  ],
  ['fewer scores', [[1, 1], [0], [0, 2]], /2 labels need 2 scores, got 1/],
  [
    'a list without documents',
    [
      [1, 1],
      [0, 0],
      [0, 1, 1, 2],
    ],
    /list 1 begins at 1 and the next at 1, expected one document or more/,
  ],
  [
    'starts that go back',
    [
      [1, 1],
      [0, 0],
      [0, 2, 1, 2],
    ],
    /list 1 begins at 2 and the next at 1/,
  ],
  [
    'starts behind the first row',
    [
      [1, 1],
      [0, 0],
      [1, 2],
    ],
    /starts\[0\] is 1, expected 0/,
  ],
  [
    'starts that end early',
    [
      [1, 1],
      [0, 0],
      [0, 1],
    ],
    /starts ends at 1, expected 2/,
  ],
  ['no starts', [[1], [0], []], /starts has 0 values/],
  ['text', ['ab', [0, 0], [0, 2]], /labels is 'ab', expected an array of numbers/],
] as const)
  test(`refused: ${what}`, () => {
    assert.throws(() => rankLists(...(given as unknown as [number[], number[], number[]])), message)
  })

test('refused: options that mean nothing, and grades that are too high', () => {
  const ranked = rankLists([5], [1], [0, 1])
  assert.throws(() => ndcg(ranked, { k: 0 }), /k is 0/)
  assert.throws(
    () => dcg(ranked, { k: 1, gain: 'log' as 'exp' }),
    /gain is 'log', expected 'exp' or 'linear'/,
  )
  assert.throws(() => dcg(ranked, { k: 1, tie: 'mean' } as never), /tie/)
  assert.throws(() => err(ranked, 1), /there is a label 5, expected at most 4/)
  assert.throws(
    () => dcg(rankLists([2000], [1], [0, 1]), { k: 1 }),
    /there is a label 2000, expected at most 1000/,
  )
  assert.throws(() => meanOfLists([1], 'drop' as 'skip'), /without is 'drop'/)
  assert.throws(() => meanByGroup([1, 2], ['a']), /2 lists need a group each, got 1/)
})

test.run()
