// Masked-language pretraining on the files of a click model, and the click model that starts from it.
// Waits for CI: it trains five small models
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter } from '../../src/autograd/index.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { createModel, type TextTabularModel } from '../../src/models/index.ts'
import { loadEncoder } from '../../src/train/index.ts'
import { readSafetensors } from '../support/read-safetensors.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-pretraining-'))
test.after(() => rmSync(folder, { recursive: true }))
const data = await writeSyntheticKdd({ folder, trainRows: 90, testRows: 40, vocabSize: 60, seed: 3 })
const V = data.vocabSize
const click = {
  features_config: data.features_config,
  mlp_config: [{ hidden_size: 8, activation_function: 'ReLU' }],
  pretrained_model_config: {
    vocab_size: V,
    pad_token_id: data.padTokenId,
    dim: 12,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 16,
    max_position_embeddings: 32,
  },
}
const trainer = {
  num_train_epochs: 1,
  per_device_train_batch_size: 16,
  gradient_accumulation_steps: 2,
  encoder_learning_rate: 1e-2,
  learning_rate: 1e-2,
  eval_steps: 1,
  save_steps: 1,
  save_total_limit: null,
  load_best_model_at_end: false,
  seed: 4,
}

async function train(out: string, config: object, ...more: string[]) {
  const path = join(folder, `${out}.json`)
  writeFileSync(path, JSON.stringify(config))
  const files = ['--config', path, '--train', data.train, '--eval', data.test, '--out', join(folder, out)]
  const told = await kernelgrad('train', ...files, '--json', ...more)
  assert.is(told.code, 0, told.err)
  assert.not.match(told.err, /left aside/, 'nothing of the head that pretraining alone needs')
  return JSON.parse(told.out.trimEnd().split('\n').at(-1)!)
}
const pretrain = (settings: object) => ({
  architecture: 'DistilBertForMaskedLM',
  ...click,
  trainer: { ...trainer, ...settings },
})
const weights = (run: string) => readFileSync(join(folder, run, 'model.safetensors'))

test('it trains, resumes to the bit, evaluates with the same draws, and predicts a row each', async () => {
  const { metrics, steps } = await train('whole', pretrain({ num_train_epochs: 2 }))
  assert.is(steps, 6)
  assert.equal(Object.keys(metrics), ['loss', 'accuracy', 'perplexity'])
  assert.ok(Math.abs(Math.exp(metrics.loss) / metrics.perplexity - 1) < 1e-12)
  await train('parts', pretrain({ num_train_epochs: 2, max_steps: 4 }))
  rmSync(join(folder, 'parts', 'model.safetensors'))
  await train('parts', pretrain({ num_train_epochs: 2 }), '--resume')
  assert.equal(weights('parts'), weights('whole'))
  const model = ['--model', join(folder, 'whole'), '--data', data.test]
  const { out } = await kernelgrad('evaluate', ...model, '--json')
  assert.equal(JSON.parse(out).metrics, metrics)
  const said = await kernelgrad('predict', ...model, '--out', join(folder, 'p.parquet'))
  assert.is(said.code, 0, said.err)
})

test('a click model starts from its encoder: without the row of the mask, the padding row zero', async () => {
  const config = { ...click, use_pretrained: true, model_name: join(folder, 'whole') }
  const started = await train('click', { ...config, trainer: { ...trainer, max_steps: 1 } })
  assert.ok(started.metrics.loss > 0)
  const gpu = await openGpu()
  const model = createModel(click as object as { architecture: string }).to(gpu) as TextTabularModel
  await loadEncoder(model.bert, join(folder, 'whole'))
  const saved = readSafetensors(join(folder, 'whole', 'model.safetensors'))
  for (const [name, parameter] of model.bert.namedParameters()) {
    const values = await readParameter(parameter)
    const expected = Float32Array.from(saved.get(`distilbert.${name}`)!.data).slice(0, values.length)
    if (name === 'embeddings.word_embeddings.weight') {
      assert.is(saved.get(`distilbert.${name}`)!.shape[0], V + 1)
      expected.fill(0, data.padTokenId * 12, (data.padTokenId + 1) * 12)
    }
    assert.equal(values, expected, name)
  }
  gpu.close()
})

