// Several models, devices and calls in one process: each gives the bits it gives alone.
// Waits for CI: it trains several models at once

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { scope } from '../../src/autograd/index.ts'
import { collate } from '../../src/data/index.ts'
import { OutOfMemoryError } from '../../src/errors.ts'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'
import type { AnyBatch } from '../../src/inputs.ts'
import type { Model } from '../../src/models/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { parameterGroups, predict } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { bitsOf, makeRun } from '../support/small-run.ts'

const gpu = await openTestGpu()
const other = await openTestGpu()
const settings = { num_train_epochs: 1, logging_steps: 1, eval_steps: 2, save_steps: null }
const SEEDS = [9, 23]

/** A whole run by itself. */
async function alone(device: Gpu, seed: number): Promise<Record<string, string>> {
  const { trainer, model } = await makeRun(device, { ...settings, seed })
  await trainer.train()
  const bits = await bitsOf(model)
  model.free()
  return bits
}
const expected = [await alone(gpu, SEEDS[0]!), await alone(gpu, SEEDS[1]!)]

for (const [name, devices] of [
  ['one device', [gpu, gpu]],
  ['two devices', [gpu, other]],
] as const) {
  test(`two trainers at a time on ${name}, evaluations between their steps`, async () => {
    const { buffers } = gpu.memory
    const made = await Promise.all(SEEDS.map((seed, i) => makeRun(devices[i]!, { ...settings, seed })))
    await Promise.all(made.map(({ trainer }) => trainer.train()))
    for (const [i, { model }] of made.entries()) {
      assert.equal(await bitsOf(model), expected[i])
      model.free()
    }
    assert.is(gpu.memory.buffers, buffers)
  })
}

/** A model with an optimizer over it, and batches. */
async function parts(device: Gpu, seed: number) {
  const { model, train, trainer } = await makeRun(device, { seed })
  const optimizer = new AdamW(device, parameterGroups(model, RATES))
  const batch = (first: number, size: number) =>
    collate(
      train,
      Uint32Array.from({ length: size }, (_, i) => first + i),
      model.inputs,
    )
  return { model, train, trainer, optimizer, batch }
}
const RATES = { learning_rate: 5e-3, encoder_learning_rate: 2e-3 }

function step({ model, optimizer }: { model: Model; optimizer: AdamW }, batch: AnyBatch): void {
  scope(() => model.loss(batch).backward())
  optimizer.step({ maxGradNorm: 1 })
  optimizer.zeroGrad()
}

test('forward and backward passes of two models on one device, interleaved by hand', async () => {
  const [a, b, single] = [await parts(gpu, 1), await parts(gpu, 2), await parts(gpu, 1)]
  for (let i = 0; i < 4; i++) {
    step(single, single.batch(8 * i, 8))
    scope(() => {
      const first = a.model.loss(a.batch(8 * i, 8))
      const second = b.model.loss(b.batch(5 * i, 5))
      first.backward()
      second.backward()
    })
    for (const { optimizer } of [a, b]) {
      optimizer.step({ maxGradNorm: 1 })
      optimizer.zeroGrad()
    }
  }
  for (const { optimizer } of [a, b, single]) optimizer.synchronize()
  assert.equal(await bitsOf(a.model), await bitsOf(single.model))
  for (const { optimizer, model } of [a, b, single]) {
    optimizer.dispose()
    model.free()
  }
})

test('calls of predict side by side, on a model in training mode, give what they give one after the other', async () => {
  const { model, train } = await makeRun(gpu)
  const trains = await makeRun(gpu, { ...settings, seed: SEEDS[1]! })
  const sizes = [7, 64, 19, 150, 1]
  model.train()
  const inTurn = []
  for (const batchSize of sizes) inTurn.push(await predict(model, train, { batchSize }))
  const training = trains.trainer.train()
  const atOnce = await Promise.all(sizes.map(batchSize => predict(model, train, { batchSize })))
  await training
  assert.equal(atOnce, inTurn)
  assert.ok(model.training, 'left in the mode it was in')
  assert.equal(await bitsOf(trains.model), expected[1])

  // In evaluation mode but for one module, as someone may have set it.
  model.eval()
  const encoder = Object.values(model.encoders())[0]!
  encoder.training = true
  await Promise.all([predict(model, train, { batchSize: 50 }), predict(model, train, { batchSize: 11 })])
  assert.equal([model.training, encoder.training], [false, true])
  for (const made of [model, trains.model]) made.free()
})

