// The example configurations are read, and are the models that they say they are.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { demoModels, notebookModels } from '../../src/cli/demo-models.ts'
import { readTrainingConfig } from '../../src/cli/training-config.ts'
import type { FeatureSizes, ResolvedTrainingConfig } from '../../src/config/index.ts'
import { writeSyntheticRaw } from '../../src/datasets/index.ts'
import { preprocessKdd } from '../../src/datasets/kdd/index.ts'
import { createModel } from '../../src/models/index.ts'

const FOLDER = 'examples/configs'
const read = (name: string) => readTrainingConfig(join(FOLDER, name))

/** Trained values of each file's model; the first two are the notebook's. */
const PARAMETERS: Record<string, number> = {
  'kdd_text_tabular.json': 143_602_190,
  'kdd_text_only.json': 129_285_890,
  'demo_text_tabular.json': 123_782,
}

test('every example is read, and has its number of parameters', async () => {
  assert.equal(readdirSync(FOLDER).sort(), Object.keys(PARAMETERS).sort())
  for (const [name, parameters] of Object.entries(PARAMETERS)) {
    const { trainer, ...config } = await read(name)
    assert.is(createModel(config).numParameters(), parameters, name)
    assert.is(trainer.seed, 42)
  }
})

/** What preprocessing finds in the demo's raw data. */
async function demoSizes(): Promise<FeatureSizes> {
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-examples-'))
  const rows = 30_000
  await writeSyntheticRaw({ folder, rows, seed: 0 })
  const { features } = await preprocessKdd({ input: folder, output: folder, rows, seed: 0 })
  rmSync(folder, { recursive: true })
  return features
}

test("the demo's example is the demo's model", async () => {
  const { text_tabular } = demoModels(await demoSizes(), { seed: 42 })
  const { trainer, ...model } = await read('demo_text_tabular.json')
  const { trainer: demo, ...same } = text_tabular
  assert.equal(model, same)
  const rates = ['num_train_epochs', 'learning_rate', 'encoder_learning_rate', 'lr_scheduler_type'] as const
  for (const name of rates) assert.is(trainer[name], demo[name])
})

test("the notebook's examples are the experiment's models", async () => {
  const [tabular, text] = (await Promise.all(
    ['kdd_text_tabular.json', 'kdd_text_only.json'].map(read),
  )) as unknown as [ResolvedTrainingConfig, ResolvedTrainingConfig]
  const { features_config, pretrained_model_config: encoder, num_labels } = tabular
  const sizes = {
    // The data's own part: embedding sizes are the experiment's to know.
    features_config: Object.fromEntries(
      Object.entries(features_config).map(([name, feature]) => [
        name,
        feature.dtype === 'categorical' ? { dtype: feature.dtype, vocab_size: feature.vocab_size } : feature,
      ]),
    ) as FeatureSizes['features_config'],
    vocab_size: encoder.vocab_size,
    pad_token_id: encoder.pad_token_id,
    num_labels,
  }
  const pair = notebookModels(sizes, { seed: 42 })
  assert.equal(pair.text_tabular, tabular)
  assert.equal(pair.text_only, text)
})

test.run()
