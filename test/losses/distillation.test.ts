// Distillation's losses: gradients against differences of plain loops in float64, values frozen from PyTorch, and what is refused.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkDistillationCase } from '../../bench/parity/distillation-case.ts'
import { passes } from '../../bench/parity/report.ts'
import { scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { losses } from '../../src/index.ts'
import * as reference from '../../src/reference/index.ts'
import { gradcheck, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const { DISTILLATION_LOSSES, distillation, kl, logitMse, marginMse, mixed, softLabels, softProbability } =
  losses

test('every frozen loss and gradient', async () => {
  const folder = 'test/golden/distill/losses'
  const frozen = JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))
  assert.is(Object.values(frozen.cases as Record<string, object>).flatMap(Object.keys).length, 44)
  const [finding] = await checkDistillationCase(gpu, folder, frozen)
  assert.ok(passes(finding!), JSON.stringify(finding))
})

type Rows = ArrayLike<number>
const logs = (x: Rows, C: number, T: number) =>
  reference.logSoftmax({ x: Float64Array.from(x, v => v / T), rows: x.length / C, C })
const total = (x: Rows) => Array.from(x).reduce((sum, v) => sum + v, 0)
const both = (z: Rows) => Array.from(z).flatMap(v => [0, v])
const margins = (x: Rows, C: number) =>
  Array.from({ length: x.length / C }, (_, r) => x[r * C + 1]! - x[r * C]!)
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** Every loss in plain loops, over logits of C classes, and the margins of one or two logits. */
const ORACLES: Record<losses.DistillationLoss, (s: Rows, t: Rows, C: number, T: number) => number> = {
  kl(s, t, C, T) {
    const [a, b] = [logs(s, C, T), logs(t, C, T)]
    return (T * T * C * total(b.map((v, i) => Math.exp(v) * (v - a[i]!)))) / s.length
  },
  soft_cross_entropy(s, t, C, T) {
    const [a, b] = [logs(s, C, T), logs(t, C, T)]
    return (-T * T * C * total(b.map((v, i) => Math.exp(v) * a[i]!))) / s.length
  },
  mse: (s, t) => total(Array.from(s, (v, i) => (v - t[i]!) ** 2)) / s.length,
  margin_mse(s, t, C) {
    const [a, b] = [margins(s, C), margins(t, C)]
    return total(a.map((v, r) => (v - b[r]!) ** 2)) / a.length
  },
  soft_labels(s, t, C, T) {
    const [z, p] = [margins(s, C), logs(t, C, T)]
    return total(z.map((v, r) => softplus(-v) + (1 - Math.exp(p[2 * r + 1]!)) * v)) / z.length
  },
}

for (const loss of DISTILLATION_LOSSES) {
  for (const [rows, C, T] of [
    [5, 2, 1],
    [7, 2, 3],
    [4, 6, 0.5],
  ] as const) {
    if (C > 2 && loss === 'soft_labels') continue
    test(`${loss} of ${C} classes at T = ${T}`, async () => {
      const data = uniform(rows * C, C + 1, { low: -3, high: 3 })
      const teacher = uniform(rows * C, C + 2, { low: -3, high: 3 })
      const t = tensor(gpu, teacher, [rows, C])
      await gradcheck(
        gpu,
        x => distillation(x!, t, { loss, temperature: T }),
        x => [ORACLES[loss](x!, teacher, C, T)],
        [{ data, shape: [rows, C] }],
      )
      t.dispose()
    })
  }
  test(`${loss} of one logit, its own and its teacher's`, async () => {
    const [z, t] = [uniform(6, 8, { low: -2, high: 2 }), uniform(6, 9, { low: -2, high: 2 })]
    const oracle = (s: Rows, t: Rows) =>
      loss === 'mse' ? ORACLES.margin_mse(both(s), t, 2, 2) : ORACLES[loss](both(s), t, 2, 2)
    const one = tensor(gpu, t, [6, 1])
    const two = tensor(gpu, uniform(12, 10), [6, 2])
    const values = await two.read()
    const options = { loss, temperature: 2 }
    const given = [{ data: z, shape: [6, 1] }]
    await gradcheck(
      gpu,
      x => distillation(x!, one, options),
      x => [oracle(x!, both(t))],
      given,
    )
    await gradcheck(
      gpu,
      x => distillation(x!, two, options),
      x => [oracle(x!, values)],
      given,
    )
    for (const made of [one, two]) made.dispose()
  })
}

