import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { crossEntropy, crossEntropyBackward } from '../../src/kernels/cross_entropy.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { goldenFloats, goldenShape, goldenTest, goldenUints } from '../support/golden-ops.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()

async function run(given: {
  logits: Float32Array<ArrayBuffer>
  labels: Uint32Array<ArrayBuffer>
  rows: number
  C: number
  dloss: number
}) {
  const { rows, C, dloss } = given
  const [logits, labels] = [gpu.from(given.logits), gpu.from(given.labels)]
  const sizes = { losses: rows, probs: rows * C, loss: 1, dlogits: rows * C }
  const blocks = Object.entries(sizes).map(([name, n]) => [name, guarded(gpu, n)] as const)
  const [losses, probs, loss, dlogits] = blocks.map(([, { view }]) => view)
  crossEntropy(gpu, { logits, labels, losses: losses!, probs: probs!, loss: loss!, rows, C })
  const dlossView = gpu.from(Float32Array.of(dloss))
  crossEntropyBackward(gpu, { probs: probs!, labels, dloss: dlossView, dlogits: dlogits!, rows, C })
  const read: Record<string, Float32Array<ArrayBuffer>> = {}
  for (const [name, { view, checkNeighbours }] of blocks) {
    read[name] = view.size > 0 ? await gpu.readFloats(view) : new Float32Array(0)
    await checkNeighbours()
  }
  return read as Record<keyof typeof sizes, Float32Array<ArrayBuffer>>
}

/** Sums of so many values by one invocation round more than the bounds allow: on GPUs many share a row. */
const LONG = gpu.forms.kind === 'hardware' ? [[2, 30_522, 4, 1] as const] : []

for (const [rows, C, scale, dloss] of [
  ...LONG,
  [1, 1, 1, 1],
  [1, 2, 1, 1],
  [13, 2, 1, 0.5],
  [64, 2, 30, 65536],
  [67, 5, 1e4, 1],
  [129, 31, 1e-8, 1],
  [5003, 2, 4, 1],
  [800, 3, 4, 1],
  [7, 1000, 4, 1],
] as const) {
  test(`cross entropy and its gradient agree with the oracle: ${rows} x ${C}, logits to ${scale}`, async () => {
    const given = {
      logits: seeded(rows * C, rows, scale),
      labels: seededInts(rows, C, C),
      rows,
      C,
      dloss,
    }
    const got = await run(given)
    const expected = reference.crossEntropy(given)
    expectClose(got.losses, expected.losses, 1e-6 * Math.max(1, scale / 8), {
      absolute: true,
      label: 'losses',
    })
    expectClose(got.loss, [expected.loss], 1e-6 * Math.max(1, scale / 8), { absolute: true, label: 'loss' })
    expectClose(got.probs, expected.probs, 2e-6, { label: 'probs' })
    const dlogits = reference.crossEntropyBackward({ ...given, probs: expected.probs })
    expectClose(got.dlogits, dlogits, (3e-6 * dloss) / rows, { absolute: true, label: 'dlogits' })
  })
}

test('the mean loss of no rows is 0', async () => {
  const none = { logits: new Float32Array(0), labels: new Uint32Array(0), rows: 0, C: 2, dloss: 1 }
  assert.equal((await run(none)).loss, Float32Array.of(0))
})

for (const name of ['1x2_1', '13x2_1', '9x5_80']) {
  goldenTest(`cross entropy and its gradient agree with PyTorch: ${name}`, async () => {
    const [rows, C] = goldenShape(`cross_entropy_${name}.logits`) as [number, number]
    const got = await run({
      logits: goldenFloats(`cross_entropy_${name}.logits`),
      labels: goldenUints(`cross_entropy_${name}.labels`),
      rows,
      C,
      dloss: 1,
    })
    expectClose(got.loss, goldenFloats(`cross_entropy_${name}.loss`), 1e-5)
    expectClose(got.dlogits, goldenFloats(`cross_entropy_${name}.dlogits`), 1e-5)
  })
}

test.after(() => gpu.close())
test.run()
