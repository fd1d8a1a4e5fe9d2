// What goes on from a checkpoint is the model that saved it: a difference is refused by key, with both values.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ModelConfig, parseModelConfig, parseTrainerConfig } from '../../src/config/index.ts'
import { loadDataset } from '../../src/data/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import type { Inputs } from '../../src/inputs.ts'
import { createModel } from '../../src/models/index.ts'
import { Trainer } from '../../src/train/index.ts'
import { files, modelJson, TRAINER } from '../support/small-run.ts'

const gpu = await openGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-resume-model-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

const BASE = {
  ...modelJson,
  mlp_config: [{ ...modelJson.mlp_config[0], normalization_function: 'LayerNorm' }],
} as unknown as ModelConfig
const output = join(folder, 'run')
const checkpoint = join(output, 'checkpoint-1')
const SETTINGS = { ...TRAINER, max_steps: 1, eval_steps: 1, save_steps: 1 }

interface Change {
  model?: ModelConfig
  settings?: object
  /** What the model reads, where it is not what its configuration says. */
  inputs?: Partial<Inputs>
  freeze?: string[]
}

/** Goes on from the checkpoint, a step further unless told otherwise; what it warned of. */
async function goOn(
  from: string | false,
  { model: json = BASE, settings = {}, inputs, freeze = [] }: Change = {},
) {
  const config = parseModelConfig(json, 'the test')
  const model = createModel(config).to(gpu, { seed: 5 })
  Object.assign(model.inputs, inputs)
  const reading = { inputs: model.inputs }
  const warnings: string[] = []
  model.freeze(...freeze)
  try {
    const trainer = new Trainer({
      model,
      config: parseTrainerConfig({ ...SETTINGS, ...(from ? { max_steps: 2 } : {}), ...settings }, 'the test'),
      train: await loadDataset(files.train, reading),
      evaluation: await loadDataset(files.test, reading),
      ...(from ? {} : { output }),
      onWarning: text => warnings.push(text),
    })
    await trainer.train({ resumeFromCheckpoint: from })
  } finally {
    model.free()
  }
  return warnings.filter(text => !text.startsWith('max_steps'))
}

async function refused(change: Change): Promise<string> {
  try {
    await goOn(checkpoint, change)
  } catch (error) {
    assert.is((error as Error).name, 'ConfigError', (error as Error).stack)
    return (error as Error).message
  }
  throw new Error('it went on')
}

const encoder = BASE.pretrained_model_config
const layer = BASE.mlp_config![0]!
const withEncoder = (more: object) =>
  ({ ...BASE, pretrained_model_config: { ...encoder, ...more } }) as ModelConfig
const withLayer = (more: object) => ({ ...BASE, mlp_config: [{ ...layer, ...more }] }) as ModelConfig

test('the same model goes on without a word', async () => {
  await goOn(false)
  assert.equal(await goOn(checkpoint), [])
  // Written in other words.
  assert.equal(
    await goOn(checkpoint, {
      model: withEncoder({
        model_type: 'distilbert',
        activation: 'gelu',
        n_heads: 2,
        initializer_range: 0.5,
      }),
    }),
    [],
  )
})

