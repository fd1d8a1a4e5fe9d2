// class_weights, weight_column and label_smoothing_factor, beside PyTorch's definition of cross_entropy(weight=…, label_smoothing=…) in float64.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { noGrad, scope, tensor } from '../../src/autograd/index.ts'
import type { LabelConfig } from '../../src/config/index.ts'
import { DataError } from '../../src/errors.ts'
import type { AnyBatch } from '../../src/inputs.ts'
import { createModel, type Model } from '../../src/models/index.ts'
import { lossByConfig } from '../../src/models/label-loss.ts'
import { expectClose, ids, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const N = 37

/** The loss, and its gradient by logits. Weights of rows multiply those of classes, in the sum and in what it is divided by. */
function expected(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
  C: number,
  { class_weights, label_smoothing_factor: e = 0 }: LabelConfig,
  rows: ArrayLike<number> | undefined,
) {
  let [sum, total] = [0, 0]
  const gradient = new Float64Array(N * C)
  for (let r = 0; r < N; r++) {
    const own = Array.from({ length: C }, (_, c) => logits[r * C + c]!)
    const max = Math.max(...own)
    const log = max + Math.log(own.reduce((all, x) => all + Math.exp(x - max), 0))
    const row = rows?.[r] ?? 1
    total += row * (class_weights?.[labels[r]!] ?? 1)
    const shares = own.map((_, c) => (class_weights?.[c] ?? 1) * ((c === labels[r] ? 1 - e : 0) + e / C))
    const all = shares.reduce((a, b) => a + b, 0)
    for (const [c, x] of own.entries()) {
      sum -= row * shares[c]! * (x - log)
      gradient[r * C + c] = row * (all * Math.exp(x - log) - shares[c]!)
    }
  }
  return { loss: sum / total, gradient: gradient.map(x => x / total) }
}

const CONFIGS: [string, (C: number) => LabelConfig][] = [
  ['class_weights', C => ({ class_weights: Array.from({ length: C }, (_, c) => 0.5 + 1.5 * c) })],
  ['a class that counts nothing', C => ({ class_weights: Array.from({ length: C }, (_, c) => c) })],
  ['label_smoothing_factor', () => ({ label_smoothing_factor: 0.1 })],
  ['nothing but smoothing', () => ({ label_smoothing_factor: 1 })],
  ['weight_column', () => ({ weight_column: 'w' })],
  [
    'all three',
    C => ({
      class_weights: Array.from({ length: C }, (_, c) => 3 - c / 2),
      label_smoothing_factor: 0.25,
      weight_column: 'w',
    }),
  ],
]
for (const [name, of] of CONFIGS)
  for (const C of [2, 3, 5])
    test(`${name}, of ${C} classes: the loss and its gradient`, async () => {
      const config = of(C)
      const given = uniform(N * C, 7 + C, { low: -9, high: 9 })
      const labels = Uint32Array.from(uniform(N, 3, { low: 0, high: C }), Math.floor)
      // Some rows count nothing.
      const rows = Float32Array.from(uniform(N, 4, { low: -0.5, high: 3 }), x => Math.max(0, x))
      const weights = config.weight_column ? rows : undefined
      const want = expected(given, labels, C, config, weights)
      const batch = { size: N, labels, ...(weights ? { rowWeights: { w: weights } } : {}) }
      const logits = tensor(gpu, given, [N, C], { requiresGrad: true })
      const loss = scope(() => {
        const loss = lossByConfig('a model', logits, batch, config).keep()
        loss.backward()
        return loss
      })
      expectClose([await loss.item()], [want.loss], 1e-6)
      expectClose(await logits.grad!.read(), want.gradient, 1e-5)
      for (const made of [logits, loss]) made.dispose()
    })

test('a model of a table takes the keys from its configuration', async () => {
  const keys = { class_weights: [1, 3], label_smoothing_factor: 0.2, weight_column: 'w' }
  const model = createModel<Model>({
    architecture: 'TabularModel',
    features_config: {
      city: { dtype: 'categorical', vocab_size: 5, embedding_size: 4 },
      price: { dtype: 'numerical' },
    },
    mlp_config: [{ hidden_size: 8, activation_function: 'ReLU' }],
    ...keys,
  } as never).to(gpu, { seed: 3 })
  model.eval()
  const weights = Float32Array.from(uniform(N, 4, { low: 0, high: 3 }))
  const labels = ids(N, 5, 2)
  const batch: AnyBatch = {
    size: N,
    rows: Array.from({ length: N }, (_, i) => i),
    categorical: { city: ids(N, 6, 5) },
    numerical: { price: uniform(N, 8) },
    labels,
    rowWeights: { w: weights },
  }
  const [logits, loss] = await Promise.all(
    scope(() => noGrad(() => [model.logits!(batch).read(), model.loss(batch).read()])),
  )
  expectClose(loss!, [expected(logits!, labels, 2, keys, weights).loss], 1e-6)
  const wrong = (at: number, value: number) => () =>
    scope(() => model.loss({ ...batch, rowWeights: { w: weights.with(at, value) } }))
  for (const [at, value] of [
    [0, -1],
    [36, Number.NaN],
    [7, Infinity],
  ] as const)
    assert.throws(
      wrong(at, value),
      (error: Error) =>
        error instanceof DataError &&
        error.message.includes(`column 'w', row ${at}: value ${value}, expected`),
    )
  model.free()
})

test.after(() => gpu.close())
test.run()
