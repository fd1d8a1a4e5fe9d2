// TextTabularModel with each way to join text and table: configurations, training, resuming, saving, and bad input.
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readRows } from '../../src/cli/inputs.ts'
import {
  FUSION_METHODS,
  type FusionConfig,
  type FusionMethod,
  parseModelConfig,
  parseTrainerConfig,
  type TrainerConfig,
} from '../../src/config/index.ts'
import { createModel, TextTabularModel } from '../../src/models/index.ts'
import { BatchNorm1d } from '../../src/nn/index.ts'
import { loadModel, predict, saveModel, Trainer } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { files, folder, modelJson, TRAINER } from '../support/small-run.ts'

const gpu = await openTestGpu()
const GATING = 'gating_on_cat_and_num_feats_then_sum'
// Wide enough beside a text of 12 for MLPs with hidden layers.
const wide = (fusion: unknown) => {
  const features = Object.entries(modelJson.features_config).map(([name, feature]) => [
    name,
    'embedding_size' in feature ? { ...feature, embedding_size: 12 } : feature,
  ])
  return { ...modelJson, mlp_config: null, features_config: Object.fromEntries(features), fusion }
}
const parse = (fusion: unknown) => parseModelConfig(wide(fusion), 'm.json')

test("'concat' is what a configuration without the key is, in every form", () => {
  const plain = parse(undefined)
  assert.not('fusion' in plain)
  assert.equal(parse('concat'), plain)
  assert.equal(parse({ method: 'concat' }), plain)
  const [one, other] = [undefined, 'concat'].map(fusion => new TextTabularModel(parse(fusion)))
  assert.equal(one!.comparable(), other!.comparable())
  assert.equal(
    [...one!.namedState()].map(([name]) => name),
    [...other!.namedState()].map(([name]) => name),
  )
})

test('a method by name has its defaults, and is read again from what is saved', () => {
  const mlp = { batch_norm: true, mlp_division: 4, dropout: 0.1 }
  assert.equal(parse('text_only').fusion, { method: 'text_only' })
  assert.equal(parse(GATING).fusion, { method: GATING, ...mlp, gating_beta: 0.2 })
  for (const method of FUSION_METHODS) {
    const config = parse(method)
    assert.equal(parseModelConfig(JSON.parse(JSON.stringify(config)), 'again'), config)
  }
  assert.not.equal(
    new TextTabularModel(parse(GATING)).comparable(),
    new TextTabularModel(parse({ method: GATING, gating_beta: 0.3 })).comparable(),
  )
})

test('text_only reads no column of the table, and has no table', () => {
  const { inputs, categorical_embeddings } = new TextTabularModel(parse('text_only'))
  assert.equal([inputs.categorical.columns, inputs.numerical.columns], [{}, []])
  assert.equal([...categorical_embeddings.namedParameters()], [])
})

for (const [fusion, message] of [
  [
    'gating',
    /m\.json: fusion: method: expected one of 'text_only', 'concat', 'mlp_on_categorical_then_concat', .*, got "gating"/,
  ],
  [7, /m\.json: fusion: method: expected one of/],
  [{ batch_norm: true }, /m\.json: fusion: .*method/],
  [
    { method: 'concat', batch_norm: true },
    /fusion: batch_norm is true, which method 'concat' does not take: it has no MLP/,
  ],
  [{ method: 'text_only', dropout: 0.1 }, /dropout is 0\.1, which method 'text_only' does not take/],
  [
    { method: 'attention_on_cat_and_numerical_feats', gating_beta: 0.2 },
    /gating_beta is 0\.2, .* only 'gating_on_cat/,
  ],
  [{ method: GATING, mlp_division: 1 }, /mlp_division: expected an integer of at least 2, got 1/],
  [{ method: GATING, dropout: 1 }, /dropout: expected a number in \[0, 1\), got 1/],
  [{ method: GATING, gating_beta: -1 }, /gating_beta: expected a number of at least 0, got -1/],
  [{ method: GATING, bn: true }, /unknown key "?bn"?; allowed keys: method, batch_norm/],
] as const)
  test(`refused: fusion ${JSON.stringify(fusion)}`, () => {
    assert.throws(() => parse(fusion), message)
  })

test('a method that needs a table is refused without one, and a model that reads none has no methods', () => {
  const texts = Object.fromEntries(
    Object.entries(modelJson.features_config).filter(([, { dtype }]) => dtype === 'token_id'),
  )
  for (const method of FUSION_METHODS) {
    const make = () => parseModelConfig({ ...modelJson, features_config: texts, fusion: method }, 'm.json')
    if (method === 'text_only' || method === 'concat') make()
    else assert.throws(make, /m\.json: fusion: method '.*' needs a .* feature, and there is none/)
  }
  const { mlp_config: _, ...json } = wide('text_only')
  assert.throws(
    () => parseModelConfig({ ...json, architecture: 'DistilBertForSequenceClassification' }, 'm.json'),
    /fusion: DistilBertForSequenceClassification reads no table/,
  )
})

const rowsOf = async (file: string, fusion: unknown) =>
  readRows([file], createModel(parse(fusion)), parseTrainerConfig(TRAINER, 'the test'))