test('one configuration pretrains and goes on from it: as two commands do, and as a run that is stopped in either', async () => {
  const first = {
    features_config: click.features_config,
    pretrained_model_config: click.pretrained_model_config,
    trainer: { ...trainer, max_steps: 4 },
  }
  const second = { ...trainer, max_steps: 3 }
  await train('apart', { architecture: 'DistilBertForMaskedLM', ...first })
  const started = { use_pretrained: true, model_name: join(folder, 'apart') }
  await train('after', { ...click, ...started, trainer: second })
  const { pretrained_model_config: _, ...own } = click as Record<string, unknown>
  const together = (masked: object, clicks: object) => ({
    ...own,
    pretrain: { ...first, trainer: { ...first.trainer, ...masked }, train: data.train, eval: [data.test] },
    trainer: { ...second, ...clicks },
  })
  await train('one', together({}, {}))
  assert.equal(weights('one'), weights('after'))
  assert.equal(weights('one/pretrain'), weights('apart'))
  // Stopped in the first run, as far as its checkpoints tell, and in the second.
  await train('stopped', together({}, {}))
  for (const name of [
    'model.safetensors',
    'pretrain/model.safetensors',
    'pretrain/checkpoint-4',
    'pretrain/checkpoint-3',
  ])
    rmSync(join(folder, 'stopped', name), { recursive: true })
  for (const step of [1, 2, 3]) rmSync(join(folder, 'stopped', `checkpoint-${step}`), { recursive: true })
  await train('stopped', together({}, {}), '--resume')
  assert.equal(weights('stopped'), weights('one'))
  for (const name of ['model.safetensors', 'checkpoint-3', 'checkpoint-2'])
    rmSync(join(folder, 'stopped', name), { recursive: true })
  await train('stopped', together({}, {}), '--resume')
  assert.equal(weights('stopped'), weights('one'))
  for (const [config, said, ...more] of [
    [together({ seed: 5 }, {}), /pretrain is not what .*training_args\.json says/, '--resume'],
    [{ ...together({}, {}), ...started }, /has both pretrain and model_name/],
    [{ ...together({}, {}), pretrain: { ...first } }, /pretrain\.train is missing/],
    [
      { ...together({}, {}), pretrain: { ...first, train: 3 } },
      /pretrain\.train is 3, expected a file's name/,
    ],
    [{ ...together({}, {}), pretrain: 'x' }, /pretrain is "x", expected a training configuration/],
    [{ ...together({}, {}), pretrained_model_config: { dim: 24 } }, /bert has dim 24, and pretrain 12/],
    [together({}, { learning_rat: 1 }), /unknown key "?learning_rat/],
  ] as [object, RegExp, ...string[]][]) {
    writeFileSync(join(folder, 'bad.json'), JSON.stringify(config))
    const out = more.length ? 'stopped' : 'bad'
    const files = ['--config', join(folder, 'bad.json'), '--train', data.train, '--out', join(folder, out)]
    const { code, err } = await kernelgrad('train', ...files, ...more)
    assert.is(code, 1, err)
    assert.match(err, said)
    assert.not(existsSync(join(folder, 'bad')))
  }
})

test('what cannot be is refused by key', async () => {
  const refused = async (changes: object) => {
    writeFileSync(join(folder, 'bad.json'), JSON.stringify({ ...pretrain({}), ...changes }))
    const files = ['--config', join(folder, 'bad.json'), '--train', data.train, '--out', join(folder, 'bad')]
    const { code, err } = await kernelgrad('train', ...files)
    assert.is(code, 1)
    return err
  }
  assert.match(await refused({ mlm_probability: 1.5 }), /mlm_probability: expected a number in/)
  assert.match(await refused({ mask_token_id: V }), new RegExp(`mask_token_id: ${V}, expected a token below`))
  assert.match(
    await refused({ special_token_ids: [1, V + 3] }),
    /special_token_ids: \d+, expected a token below/,
  )
  assert.match(
    await refused({ features_config: { price: { dtype: 'numerical' } } }),
    /no feature of dtype 'token_id'/,
  )
  assert.match(await refused({ mlm_probabilty: 0.2 }), /unknown key "?mlm_probabilty/)
  assert.match(
    await refused({ trainer: { ...trainer, metric_for_best_model: 'roc_auc' } }),
    /metric_for_best_model is 'roc_auc', expected one of loss, accuracy, perplexity/,
  )
})

test.run()
