// The example configurations are read, and are the models that they say they are.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { demoModels } from '../../src/cli/demo-models.ts'
import { readTrainingConfig } from '../../src/cli/inputs.ts'
import { writeSyntheticKdd } from '../../src/data/index.ts'
import { createModel } from '../../src/train/index.ts'

const FOLDER = 'examples/configs'
const read = (name: string) => readTrainingConfig(join(FOLDER, name))

/** Trained values of each file's model; the first two are the notebook's. */
const PARAMETERS: Record<string, number> = {
  'kdd_text_tabular.json': 143_602_190,
  'kdd_text_only.json': 129_285_890,
  'demo_text_tabular.json': 137_990,
}

test('every example is read, and has its number of parameters', async () => {
  assert.equal(readdirSync(FOLDER).sort(), Object.keys(PARAMETERS).sort())
  for (const [name, parameters] of Object.entries(PARAMETERS)) {
    const { trainer, ...config } = await read(name)
    assert.is(createModel(config).numParameters(), parameters, name)
    assert.is(trainer.seed, 42)
  }
})

test("the demo's example is the demo's model", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-examples-'))
  const { text_tabular } = demoModels(await writeSyntheticKdd({ folder, trainRows: 1, testRows: 1 }), 42)
  rmSync(folder, { recursive: true })
  const { trainer, ...model } = await read('demo_text_tabular.json')
  const { trainer: demo, ...same } = text_tabular!
  assert.equal(model, same)
  const rates = ['num_train_epochs', 'learning_rate', 'encoder_learning_rate', 'lr_scheduler_type'] as const
  for (const name of rates) assert.is(trainer[name], demo[name])
})

test.run()
