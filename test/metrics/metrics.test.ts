import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DataError } from '../../src/errors.ts'
import {
  accuracy,
  binaryMetrics,
  brier,
  calibrationRatio,
  expectedCalibrationError,
  formatMetrics,
  groupedAuc,
  logLoss,
  logLossMulti,
  normalizedEntropy,
  prAuc,
  rocAuc,
} from '../../src/metrics/index.ts'

interface Case {
  y: number[]
  p: number[]
  roc_auc: number
  pr_auc: number
  log_loss: number
  brier: number
}
const { cases } = JSON.parse(readFileSync('test/golden/metrics/case.json', 'utf8')) as { cases: Case[] }

const close = (got: number, want: number, bound: number, what: string) =>
  assert.ok(Math.abs(got - want) <= bound, `${what}: got ${got}, expected ${want}`)

test('figures equal scikit-learn within 1e-9, ties included', () => {
  assert.is(cases.length, 5)
  for (const { y, p, ...want } of cases) {
    // As the evaluation hands them over: float32 probabilities, small integer labels.
    const got = binaryMetrics(Uint8Array.from(y), Float32Array.from(p))
    for (const key of ['roc_auc', 'pr_auc', 'log_loss'] as const) {
      close(got[key], want[key], 1e-9, `${key} of ${y.length} rows`)
    }
    // float32 scores are summed in float32, by scikit-learn and here.
    close(got.brier, want.brier, 1e-9, `brier of ${y.length} rows`)
  }
})

test('the Brier score is exact where the fraction is known', () => {
  const { y, p } = cases[4]!
  const wrong = y.filter((yi, i) => yi !== p[i]).length
  assert.ok(p.every(v => v === 0 || v === 1))
  close(brier(y, p), wrong / y.length, 1e-15, 'certain predictions')
  close(brier([0, 1, 1], [0.5, 0.25, 1]), (1 / 4 + 9 / 16) / 3, 1e-15, 'three rows')
})

test('area under the curve equals the count over all pairs', () => {
  let state = 12345
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  for (const n of [2, 7, 61]) {
    const y = Array.from({ length: n }, (_, i) => (i < 2 ? i : Number(random() < 0.3)))
    const s = y.map(() => Math.floor(random() * 9) - 4)
    let wins = 0
    let pairs = 0
    y.forEach((yi, i) => {
      y.forEach((yj, j) => {
        if (yi !== 1 || yj !== 0) return
        pairs++
        wins += s[i]! > s[j]! ? 1 : s[i] === s[j] ? 0.5 : 0
      })
    })
    close(rocAuc(y, s), wins / pairs, 1e-12, `${n} rows`)
  }
})

test('scores may be infinite or signed zeros', () => {
  assert.is(rocAuc([0, 1, 0, 1], [-Infinity, 0, -0, Infinity]), 0.875)
  assert.is(rocAuc([1, 0], [-Infinity, -Infinity]), 0.5)
})

test('one class only: no curve', () => {
  assert.ok(Number.isNaN(rocAuc([0, 0], [0.1, 0.2])))
  assert.ok(Number.isNaN(rocAuc([1, 1], [0.1, 0.2])))
  assert.is(prAuc([0, 0], [0.1, 0.2]), 0)
  for (const labels of [
    [0, 0],
    [1, 1],
  ])
    assert.ok(Number.isNaN(normalizedEntropy(labels, [0.1, 0.2])))
  assert.ok(Number.isNaN(calibrationRatio([0, 0], [0.1, 0.2])))
  assert.is(calibrationRatio([1, 1], [0.5, 0.75]), 0.625)
  assert.is(prAuc([1, 1], [0.1, 0.2]), 1)
  close(logLoss([0, 0], [0.5, 0.5]), Math.LN2, 1e-15, 'log loss')
})

test('log loss clips certain probabilities', () => {
  close(logLoss([1], [0]), -Math.log(1e-7), 1e-12, 'p = 0')
  close(logLoss([0], [1]), -Math.log(1e-7), 1e-8, 'p = 1')
  close(logLoss([1], [Math.fround(1.0000001)]), 1e-7, 1e-12, 'a rounding above 1')
})

test('several classes', () => {
  const p = [0.7, 0.2, 0.1, 0.1, 0.1, 0.8, 0.25, 0.5, 0.25]
  close(
    logLossMulti([0, 2, 0], p, 3),
    -(Math.log(0.7) + Math.log(0.8) + Math.log(0.25)) / 3,
    1e-12,
    'log loss',
  )
  close(accuracy([0, 2, 0], p, 3), 2 / 3, 1e-15, 'accuracy')
  assert.is(accuracy([0, 1], [1, 1, 3, 3], 2), 0.5, 'the first of equal scores wins')
})

test('two classes as one column or two give the same log loss', () => {
  const { y, p, log_loss } = cases[2]!
  close(
    logLossMulti(
      y,
      p.flatMap(v => [1 - v, v]),
      2,
    ),
    log_loss,
    1e-9,
    'log loss',
  )
})

test('a quarter of a million rows', () => {
  const n = 250_000
  const y = Uint8Array.from({ length: n }, (_, i) => Number(i % 20 === 0))
  const s = Float32Array.from({ length: n }, (_, i) => (Math.imul(i, 2654435761) >>> 0) / 2 ** 32)
  close(rocAuc(y, s), 0.5, 0.01, 'random scores')
})

const refused: [string, () => unknown, RegExp][] = [
  ['no rows', () => rocAuc([], []), /rocAuc needs at least one row/],
  ['unequal lengths', () => prAuc([0, 1], [0.5]), /2 labels need 2 scores, got 1/],
  ['NaN', () => rocAuc([0, 1, 1], [0.5, 0.5, Number.NaN]), /the score of row 2 is NaN/],
  ['a label of 2', () => logLoss([0, 2], [0.5, 0.5]), /label 2 in row 1 is not a class from 0 to 1/],
  ['a label of -1', () => brier([-1], [0.5]), /label -1 in row 0/],
  ['no probability', () => logLoss([0, 1], [0.5, 1.5]), /1\.5 in row 1 is not a probability/],
  ['a logit', () => brier([0, 1], [-3, 0.5]), /-3 in row 0/],
  ['too few columns', () => logLossMulti([0, 1], [0.5, 0.5], 2), /2 labels need 4 scores, got 2/],
  ['a class too many', () => logLossMulti([3], [0.2, 0.3, 0.5], 3), /label 3 in row 0.*0 to 2/],
  ['a calibration of no rows', () => expectedCalibrationError([], []), /at least one row/],
  ['a group too few', () => groupedAuc([0, 1], [0.5, 0.5], ['a']), /2 rows need a group each, got 1/],
  [
    'a list for a group',
    () => groupedAuc([0, 1], [0.5, 0.5], [1, [2]]),
    /row 1 has the group \[2\], expected/,
  ],
  ['one class', () => accuracy([0], [1], 1), /at least 2 classes, got 1/],
]
for (const [name, act, message] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(act, (error: unknown) => error instanceof DataError && message.test(error.message))
  })
}

test('display rounds to 3 digits', () => {
  assert.equal(formatMetrics({ log_loss: 0.64212, roc_auc: 1, pr_auc: Number.NaN }), {
    log_loss: '0.642',
    roc_auc: '1.000',
    pr_auc: 'n/a',
  })
  // As JSON brings them back.
  assert.equal(formatMetrics({ roc_auc: null, gauc_groups: 12345 }), {
    roc_auc: 'n/a',
    gauc_groups: '12,345',
  })
})

test.run()
