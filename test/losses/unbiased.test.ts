// Losses that learn from clicks: frozen values, the position-based model against its formula, what no click says, and what cannot be.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { passes } from '../../bench/parity/report.ts'
import { checkUltrLossesCase } from '../../bench/parity/ultr-losses-case.ts'
import { add, backward, scale, scope, sum, type Tensor, tensor } from '../../src/autograd/index.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import { DataError } from '../../src/errors.ts'
import {
  type ClickLists,
  clickListwise,
  dla,
  dlaUltra,
  examinationAt,
  ipsListwise,
  ipsPointwise,
  pairDebias,
  positionBased,
  regressionEm,
  type TwoLosses,
  twoTower,
} from '../../src/losses/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
test.after(() => gpu.close())

const leaf = (values: ArrayLike<number>) =>
  tensor(gpu, Float32Array.from(values), [values.length], { requiresGrad: true })

test('values, gradients and tables are those that are frozen', async () => {
  const folder = 'test/golden/ultr/losses'
  const frozen = JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))
  const findings = await checkUltrLossesCase(gpu, folder, frozen)
  assert.is(findings.length, 3)
  for (const finding of findings) assert.ok(passes(finding), JSON.stringify(finding))
})

/** The loss and its gradients on the device. */
async function run(
  loss: (s: Tensor, e: Tensor) => Tensor,
  scores: number[],
  examination: number[],
): Promise<[number, Float32Array, Float32Array]> {
  const read = scope(() => {
    const [s, e] = [leaf(scores), leaf(examination)]
    const made = loss(s, e)
    const value = made.keep().item()
    backward(made)
    return [value, s.grad!.read(), e.grad!.read()] as const
  })
  return [await read[0], await read[1], await read[2]]
}

test('the position-based model is the cross-entropy of a product of probabilities, far out too', async () => {
  const random = randomStream(11)
  const N = 13
  for (const size of [1, 4, 30]) {
    const draw = () => Array.from({ length: N }, () => Math.fround(size * random.normal()))
    const [s, e] = [draw(), draw()]
    const clicks = Array.from({ length: N }, () => Number(random.uniform() < 0.4))
    const lists = { clicks, starts: [0, 1, 5, N] }
    const [value, ds, de] = await run((a, b) => positionBased(a, b, lists), s, e)
    // In float64: log p = -log1p(exp(-s)) - log1p(exp(-e)), 1 - p = p (a + b + a b).
    const oracle = (i: number) => {
      const [a, b] = [Math.exp(-s[i]!), Math.exp(-e[i]!)]
      const p = 1 / ((1 + a) * (1 + b))
      const rest = (a + b + a * b) * p
      const logs = clicks[i] ? Math.log(p) : Math.log(rest)
      // d log p / ds = 1 - sigmoid(s); d log(1 - p) / ds = -p (1 - sigmoid(s)) / (1 - p).
      const own = (x: number) => (clicks[i] ? -x : (p * x) / rest) / N
      return { loss: -logs / N, ds: own(a / (1 + a)), de: own(b / (1 + b)) }
    }
    const wanted = Array.from({ length: N }, (_, i) => oracle(i))
    const total = wanted.reduce((sum, { loss }) => sum + loss, 0)
    assert.ok(Math.abs(value - total) <= 1e-5 * total, `${value} and ${total}`)
    for (let i = 0; i < N; i++) {
      assert.ok(Math.abs(ds[i]! - wanted[i]!.ds) < 2e-6, `ds[${i}] is ${ds[i]}, expected ${wanted[i]!.ds}`)
      assert.ok(Math.abs(de[i]! - wanted[i]!.de) < 2e-6, `de[${i}] is ${de[i]}, expected ${wanted[i]!.de}`)
    }
  }
})

test('lists without clicks say nothing to listwise losses, and a batch of them has the loss 0', async () => {
  const lists = { clicks: [0, 0, 0, 0], positions: [0, 1, 2, 0], starts: [0, 3, 4] }
  const some = { clicks: [0, 1, 0, 0, 0], positions: [0, 1, 2, 0, 1], starts: [0, 3, 5] }
  const propensities = [1, 0.5, 0.25]
  for (const loss of [
    (s: Tensor, own: ClickLists) => clickListwise(s, own),
    (s: Tensor, own: ClickLists) => ipsListwise(s, own, { propensities }),
  ]) {
    const [value, ds] = await run(
      (s, e) => add(loss(s, lists), scale(sum(e), 0)),
      [3, -1, 2, 5],
      [0, 0, 0, 0],
    )
    assert.equal([value, [...ds]], [0, [0, 0, 0, 0]])
    const [, own] = await run(
      (s, e) => add(loss(s, some), scale(sum(e), 0)),
      [3, -1, 2, 5, 4],
      [0, 0, 0, 0, 0],
    )
    assert.equal([...own.slice(3)], [0, 0])
    assert.ok(own[1]! < 0 && own[0]! > 0)
  }
  const parts = dla(leaf([1, 2, 3, 4]), leaf([0, 0, 0, 0]), lists)
  assert.equal([await parts.relevance.item(), await parts.examination.item()], [0, 0])
})

const both = ({ relevance, examination }: TwoLosses) => add(relevance, examination)