test('a teacher gets no gradient, and a mix shares it out', async () => {
  const teacher = tensor(gpu, uniform(8, 1), [4, 2], { requiresGrad: true })
  const student = tensor(gpu, uniform(8, 2), [4, 2], { requiresGrad: true })
  const gradientOf = async (make: () => Tensor) => {
    scope(() => make().backward())
    const grad = await student.grad!.read()
    student.grad!.dispose()
    student.grad = undefined
    return grad
  }
  for (const loss of DISTILLATION_LOSSES) await gradientOf(() => distillation(student, teacher, { loss }))
  assert.is(teacher.grad, undefined)
  const [soft, hard] = [() => kl(student, teacher), () => marginMse(student, teacher)]
  const [a, b] = [await gradientOf(soft), await gradientOf(hard)]
  const mix = await gradientOf(() => mixed(soft(), hard(), 0.25))
  for (const [i, v] of mix.entries()) assert.ok(Math.abs(v - (0.25 * a[i]! + 0.75 * b[i]!)) < 1e-6)
  for (const made of [teacher, student]) made.dispose()
})

test('logits of up to 60 either way stay finite, whoever is sure of what', async () => {
  const extremes = Float32Array.of(60, -60, -60, 60, 60, 60, -60, -60)
  const teacher = tensor(gpu, extremes.toReversed(), [4, 2])
  for (const loss of DISTILLATION_LOSSES)
    for (const temperature of [0.5, 1, 4]) {
      const student = tensor(gpu, extremes, [4, 2], { requiresGrad: true })
      const value = scope(() => {
        const value = distillation(student, teacher, { loss, temperature }).keep()
        value.backward()
        return value
      })
      const wanted = ORACLES[loss](extremes, extremes.toReversed(), 2, temperature)
      assert.ok(Math.abs((await value.item()) - wanted) <= 1e-5 * wanted, `${loss} at ${temperature}`)
      assert.ok((await student.grad!.read()).every(Number.isFinite), loss)
      for (const made of [value, student]) made.dispose()
    }
  teacher.dispose()
})

test('the divergence of near distributions keeps its digits', async () => {
  for (const [step, temperature] of [
    [0.1, 4],
    [0.01, 1],
    [0.001, 2],
  ] as const) {
    const t = uniform(30, 3, { low: -2, high: 2 })
    const s = Float32Array.from(t, (v, i) => v + step * Math.sin(i))
    const [student, teacher] = [tensor(gpu, s, [15, 2]), tensor(gpu, t, [15, 2])]
    const value = scope(() => kl(student, teacher, { temperature }))
    const wanted = ORACLES.kl(s, t, 2, temperature)
    // What rounding log-probabilities, of up to 4, leaves of the difference.
    const bound = (1e-6 * temperature) / step
    assert.ok(
      Math.abs((await value.item()) - wanted) <= bound * wanted,
      `${step}: ${await value.item()}, ${wanted}`,
    )
    for (const made of [student, teacher, value]) made.dispose()
  }
})

test('what cannot be right is refused by name', () => {
  const two = tensor(gpu, uniform(8, 1), [4, 2])
  const three = tensor(gpu, uniform(12, 1), [4, 3])
  const one = tensor(gpu, uniform(4, 1), [4, 1])
  const flat = tensor(gpu, uniform(4, 1))
  const short = tensor(gpu, uniform(6, 1), [3, 2])
  const REFUSED: [() => unknown, RegExp][] = [
    ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, '2' as never].map(
      temperature =>
        [() => kl(two, two, { temperature }), /kl: temperature is .*, expected a finite number above 0/] as [
          () => unknown,
          RegExp,
        ],
    ),
    [() => kl(two, two, { T: 2 } as never), /kl: options: 'T' is unknown; .*expected temperature/],
    [() => kl(two, three), /kl: teacher has shape \[4,3\], expected \[4,2\]/],
    [() => kl(one, three), /kl: teacher has shape \[4,3\], expected \[4,2\]/],
    [() => kl(three, one), /kl: teacher has shape \[4,2\], expected \[4,3\]/],
    [
      () => losses.softCrossEntropy(two, short),
      /softCrossEntropy: teacher has shape \[3,2\], expected \[4,2\]/,
    ],
    [() => kl(flat, two), /kl: student has shape \[4\], expected logits \[rows, classes\]/],
    [() => kl(two, [1, 2] as never), /kl: teacher is an array of 2, expected a tensor/],
    [() => logitMse(two, three), /logitMse: teacher has shape \[4,3\], expected \[4,2\]/],
    [() => marginMse(two, short), /marginMse: teacher has shape \[3\], expected \[4\]/],
    [() => softLabels(three, flat), /softLabels: student has shape \[4,3\], expected one or two logits/],
    [() => softLabels(two, one), /softLabels: probabilities has shape \[4,1\], expected \[4\]/],
    [() => softProbability(three), /softProbability: teacher has shape \[4,3\], expected one or two logits/],
    [() => distillation(two, two, { loss: 'l1' as never }), /distillation: loss is 'l1', expected 'kl' or/],
    [() => mixed(flat, flat, 1.5), /mixed: alpha is 1.5, expected a number from 0 to 1/],
    [() => mixed(flat, undefined as never, 0.5), /mixed: hard is undefined, expected a tensor/],
  ]
  for (const [call, said] of REFUSED) assert.throws(call, said)
  for (const made of [two, three, one, flat, short]) made.dispose()
})

test.after(() => gpu.close())
test.run()
