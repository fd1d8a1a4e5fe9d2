// Passes over lists: frozen values, the same written out, and what is refused.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkNPassCase, isNPass } from '../../bench/parity/n-pass-case.ts'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import {
  finalNdcg,
  lastScored,
  recallOfOwnBest,
  recallOfPasses,
  smallestCut,
  startPasses,
  takePass,
} from '../../src/metrics/index.ts'
import { generator } from '../../src/testing/index.ts'

test('survivors, final orders and figures are as frozen, ties of the first pass among them', () => {
  const folder = 'test/golden/npass'
  const frozen = JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))
  assert.ok(isNPass(frozen))
  const found = checkNPassCase(folder, frozen)
  assert.is(found.length, 2)
  assert.ok(found.every(passes), findingsTable(found))
  // A case that says otherwise is seen.
  frozen.cuts['5'].final_order[0].reverse()
  frozen.cuts['5'].recall[1] += 1e-8
  assert.ok(!checkNPassCase(folder, frozen).some(passes))
})

test('three passes: who is out keeps the order of the last pass it reached; equal scores stay as they came', () => {
  const next = generator(3)
  const starts = [0, 1, 8, 30]
  const scores = [0, 1, 2].map(() => Float64Array.from({ length: 30 }, () => Math.floor(next() * 5)))
  scores[1]![3] = Number.NEGATIVE_INFINITY
  scores[2]![20] = Number.POSITIVE_INFINITY
  const ks = [9, 4, undefined]
  const order = startPasses(starts)
  for (const [i, k] of ks.entries()) takePass(order, scores[i]!, k)
  for (let list = 0; list < 3; list++) {
    let docs = Array.from({ length: starts[list + 1]! - starts[list]! }, (_, i) => starts[list]! + i)
    const out: number[] = []
    for (const [i, k] of ks.entries()) {
      docs = docs.toSorted((a, b) =>
        scores[i]![a]! === scores[i]![b]! ? 0 : scores[i]![b]! > scores[i]![a]! ? 1 : -1,
      )
      for (const one of docs) assert.ok(order.reached[one]! >= i + 1)
      out.unshift(...docs.slice(k ?? docs.length))
      docs = docs.slice(0, k ?? docs.length)
    }
    assert.equal([...order.documents.subarray(starts[list], starts[list + 1])], [...docs, ...out])
  }
  assert.is(lastScored(order), 1 + 4 + 4)
  assert.equal([...order.kept], [1, 4, 4])
})

test('scores of those that are out are not read; figures written out', () => {
  const order = startPasses([0, 4, 6])
  takePass(order, [3, 1, 2, 0, 5, 5], 2)
  takePass(order, [1, Number.NaN, 2, Number.NaN, 1, 9])
  assert.equal([...order.documents], [2, 0, 1, 3, 5, 4])
  assert.equal([...order.reached], [2, 1, 2, 1, 2, 2])
  assert.equal([...recallOfPasses(order, [1, 1, 0, 0, 0, 0])], [0.5, Number.NaN])
  assert.equal([...recallOfOwnBest(order, [1, 7, 2, 0, 1, 9], 3)], [2 / 3, 1])
  const [first, second] = finalNdcg(order, [1, 1, 0, 0, 0, 0], 2)
  // The ideal has both positives on top, one of which the first pass lost.
  assert.ok(Math.abs(first! - 1 / Math.log2(3) / (1 + 1 / Math.log2(3))) < 1e-15)
  assert.ok(Number.isNaN(second))
  assert.is(
    smallestCut([
      { k: 100, ndcg: 0.8 },
      { k: 5, ndcg: 0.5 },
      { k: 20, ndcg: 0.791 },
    ]),
    20,
  )
  assert.is(smallestCut([{ k: 3, ndcg: 0.5 }]), 3)
})

test('what cannot be is refused by name', () => {
  const order = () => startPasses([0, 2, 3])
  for (const [call, says] of [
    [() => startPasses(undefined as never), /starts is undefined, expected an array/],
    [() => startPasses([]), /starts has 0 values.*no query/],
    [() => startPasses([0]), /no candidates/],
    [() => startPasses([1, 2]), /starts\[0\] is 1, expected 0/],
    [() => startPasses([0, 2, 2]), /list 1 begins at 2 and the next at 2, expected one candidate or more/],
    [() => startPasses([0, 1.5]), /next at 1.5/],
    [() => startPasses([0, Number.NaN]), /next at NaN/],
    [() => startPasses(['0', '1'] as never), /starts\[0\] is '0'/],
    [() => takePass(order(), [1, 2]), /3 documents need 3 scores, got 2/],
    [() => takePass(order(), [1, Number.NaN, 2]), /score of document 1 is NaN/],
    [() => takePass(order(), [1, '2', 2] as never), /score of document 1 is '2'/],
    [() => takePass(order(), [1, 2, 3], 0), /k is 0, expected a whole number of at least 1/],
    [() => takePass(order(), [1, 2, 3], 1.5), /k is 1.5/],
    [() => takePass(order(), [1, 2, 3], '2' as never), /k is '2'/],
    [() => takePass({} as never, [1]), /order is an object with nothing, expected one that startPasses/],
    [() => recallOfPasses(order(), [1, 2]), /labels has 2 values, expected 3/],
    [() => recallOfPasses(order(), [1, -2, 0]), /labels\[1\] is -2, expected a finite number of at least 0/],
    [() => finalNdcg(order(), [1, Number.NaN, 0], 10), /labels\[1\] is NaN/],
    [() => finalNdcg(order(), [1, 1, 0], 0), /k is 0/],
    [() => recallOfOwnBest(order(), [1, Number.NaN, 0], 10), /scores\[1\] is NaN, expected a number/],
    [() => recallOfOwnBest(order(), [1, 1, 0], -1), /k is -1/],
    [() => lastScored(undefined as never), /order is undefined/],
    [() => smallestCut([]), /figures is an array of 0/],
    [() => smallestCut([{ k: 3, ndcg: Number.NaN }]), /nDCG with k = 3 is NaN/],
    [() => smallestCut([{ k: 0, ndcg: 1 }]), /k is 0/],
    [() => smallestCut([{ k: 1, ndcg: 1 }], -1), /within is -1/],
  ] as const)
    assert.throws(call as () => unknown, says)
})

test.run()