test('what decides the mathematics is refused by key, naming both values', async () => {
  const cases: [ModelConfig, RegExp][] = [
    [
      withEncoder({ n_heads: 4 }),
      /^pretrained_model_config\.n_heads is 4, and 2 in .*checkpoint-1; a run can only go on/,
    ],
    [withEncoder({ activation: 'relu' }), /^pretrained_model_config\.activation is "relu", and "gelu" in/],
    [withEncoder({ pad_token_id: 7 }), /^pretrained_model_config\.pad_token_id is 7, and \d+ in/],
    [withEncoder({ max_position_embeddings: 33 }), /max_position_embeddings is 33, and 32 in/],
    [withEncoder({ dim: 24 }), /^pretrained_model_config\.dim is 24, and 12 in/],
    [
      withLayer({ activation_function: 'GELU' }),
      /^mlp_config\[0\]\.activation_function is "GELU", and "ReLU" in/,
    ],
    [
      withLayer({ activation_function: null }),
      /^mlp_config\[0\]\.activation_function is null, and "ReLU" in/,
    ],
    [
      withLayer({ normalization_function_kwargs: { eps: 1e-3 } }),
      /^mlp_config\[0\]\.normalization_function_kwargs\.eps is 0\.001, and 0\.00001 in/,
    ],
    [{ ...BASE, mlp_config: null }, /^mlp_config is null, and \[/],
    [{ ...BASE, num_labels: 3 }, /^num_labels is 3, and 2 in/],
    [{ ...BASE, architecture: 'DistilBertForSequenceClassification' }, /^architecture is "Dist/],
  ]
  for (const [model, says] of cases) assert.match(await refused({ model }), says)
})

test('columns in another order, or others of the same kind, are refused', async () => {
  const features = Object.entries(BASE.features_config)
  const named = (dtype: string) =>
    features.filter(([, feature]) => feature.dtype === dtype).map(([name]) => name)
  const swapped = (a: string, b: string) => {
    const swap = (name: string) => (name === a ? b : name === b ? a : name)
    return {
      ...BASE,
      features_config: Object.fromEntries(
        features.map(([name]) => [swap(name), BASE.features_config[swap(name)]!]),
      ),
    } as ModelConfig
  }
  for (const dtype of ['token_id', 'categorical']) {
    const [a, b] = named(dtype)
    assert.match(
      await refused({ model: swapped(a!, b!) }),
      new RegExp(`^features_config\\[\\d\\]\\.name is "(${a}|${b})", and "(${a}|${b})" in`),
    )
  }
  // Through the declaration alone.
  const { text, labels } = createModel(BASE).inputs
  const [a, b] = named('token_id')
  assert.match(
    await refused({ inputs: { text: { ...text, columns: text.columns.toReversed() } } }),
    new RegExp(
      `^what is read as 'text' is ${b} \\(token_id\\), ${a} \\(token_id\\), and ${a} .*, ${b} .* in `,
    ),
  )
  assert.match(
    await refused({ inputs: { labels: { ...labels, column: 'click' } } }),
    /^what is read as 'labels' is click, and label in/,
  )
})

test('dropout and rates may change, which is said', async () => {
  assert.equal(
    (await goOn(checkpoint, { model: withLayer({ dropout_p: 0.9 }) })).map(text => text.split(' in ')[0]),
    ['mlp_config[0].dropout_p is 0.9, and 0.2'],
  )
  const warnings = await goOn(checkpoint, {
    model: withEncoder({ dropout: 0.5 }),
    settings: { learning_rate: 0.01 },
  })
  assert.is(warnings.length, 2)
  assert.match(
    warnings[0]!,
    /^pretrained_model_config\.dropout is 0\.5, and 0\.2 in .*: the run goes on with 0\.5$/,
  )
  assert.match(warnings[1]!, /^learning_rate is 0\.01, and 0\.005 in/)
})

test('other parameters to train are refused', async () => {
  assert.match(
    await refused({ settings: { freeze: ['bert.*'] } }),
    /^freeze is \["bert\.\*"\], and not set in/,
  )
  let message = ''
  await goOn(checkpoint, { freeze: ['bert.*'] }).catch(error => {
    message = error.message
  })
  assert.match(
    message,
    /optimizer\.safetensors: tensor 'state\.bert\..*' is of a parameter that is not trained now/,
  )
})

test('another metric looks again at the evaluations there were', async () => {
  const warnings = await goOn(checkpoint, { settings: { metric_for_best_model: 'roc_auc' } })
  assert.match(warnings.join(), /^metric_for_best_model is "roc_auc", and null in/)
})

test('a checkpoint of a version that did not note the columns goes on', async () => {
  const path = join(checkpoint, 'resume.json')
  const { reads, ...older } = JSON.parse(readFileSync(path, 'utf8'))
  assert.equal(Object.keys(Object.fromEntries(reads)), ['text', 'categorical', 'numerical', 'labels'])
  const text = JSON.stringify(older)
  writeFileSync(path, text)
  const sums = join(checkpoint, 'checksums.json')
  const all = JSON.parse(readFileSync(sums, 'utf8'))
  all['resume.json'] = { bytes: text.length, sha256: createHash('sha256').update(text).digest('hex') }
  writeFileSync(sums, JSON.stringify(all))
  assert.equal(await goOn(checkpoint), [])
})

test.run()
