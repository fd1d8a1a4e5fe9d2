// The example programs do what they say.
// Waits for CI: it trains with every program
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { notebook } from '../../examples/notebook.ts'
import { lossAndGradient, rawKernels } from '../../examples/raw-kernels.ts'
import { tabularMlp } from '../../examples/tabular-mlp.ts'
import { textClassifier } from '../../examples/text-classifier.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { expectClose, gradcheck, ids, uniform } from '../../src/testing/index.ts'
import { rocAuc } from '../../src/train/index.ts'

test('the notebook: both models learn, tabular features help, the saved model scores', async () => {
  const { results, probabilities, testProbability } = await notebook({ trainRows: 3000, testRows: 1000 })
  const { text_tabular, text_only } = results as Record<string, { roc_auc: number; log_loss: number }>
  assert.ok(text_tabular!.roc_auc > text_only!.roc_auc + 0.05, JSON.stringify(results))
  assert.ok(text_only!.roc_auc > 0.52, JSON.stringify(results))
  assert.is(probabilities.length, 1000)
  // Against the probabilities that the clicks were drawn with: above and below their median.
  const median = [...testProbability].sort((a, b) => a - b)[500]!
  const likely = Uint32Array.from(testProbability, p => Number(p > median))
  assert.ok(rocAuc(likely, probabilities) > 0.6)
})

test('a model on tabular data alone beats what its categories know', async () => {
  const { before, after } = await tabularMlp({ rows: 15_000 })
  assert.ok(Math.abs(before.roc_auc - 0.5) < 0.15, `starts at ${before.roc_auc}`)
  assert.ok(after.roc_auc > 0.75, `ends at ${after.roc_auc}`)
  assert.ok(after.log_loss < before.log_loss - 0.1)
})

test('a transformer over plain text learns what is to be learnt, and classifies sentences of one’s own', async () => {
  const { metrics, topics, buffers } = await textClassifier({
    rows: 1500,
    queries: ['Running BOOTS for me', 'best island', 'a PIANO, near me!'],
  })
  // One label in ten is drawn anew, and so wrong in two cases of three.
  assert.ok(metrics.accuracy! > 0.88, `accuracy ${metrics.accuracy}`)
  assert.ok(metrics.loss < 0.5, `loss ${metrics.loss}`)
  assert.equal(topics, ['shoes', 'travel', 'music'])
  assert.is(buffers, 0)
})

/** The focal loss in float64: mean over rows of -(1 - q)^gamma log q. */
function focal(weights: ArrayLike<number>, rows: Float32Array, labels: Uint32Array, gamma: number): number {
  let total = 0
  for (const [i, label] of labels.entries()) {
    let z = 0
    for (let c = 0; c < weights.length; c++) z += weights[c]! * rows[i * weights.length + c]!
    const q = 1 / (1 + Math.exp(label ? -z : z))
    total -= ((1 - q) ** gamma * Math.log(q)) / labels.length
  }
  return total
}

test('a loss of raw kernels: its gradient agrees with differences', async () => {
  const gpu = await openGpu({ poison: true })
  const [n, features, gamma] = [67, 5, 1.7]
  const [x, w, y] = [uniform(n * features, 1), uniform(features, 2), ids(n, 3, 2)]
  const [loss, dweights] = [gpu.acquire(4), gpu.acquire(features * 4)]
  const [rows, labels, weights] = [gpu.from(x), gpu.from(y), gpu.from(w)]
  lossAndGradient(gpu, { rows, labels, weights, loss, dweights, n, features, gamma })
  const [value, gradient] = [await gpu.readFloats(loss), await gpu.readFloats(dweights)]
  expectClose(value.subarray(0, 1), [focal(w, x, y, gamma)], 1e-6)
  const first = gradient.subarray(0, features)
  await gradcheck(
    {
      forward: w => [focal(w!, x, y, gamma)],
      backward: dy => [first.map(v => v * dy[0]!)],
    },
    [w],
    { tolerance: 1e-5 },
  )
  gpu.close()
})

test('raw kernels: the loss falls to what float64 says of the weights', async () => {
  const { losses, weights, rows, labels } = await rawKernels()
  assert.ok(losses[0]! > 0.17 && losses.at(-1)! < losses[0]! / 3, `${losses[0]} to ${losses.at(-1)}`)
  const last = focal(weights, rows, labels, 2)
  assert.ok(last < losses.at(-1)! && last > losses.at(-1)! - 0.005, `${last} after ${losses.at(-1)}`)
})

test.run()