test('no score is too large', async () => {
  const s = [60, -60, 60, -60, 0, 88]
  const e = [-60, 60, 60, -60, 60, -88]
  const lists = { clicks: [1, 0, 0, 1, 1, 0], positions: [0, 1, 2, 0, 1, 2], starts: [0, 3, 6] }
  for (const loss of [
    (a: Tensor, b: Tensor) => positionBased(a, b, lists),
    (a: Tensor, b: Tensor) => twoTower(a, b, lists),
    (a: Tensor, b: Tensor) => both(dla(a, b, lists)),
    (a: Tensor, b: Tensor) => both(regressionEm(a, b, lists)),
  ]) {
    const [value, ds, de] = await run(loss, s, e)
    assert.ok([value, ...ds, ...de].every(Number.isFinite), `${value}, ${ds}, ${de}`)
  }
})

test('tables of places move towards the losses there, and by (1 - rate) where there is no pair', async () => {
  const table = () => tensor(gpu, Float32Array.of(1, 0.5, 0.25), [3])
  const own = { clicks: [0, 1, 0], positions: [0, 1, 2], starts: [0, 3] }
  const scores = leaf([0.5, -0.25, 1])
  const { loss, tables } = pairDebias(scores, own, { plus: table(), minus: table() }, { rate: 0.5, p: 0 })
  const pair = [0.75, 1.25].map(x => Math.log1p(Math.exp(x)))
  const near = (got: number, wanted: number) =>
    assert.ok(Math.abs(got - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)), `${got} and ${wanted}`)
  near(await loss.keep().item(), pair[0]! / 0.5 / 1 + pair[1]! / 0.5 / 0.25)
  const minus = await tables.minus.read()
  near(minus[0]!, 0.5 + 0.5)
  near(minus[1]!, 0.25)
  near(minus[2]!, 0.125 + (0.5 * pair[1]!) / pair[0]!)
  const still = pairDebias(
    leaf([1, 2]),
    { clicks: [1, 1], positions: [0, 1], starts: [0, 2] },
    {
      plus: table(),
      minus: table(),
    },
  )
  assert.is(await still.loss.item(), 0)
  assert.equal([...(await still.tables.plus.read())], [...Float32Array.of(0.95, 0.475, 0.2375)])
})

test('what cannot be is refused by value and place', () => {
  const s = leaf([1, 2, 3])
  const good = { clicks: [0, 1, 0], positions: [0, 1, 2], starts: [0, 1, 3] }
  const propensities = [1, 0.5, 0.2]
  const ips = (change: object, options: object = {}) =>
    ipsPointwise(s, { ...good, ...change }, { propensities, ...options })
  const cases: [() => unknown, RegExp][] = [
    [() => ips({ clicks: [0, 2, 0] }), /ipsPointwise: clicks\[1\] is 2, expected 0 or 1/],
    [() => ips({ clicks: [0, -1, 0] }), /clicks\[1\] is -1/],
    [() => ips({ clicks: [0, Number.NaN, 0] }), /clicks\[1\] is NaN/],
    [() => ips({ clicks: [0, 1] }), /clicks has 2 values, expected 3, one a document/],
    [() => ips({ clicks: 'abc' }), /clicks is 'abc', expected an array/],
    [() => ips({ positions: undefined }), /lists has no positions/],
    [() => ips({ positions: [0, 1, 3] }), /positions\[2\] is 3, expected 0 to 2: the table has 3 rows/],
    [() => ips({ positions: [0, -1, 2] }), /positions: element 1 is -1/],
    [() => ips({ positions: [0, 1] }), /positions has 2 values/],
    [() => ips({ starts: [0, 1, 2] }), /starts goes from 0 to 2 in 3 numbers, expected 0 to 3/],
    [() => ips({ starts: [1, 3] }), /starts goes from 1 to 3/],
    [() => ips({ starts: [0, 2, 1, 3] }), /starts\[2\] is 1 and the one before 2, expected no fall/],
    [() => ips({ starts: [0, 1, 1, 3] }), /list 1 has no documents: starts\[1\] and starts\[2\] are 1/],
    [() => ips({ click: [1] }), /lists: 'click' is unknown; did you mean 'clicks'\?/],
    [() => ips({}, { propensities: [1, 0, 0.2] }), /propensities: element 1 is 0, expected a number above 0/],
    [() => ips({}, { propensities: [1, 1.5, 0.2] }), /propensities: element 1 is 1\.5/],
    [() => ips({}, { maxWeight: 0 }), /maxWeight is 0/],
    [() => ips({}, { maxweight: 3 }), /'maxweight' is unknown; did you mean 'maxWeight'/],
    [() => twoTower(s, leaf([1, 2]), good), /twoTower: examination has shape \[2\], expected \[3\]/],
    [() => twoTower(leaf([1, 2, 3, 4]), s, good), /twoTower: examination has shape \[3\], expected \[4\]/],
    [() => dla(s, s, good, { maxWeight: -1 }), /dla: maxWeight is -1/],
    [() => dlaUltra([1] as never, s, good), /dlaUltra: scores is /],
    [() => examinationAt(leaf([1, 2]), [0, 2]), /examinationAt: positions\[1\] is 2, expected 0 to 1/],
    [
      () => pairDebias(s, good, { plus: leaf([1, 1]), minus: leaf([1, 1]) }),
      /pairDebias: positions\[2\] is 2, expected 0 to 1/,
    ],
    [
      () => pairDebias(s, good, { plus: leaf([1, 1, 1]), minus: leaf([1, 1]) }),
      /pairDebias: minus has shape \[2\], expected \[positions\]/,
    ],
    [
      () => pairDebias(s, good, { plus: leaf([1, 1, 1]), minus: leaf([1, 1, 1]) }, { rate: 2 }),
      /pairDebias: rate is 2/,
    ],
  ]
  for (const [call, says] of cases) assert.throws(call, says)
  assert.throws(
    () => ips({ positions: [0, 1, 3] }),
    (error: Error) => error instanceof DataError,
  )
})

test.run()
