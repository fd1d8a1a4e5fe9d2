// Training on rows that are not all in memory.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTrainerConfig, type TrainerConfig } from '../../src/config/index.ts'
import {
  type Dataset,
  isStreamed,
  loadDataset,
  openDataset,
  type StreamedDataset,
} from '../../src/data/index.ts'
import { ConfigError, DataError } from '../../src/errors.ts'
import { createModel, parseRunConfig } from '../../src/models/index.ts'
import { Trainer, type TrainerOptions } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { refused } from '../support/refused.ts'
import { bitsOf } from '../support/small-run.ts'
import { newFolder, writeParts } from '../support/streams.ts'

const gpu = await openTestGpu()
const folder = await writeParts()
const JSON_MODEL = {
  architecture: 'TabularModel',
  features_config: {
    user: { dtype: 'categorical', vocab_size: 100_000, embedding_size: 4 },
    kind: { dtype: 'categorical', vocab_size: 7, embedding_size: 4 },
    depth: { dtype: 'numerical' },
  },
  mlp_config: [{ hidden_size: 8, activation_function: 'ReLU', dropout_p: 0.1 }],
}
const { trainer: _, ...modelConfig } = parseRunConfig(JSON_MODEL, 'the test')
const { inputs } = createModel(modelConfig)
const memory = 40_000
const streamed = (await openDataset(folder, { inputs, memory })) as StreamedDataset
const whole = await loadDataset(folder, { inputs })

const SETTINGS: TrainerConfig = {
  num_train_epochs: 2,
  per_device_train_batch_size: 128,
  gradient_accumulation_steps: 2,
  learning_rate: 1e-2,
  eval_steps: null,
  save_steps: 3,
  logging_steps: 2,
  load_best_model_at_end: false,
  seed: 3,
}

async function run(
  train: Dataset | StreamedDataset,
  {
    stopAt,
    from,
    settings,
    ...options
  }: { stopAt?: number; from?: boolean; settings?: TrainerConfig } & Partial<TrainerOptions>,
) {
  const model = createModel(modelConfig).to(gpu, { seed: 5 })
  const rows: number[] = []
  const loss = model.loss.bind(model)
  const config = parseTrainerConfig({ ...SETTINGS, ...settings }, 'the test')
  try {
    const trainer = new Trainer({ model, config, train, ...options })
    let seen = 0
    model.loss = batch => {
      rows.push(...batch.rows)
      if (model.training && ++seen === stopAt) trainer.interrupt()
      return loss(batch)
    }
    const state = await trainer.train({ resumeFromCheckpoint: from ?? false })
    return { bits: await bitsOf(model), rows, state, interrupted: trainer.interrupted }
  } finally {
    model.free()
  }
}

test('an epoch trains on every row once, in an order of its own', async () => {
  assert.ok(isStreamed(streamed))
  const { rows, state } = await run(streamed, {})
  assert.is(state.global_step, 16)
  const all = Array.from({ length: whole.length }, (_, i) => i)
  for (const epoch of [0, 1])
    assert.equal(
      rows.slice(epoch * whole.length, (epoch + 1) * whole.length).sort((a, b) => a - b),
      all,
    )
  assert.not.equal(rows.slice(0, whole.length), rows.slice(whole.length))
})

test('in the order of the files, a stream trains to the bits of rows in memory', async () => {
  const settings = { shuffle: false }
  const [a, b] = [await run(streamed, { settings }), await run(whole, { settings })]
  assert.equal(a.rows, b.rows)
  assert.equal(a.bits, b.bits)
  assert.equal(a.state.log_history, b.state.log_history)
})

test('an interrupted run goes on in mid-epoch to the row and to the bit', async () => {
  const straight = await run(streamed, { output: newFolder() })
  const output = newFolder()
  const parts: number[] = []
  for (const [i, stopAt] of [5, 8, 9].entries()) {
    const part = await run(streamed, { output, stopAt, from: i > 0 })
    assert.ok(part.interrupted)
    parts.push(...part.rows)
  }
  // Another process opens the files anew.
  const again = (await openDataset(folder, { inputs, memory })) as StreamedDataset
  const last = await run(again, { output, from: true })
  assert.equal([...parts, ...last.rows], straight.rows)
  assert.equal(last.bits, straight.bits)
  assert.equal(last.state.log_history, straight.state.log_history)
})

test('a run does not go on in another order, nor with other files', async () => {
  const output = newFolder()
  await run(streamed, { output, stopAt: 3 })
  const other = /would come in another order; a run can only go on with the memory it began with/
  await refused(
    () => run(whole, { output, from: true }),
    DataError,
    /all in memory, and were streamed in windows of/,
    other,
  )
  const more = await openDataset(folder, { inputs, memory: memory + 2000 })
  await refused(() => run(more, { output, from: true }), DataError, other)
  const copy = await writeParts()
  const fresh = await openDataset(copy, { inputs, memory })
  await refused(() => run(fresh, { output, from: true }), DataError, /has changed since training began/)
  const memoryRun = newFolder()
  await run(whole, { output: memoryRun, stopAt: 3 })
  await refused(() => run(streamed, { output: memoryRun, from: true }), DataError, /and were all in memory/)
})

test('a file that goes in mid-epoch ends the run with its name, and what was saved goes on once it is back', async () => {
  const output = newFolder()
  const copy = await writeParts()
  const data = (await openDataset(copy, { inputs, memory })) as StreamedDataset
  const callbacks = [
    {
      onSave() {
        for (const i of [0, 2, 3, 4, 5]) rmSync(join(copy, `part-${i}.parquet`), { force: true })
      },
    },
  ]
  await refused(
    () => run(data, { output, callbacks, settings: { save_steps: 1 } }),
    DataError,
    /part-\d\.parquet: row group \d: no such file or folder/,
  )
})

test('what a stream cannot do is refused before the first step', async () => {
  const settings = { per_device_train_batch_rows: 64 }
  await refused(
    () => run(streamed, { settings }),
    ConfigError,
    /per_device_train_batch_rows is 64, and train is a stream/,
  )
  await refused(
    () => run(whole, { evaluation: streamed as unknown as Dataset }),
    DataError,
    /Trainer: evaluation is a stream, expected rows in memory, from loadDataset\(\)/,
  )
})

test.run()