let runs = 0
/** Two windows of two micro-batches. */
const SHORT: TrainerConfig = { max_steps: 2, gradient_accumulation_steps: 2, save_steps: 2, eval_steps: 2 }
/** Narrower by halves, so that MLPs have hidden layers. */
const halving = (method: FusionMethod) =>
  method === 'text_only' || method === 'concat' ? method : { method, mlp_division: 2 }

/** A run of some steps, interrupted while the model computes micro-batch `stopAt`. */
async function train(
  fusion: unknown,
  settings: TrainerConfig,
  { stopAt, output, resume = false }: { stopAt?: number; output?: string; resume?: boolean } = {},
) {
  const model = createModel<TextTabularModel>(parse(fusion)).to(gpu, { seed: 5 })
  const warnings: string[] = []
  const trainer = new Trainer({
    model,
    config: parseTrainerConfig({ ...TRAINER, ...SHORT, ...settings }, 'the test'),
    train: await rowsOf(files.train, fusion),
    evaluation: await rowsOf(files.test, fusion),
    onWarning: text => warnings.push(text),
    ...(output ? { output } : {}),
  })
  let seen = 0
  const loss = model.loss.bind(model)
  model.loss = batch => {
    if (model.training && ++seen === stopAt) trainer.interrupt()
    return loss(batch)
  }
  const state = await trainer.train({ resumeFromCheckpoint: resume })
  return { model, state, warnings, seen }
}

const bits = async (model: TextTabularModel) =>
  [...(await model.stateDict())].map(
    ([name, { data }]) => `${name} ${Buffer.from(data.buffer).toString('base64')}`,
  )

const OFTEN = [
  'individual_mlps_on_cat_and_numerical_feats_then_concat',
  'attention_on_cat_and_numerical_feats',
  GATING,
]

for (const [i, method] of FUSION_METHODS.entries()) {
  const fp16 = i % 2 === 0
  const name = `${method}, fp16 ${fp16}: learns, resumes to the bit, and scores from its folder as before`
  if (!process.env.CI && !OFTEN.includes(method)) {
    console.log(`skip: ${method} trains three times; set CI=1 to run it`)
    test.skip(name, () => {})
    continue
  }
  test(name, async () => {
    const fusion = halving(method)
    const straight = await train(fusion, { fp16 })
    const output = join(folder, `fusion-${runs++}`)
    const first = await train(fusion, { fp16 }, { stopAt: 2, output })
    const resumed = await train(fusion, { fp16 }, { output, resume: true })
    assert.equal(await bits(resumed.model), await bits(straight.model))
    assert.equal(resumed.state.log_history, straight.state.log_history)
    assert.ok(straight.state.log_history.every(entry => Object.values(entry).every(Number.isFinite)))
    const counts = [...straight.model.namedModules()].flatMap(([, module]) =>
      module instanceof BatchNorm1d ? [module.num_batches_tracked.value] : [],
    )
    const normalized = !['text_only', 'concat', GATING].includes(method)
    assert.is(counts.length > 0, normalized)
    // What was recorded to time kernels, before the first step, counts for nothing.
    for (const count of counts) assert.is(count, 4)
    const data = await rowsOf(files.test, fusion)
    const saved = join(folder, `fusion-${runs++}`)
    await saveModel(straight.model, saved)
    const loaded = await loadModel<TextTabularModel>(gpu, saved)
    assert.equal(loaded.config, straight.model.config)
    assert.equal(await predict(loaded, data), await predict(straight.model, data))
    for (const { model } of [straight, first, resumed]) model.free()
    loaded.free()
  })
}

test('parts() tells what fusion gives, and a frozen combiner stays as it is', async () => {
  const fusion: FusionConfig = { method: GATING, batch_norm: false, dropout: 0 }
  const { model } = await train(fusion, { warmup_ratio: 0, freeze: ['tabular_combiner.*'] })
  const fresh = createModel<TextTabularModel>(parse(fusion)).to(gpu, { seed: 5 })
  const own = async (of: TextTabularModel) =>
    (await bits(of)).filter(line => line.startsWith('tabular_combiner.'))
  assert.ok((await own(model)).length > 5)
  assert.equal(await own(model), await own(fresh))
  assert.not.equal(await bits(model), await bits(fresh))
  for (const one of [model, fresh]) one.free()
})

test('a row that would be a batch by itself is left out where batches are normalized, and said so', async () => {
  const fusion = { method: 'mlp_on_categorical_then_concat', mlp_division: 2 }
  const settings = {
    per_device_train_batch_size: 149,
    gradient_accumulation_steps: 1,
    max_steps: 2,
    save_steps: null,
  }
  const { model, warnings, seen } = await train(fusion, settings)
  assert.is(seen, 2)
  assert.is(
    warnings.filter(text =>
      /150 rows in batches of 149 leave one .* is left out, another one each epoch/.test(text),
    ).length,
    1,
  )
  model.free()
  const plain = await train({ ...fusion, batch_norm: false }, settings)
  assert.is(plain.seen, 2)
  assert.equal(plain.warnings, [])
  plain.model.free()
  let message = ''
  await train(fusion, { per_device_train_batch_size: 1 }).catch(error => (message = error.message))
  assert.match(message, /per_device_train_batch_size is 1, and the model has batch normalization/)
})

test.run()
