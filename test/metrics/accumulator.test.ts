// All metrics of a stream of rows, against scikit-learn's figures.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DataError } from '../../src/errors.ts'
import {
  type BinaryMetrics,
  calibrationRatio,
  expectedCalibrationError,
  groupedAuc,
  normalizedEntropy,
  ScoreAccumulator,
} from '../../src/metrics/index.ts'

interface Case {
  name: string
  dtype: 'float32' | 'float64'
  y: string
  p: number[]
  g: (string | number | null)[] | null
  want: Record<keyof BinaryMetrics, number | null> & {
    reliability: { prob_true: number[]; prob_pred: number[] }
  }
}
const { cases } = JSON.parse(readFileSync('test/golden/metrics/more.json', 'utf8')) as { cases: Case[] }

const labelsOf = ({ y }: Case) => Uint8Array.from(y, Number)
const scoresOf = ({ dtype, p }: Case) => (dtype === 'float32' ? Float32Array : Float64Array).from(p)

/** Adds rows in pieces of the given sizes, in turn. */
function inPieces(one: Case, sizes: number[]): ScoreAccumulator {
  const [labels, scores] = [labelsOf(one), scoresOf(one)]
  const all = new ScoreAccumulator()
  for (let start = 0, i = 0; start < labels.length; i++) {
    const end = start + sizes[i % sizes.length]!
    all.add(labels.subarray(start, end), scores.subarray(start, end), one.g?.slice(start, end))
    start = end
  }
  return all
}

for (const one of cases) {
  test(`figures equal scikit-learn's within 1e-9: ${one.name}`, () => {
    const { reliability, ...want } = one.want
    const all = inPieces(one, [7, 0, 1000, 1])
    assert.is(all.length, one.p.length)
    const got = all.result()
    assert.equal(Object.keys(got).sort(), Object.keys(want).sort())
    for (const [name, value] of Object.entries(want)) {
      const figure = got[name as keyof BinaryMetrics]!
      if (value === null) assert.ok(Number.isNaN(figure), `${name}: got ${figure}, expected NaN`)
      else assert.ok(Math.abs(figure - value) <= 1e-9, `${name}: got ${figure}, expected ${value}`)
    }
    const curve = all.curves().reliability
    assert.is(
      curve.counts.reduce((a, b) => a + b),
      one.p.length,
    )
    for (const name of ['prob_true', 'prob_pred'] as const) {
      assert.is(curve[name].length, reliability[name].length)
      for (const [i, value] of reliability[name].entries())
        assert.ok(Math.abs(curve[name][i]! - value) <= 1e-9, `${name} ${i}: ${curve[name][i]}, not ${value}`)
    }
  })
}

test('pieces of any size give the same bits, and so do the single functions', () => {
  for (const one of cases) {
    const whole = inPieces(one, [one.p.length]).result()
    assert.equal(inPieces(one, [1]).result(), whole)
    assert.equal(inPieces(one, [13, 200, 1]).result(), whole)
    const [labels, scores] = [labelsOf(one), scoresOf(one)]
    assert.equal(normalizedEntropy(labels, scores), whole.normalized_entropy)
    assert.equal(calibrationRatio(labels, scores), whole.calibration_ratio)
    assert.is(expectedCalibrationError(labels, scores), whole.expected_calibration_error)
    if (!one.g) continue
    const { gauc, gauc_groups, gauc_rows } = whole
    assert.equal(groupedAuc(labels, scores, one.g), { gauc, gauc_groups, gauc_rows })
  }
})

test('rows may follow a result, and room for the rows to come changes nothing', () => {
  const one = cases[2]!
  const [labels, scores, n] = [labelsOf(one), scoresOf(one), one.p.length]
  const all = new ScoreAccumulator({ rows: n })
  all.add(labels.subarray(0, 50), scores.subarray(0, 50), one.g!.slice(0, 50)).curves()
  const half = all.result()
  all.add(labels.subarray(50), scores.subarray(50), one.g!.slice(50))
  assert.equal(all.result(), inPieces(one, [n]).result())
  assert.equal(half, inPieces({ ...one, p: one.p.slice(0, 50), y: one.y.slice(0, 50) }, [50]).result())
})

test('groups may be bigints, numbers or text', () => {
  const [y, p] = [
    [0, 1, 1, 0, 1],
    [0.1, 0.2, 0.1, 0.3, 0.9],
  ]
  const want = { gauc: (2 * 1 + 2 * 0) / 4, gauc_groups: 2, gauc_rows: 4 }
  assert.equal(groupedAuc(y, p, [7n, 7n, 8n, 8n, 9n]), want)
  assert.equal(groupedAuc(y, p, ['a', 'a', '', '', 'c']), want)
  assert.equal(groupedAuc(y, p, [0, 0, 1.5, 1.5, Number.NaN]), want)
})

const grouped = () => new ScoreAccumulator().add([0, 1], [0.25, 0.5], ['a', 'b'])
const refused: [string, () => unknown, RegExp][] = [
  ['no rows', () => new ScoreAccumulator().result(), /at least one row, got none/],
  ['curves of no rows', () => new ScoreAccumulator().curves(), /at least one row, got none/],
  ['a label of 2 in a later piece', () => grouped().add([0, 2], [0, 0], ['a', 'a']), /label 2 in row 3 /],
  ['NaN in a later piece', () => grouped().add([0], [Number.NaN], ['a']), /score of row 2 is NaN/],
  [
    'a logit in a later piece',
    () => grouped().add([0, 1], [0, 2.5], ['a', 'a']),
    /2\.5 in row 3 is not a prob/,
  ],
  ['a list for a group', () => grouped().add([0, 1], [0, 1], ['a', [1]]), /row 3 has the group \[1\]/],
  ['groups that stop', () => grouped().add([0], [0]), /rows from 2 on lack groups/],
  [
    'groups that start late',
    () => new ScoreAccumulator().add([0], [0]).add([1], [1], [5]),
    /1 on have groups/,
  ],
  [
    'another type of score',
    () => grouped().add([0], new Float32Array(1), ['a']),
    /row 2 on are of another type/,
  ],
]
for (const [name, act, message] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(act, (error: unknown) => error instanceof DataError && message.test(error.message))
  })
}

test('a refused piece leaves the rows before it as they were', () => {
  const all = grouped()
  assert.throws(() => all.add([1], [0.5], [[]]))
  assert.throws(() => all.add([1], [2], ['a']))
  assert.equal(all.result(), grouped().result())
})

// What a pass over the rows for each group would take, nobody waits for.
test('a million rows in 100,000 groups', () => {
  const n = 1_000_000
  const all = new ScoreAccumulator({ rows: n })
  let state = 5
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  for (let start = 0; start < n; start += 50_000) {
    const rows = Array.from({ length: 50_000 }, (_, i) => start + i)
    all.add(
      Uint8Array.from(rows, () => Number(random() < 0.05)),
      Float32Array.from(rows, random),
      rows.map(i => i % 100_000),
    )
  }
  const { roc_auc, gauc, gauc_groups } = all.result()
  assert.ok(Math.abs(roc_auc - 0.5) < 0.01 && Math.abs(gauc! - 0.5) < 0.02, `${roc_auc} ${gauc}`)
  assert.ok(gauc_groups! > 10_000 && gauc_groups! < 100_000)
})

test.run()