test('predictions of a model while it trains leave its training as it is', async () => {
  const { trainer, model, train } = await makeRun(gpu, { ...settings, seed: SEEDS[0]! })
  let over = false
  const training = trainer.train().then(() => {
    over = true
  })
  let calls = 0
  for (; !over; calls++) await Promise.all([predict(model, train, { batchSize: 40 }), predict(model, train)])
  await training
  assert.ok(calls > 1, `${calls} calls`)
  assert.equal(await bitsOf(model), expected[0])
  model.free()
})

test('closing one device leaves the other working, while it trains', async () => {
  const closing = await openGpu()
  let begun = () => {}
  const stepped = new Promise<void>(resolve => {
    begun = resolve
  })
  const [first, second] = [
    await makeRun(closing, settings, { callbacks: [{ onStepEnd: () => begun() }] }),
    await makeRun(gpu, { ...settings, seed: SEEDS[1]! }),
  ]
  const ends = first.trainer.train().then(
    () => 'trained',
    (error: Error) => error.message,
  )
  const trains = second.trainer.train()
  await stepped
  closing.close()
  assert.is(await ends, 'the device was used after it was closed')
  await trains
  assert.equal(await bitsOf(second.model), expected[1])
  second.model.free()
})

test('a batch there is no memory for: a smaller one works, the step can be taken again, and nothing leaks', async () => {
  const reference = await openGpu()
  const limited = await openGpu({ memoryLimit: 2_600_000 })
  const [calm, tried] = [await parts(reference, 1), await parts(limited, 1)]
  const { model, optimizer } = tried
  const all = collate(
    tried.train,
    Uint32Array.from({ length: 6000 }, (_, i) => i % 150),
    model.inputs,
  )
  for (let i = 0; i < 4; i++) {
    step(calm, calm.batch(8 * i, 8))
    const before = { ...limited.memory }
    const rng = { ...model.rng }
    assert.throws(
      () => step(tried, all),
      (error: Error) => error instanceof OutOfMemoryError,
    )
    optimizer.zeroGrad()
    Object.assign(model.rng, rng)
    assert.equal([limited.memory.buffers, limited.memory.inUse], [before.buffers, before.inUse])
    step(tried, tried.batch(8 * i, 8))
  }
  for (const { optimizer } of [calm, tried]) optimizer.synchronize()
  assert.equal(await bitsOf(model), await bitsOf(calm.model))
  for (const device of [reference, limited]) device.close()
})

test('an optimizer step that finds no memory, wherever in it, changes nothing', async () => {
  const [calm, tried] = [await parts(gpu, 1), await parts(gpu, 1)]
  const from = gpu.from.bind(gpu)
  let refusals = 0
  for (let i = 0; i < 3; i++) {
    step(calm, calm.batch(8 * i, 8))
    scope(() => tried.model.loss(tried.batch(8 * i, 8)).backward())
    const { buffers } = gpu.memory
    for (let allowed = 0, done = false; !done; allowed++) {
      let left = allowed
      gpu.from = data => {
        if (left-- === 0) throw new OutOfMemoryError('no room')
        return from(data)
      }
      try {
        tried.optimizer.step({ maxGradNorm: 1 })
        done = true
      } catch (error) {
        assert.instance(error, OutOfMemoryError)
        assert.is(gpu.memory.buffers, buffers)
        assert.is(tried.optimizer.stepCount, i)
        refusals++
      } finally {
        gpu.from = from
      }
    }
    tried.optimizer.zeroGrad()
  }
  assert.ok(refusals >= 3, `${refusals} refusals`)
  for (const { optimizer } of [calm, tried]) optimizer.synchronize()
  assert.equal(await bitsOf(tried.model), await bitsOf(calm.model))
  for (const { optimizer, model } of [calm, tried]) {
    optimizer.dispose()
    model.free()
  }
})

test.after(() => {
  for (const device of [gpu, other]) device.close()
})
test.run()
