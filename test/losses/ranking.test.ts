// Losses over lists: against frozen values, and against plain loops on lists of many lengths.

import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readTensors } from '../../bench/parity/frozen.ts'
import { checkLtrCase } from '../../bench/parity/ltr-case.ts'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import { scope, tensor } from '../../src/autograd/index.ts'
import {
  lambdaRank,
  listNet,
  listwise,
  listwiseNormed,
  pairwise,
  pointwise,
  pointwiseLists,
} from '../../src/losses/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { generator, openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const LOSSES = { pointwise, pointwiseLists, listwise, listwiseNormed, listNet, pairwise, lambdaRank }

test('every loss and its gradient are as frozen', async () => {
  const folder = 'test/golden/ltr'
  const found = await checkLtrCase(gpu, folder, JSON.parse(readFileSync(`${folder}/case.json`, 'utf8')))
  assert.is(found.length, 2)
  assert.ok(found.every(passes), findingsTable(found))
  assert.ok((await readTensors(`${folder}/ltr.safetensors`)).size > 50)
})

/** Loss and gradient on the device. */
async function run(
  name: keyof typeof LOSSES,
  s: Float32Array<ArrayBuffer>,
  labels: number[],
  starts: number[],
) {
  const scores = tensor(gpu, s, [s.length, 1], { requiresGrad: true })
  const loss = scope(() => {
    const loss = LOSSES[name](scores, labels, starts)
    const value = loss.item()
    loss.backward()
    return value
  })
  return { loss: await loss, grad: await scores.grad!.read() }
}

test('RankNet and LambdaRank of lists of 1, 2, 70 and 300 documents with ties equal plain loops', async () => {
  const next = generator(3)
  const starts = [0, 1, 3, 73, 373]
  const labels = Array.from({ length: 373 }, () => Math.floor(next() * 4))
  const s = Float32Array.from(seeded(373, 5, 2), value => Math.round(value * 8) / 8)
  const grad = { pairwise: new Float64Array(373), lambdaRank: new Float64Array(373) }
  let [pairs, logistic, lambda] = [0, 0, 0]
  for (let list = 0; list < 4; list++) {
    const rows = labels.slice(starts[list], starts[list + 1]).map((_, i) => starts[list]! + i)
    const order = rows.toSorted((a, b) => s[b]! - s[a]! || a - b)
    const D = (row: number) => 1 / Math.log2(2 + order.indexOf(row))
    const G = (row: number) => 2 ** labels[row]! - 1
    const ideal = rows
      .toSorted((a, b) => labels[b]! - labels[a]!)
      .reduce((sum, row, i) => sum + G(row) / Math.log2(2 + i), 0)
    for (const i of rows)
      for (const j of rows) {
        if (labels[i]! <= labels[j]!) continue
        const [value, slope] = [Math.log1p(Math.exp(s[j]! - s[i]!)), -1 / (1 + Math.exp(s[i]! - s[j]!))]
        const weight = ((G(i) - G(j)) * Math.abs(D(i) - D(j))) / ideal / 4
        pairs++
        logistic += value
        lambda += weight * value
        for (const [name, share] of [
          ['pairwise', slope],
          ['lambdaRank', slope * weight],
        ] as const) {
          grad[name][i]! += share
          grad[name][j]! -= share
        }
      }
  }
  for (const [name, loss, factor] of [
    ['pairwise', logistic / pairs, 1 / pairs],
    ['lambdaRank', lambda, 1],
  ] as const) {
    const got = await run(name, s, labels, starts)
    assert.ok(Math.abs(got.loss - loss) < 1e-5 * loss, `${name}: ${got.loss}, ${loss}`)
    expectClose(
      got.grad,
      grad[name].map(value => value * factor),
      1e-5,
    )
  }
})

test('without a positive, order losses are 0 and so are their gradients; a shift of all scores changes nothing', async () => {
  for (const name of ['pairwise', 'lambdaRank', 'listwise', 'listwiseNormed'] as const) {
    const { loss, grad } = await run(name, Float32Array.of(1, 2, 3), [0, 0, 0], [0, 2, 3])
    assert.is(loss, 0, name)
    assert.ok(grad.every(value => value === 0))
  }
  const s = Float32Array.from([1, 0, 2, -1, 0.5])
  for (const name of ['pairwise', 'lambdaRank', 'listwise', 'listwiseNormed', 'listNet'] as const) {
    const [here, far] = [s, s.map(value => value + 4096)].map(scores =>
      run(name, scores, [0, 2, 1, 1, 0], [0, 3, 5]),
    )
    expectClose((await far!).grad, (await here!).grad, 2e-3)
    assert.ok(Math.abs((await far!).loss - (await here!).loss) < 2e-3)
  }
})

test('sums over lists of thousands lose no more than those over short ones', async () => {
  const [starts, N] = [[0, 5_000, 5_003], 5_003]
  const labels = Array.from({ length: N }, (_, i) => Number(i % 3 === 0))
  // ListNet of equal scores: the gradient is 1 / n less the target, halved for two lists.
  const { grad } = await run('listNet', new Float32Array(N).fill(0.25), labels, starts)
  for (const [start, end] of [
    [0, 5_000],
    [5_000, N],
  ] as const) {
    const own = labels.slice(start, end).map(Math.exp)
    const total = own.reduce((a, b) => a + b)
    for (const [i, y] of own.entries()) {
      const wanted = (1 / (end - start) - y / total) / 2
      const bound = 2e-6 / (end - start)
      assert.ok(Math.abs(grad[start + i]! - wanted) < bound, `${start + i}: ${grad[start + i]}, ${wanted}`)
    }
  }
})

test('what cannot be right is refused', () => {
  const scores = tensor(gpu, Float32Array.of(1, 2, 3))
  for (const [name, loss] of Object.entries(LOSSES)) {
    assert.throws(
      () => loss(scores, [0, -1, 1], [0, 3]),
      new RegExp(`${name}: the label of row 1 is -1, expected a number of at least 0`),
    )
    assert.throws(
      () => loss(scores, [0, 1], [0, 2]),
      new RegExp(`${name}: scores has shape \\[3\\], expected \\[2\\] or \\[2, 1\\]`),
    )
    assert.throws(
      () => loss(scores, [0, 1, 0], [0, 2, 2, 3]),
      /list 1 has no documents: starts\[1\] and starts\[2\] are 2/,
    )
    assert.throws(
      () => loss(scores, [0, 1, 0], [0, 2]),
      /starts goes from 0 to 2 in 2 numbers, expected 0 to 3/,
    )
    assert.throws(() => loss([1] as never, [0], [0, 1]), new RegExp(`${name}: scores`))
  }
  assert.throws(() => lambdaRank(scores, [0, 1, 0], [0, 3], { k: 0 }), /k is 0/)
  assert.throws(
    () => lambdaRank(scores, [0, 101, 0], [0, 3]),
    /the label of row 1 is 101, expected at most 100/,
  )
  for (const weights of [0, null, '1'])
    assert.throws(
      () => listwise(scores, [0, 1, 0], [0, 3], { weights: weights as never }),
      /weights is (0|null|'1'), expected a Float32Array/,
    )
  assert.throws(
    () => listwise(scores, [0, 1, 0], [0, 3], { weights: [1, 2] }),
    /weights has 2 values, expected 1/,
  )
  assert.throws(
    () => listwise(scores, [0, 1, 0], [0, 3], { weights: [Number.NaN] }),
    /the weight of list 0 is NaN/,
  )
})

test.run()
