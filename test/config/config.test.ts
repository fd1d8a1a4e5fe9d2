import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encoderShape, parseEncoderConfig, parseModelConfig } from '../../src/config/index.ts'
import { readJson, writeFileAtomic, writeJson } from '../../src/data/files.ts'
import { ConfigError, DataError } from '../../src/errors.ts'
import { changed, layer, notebook, refusal } from './notebook.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-config-'))
test.after(() => rmSync(folder, { recursive: true }))

async function rejection(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => assert.unreachable('expected a rejection') as never,
    error => error,
  )
}

test('the configuration of the notebook is read and completed', () => {
  const config = parseModelConfig(notebook(), 'config.json')
  assert.is(config.architecture, 'TextTabularModel')
  assert.equal(Object.keys(config.features_config), Object.keys(notebook().features_config))
  assert.equal(config.pretrained_model_config, {
    vocab_size: 148598,
    dim: 768,
    n_heads: 12,
    n_layers: 2,
    hidden_dim: 3072,
    max_position_embeddings: 512,
    pad_token_id: 148597,
    dropout: 0.1,
    attention_dropout: 0.1,
    activation: 'gelu',
    initializer_range: 0.02,
    seq_classif_dropout: 0.2,
    qa_dropout: 0.1,
    sinusoidal_pos_embds: false,
  })
  assert.equal(config.mlp_config![1], {
    ...layer(512),
    activation_function_kwargs: {},
    normalization_function_kwargs: { eps: 1e-5 },
  })
  assert.equal(parseModelConfig(config, 'again'), config, 'a resolved configuration reads back as itself')
})

test('what may be left out has its default', () => {
  const config = parseModelConfig(
    { features_config: { t: { dtype: 'text' } }, pretrained_model_config: { vocab_size: 10 } },
    'c',
  )
  assert.is(config.mlp_config, null)
  assert.is(config.num_labels, 2)
  assert.is(config.use_pretrained, false)
  assert.not('model_name' in config)
  const [bare] = parseModelConfig(changed(['mlp_config'], [{ hidden_size: 3 }]), 'c').mlp_config!
  assert.is(bare!.dropout_p, 0)
  assert.is(bare!.activation_function, null)
  assert.is(bare!.normalization_function, null)
})

test('the config.json of a saved encoder is read, its bookkeeping left aside', () => {
  const saved = {
    architectures: ['DistilBertModel'],
    model_type: 'distilbert',
    vocab_size: 9,
    dim: 24,
    dtype: 'float32',
  }
  assert.is(encoderShape(parseEncoderConfig({ ...saved, bos_token_id: null }, 'c')).dim, 24)
  assert.match(
    refusal(() => parseEncoderConfig({ ...saved, hidden_size: 3 }, 'c')),
    /unknown key "hidden_size"/,
  )
})

const bad: [string, (string | number)[], unknown, RegExp][] = [
  [
    'unknown key at the top',
    ['feature_config'],
    {},
    /^c\.json: unknown key "feature_config"; allowed keys: architecture, features_config, mlp_config/,
  ],
  [
    'unknown key in a layer',
    ['mlp_config', 1, 'hidden'],
    3,
    /^c\.json: mlp_config\[1\]: unknown key "hidden"; allowed keys: hidden_size, dropout_p/,
  ],
  [
    'unknown key in the encoder',
    ['pretrained_model_config', 'layers'],
    3,
    /^c\.json: pretrained_model_config: unknown key "layers"; allowed keys: model_type, vocab_size, max_position_embeddings/,
  ],
  [
    'unknown key in a feature',
    ['features_config', 'age', 'size'],
    3,
    /features_config\.age: unknown key "size"; allowed keys: dtype, vocab_size, embedding_size, share_embedding/,
  ],
  ['missing features', ['features_config'], undefined, /c\.json: missing key "features_config"/],
  ['missing encoder', ['pretrained_model_config'], undefined, /missing key "pretrained_model_config"/],
  [
    'missing vocab_size',
    ['pretrained_model_config', 'vocab_size'],
    undefined,
    /pretrained_model_config: missing key "vocab_size"/,
  ],
  [
    'missing hidden_size',
    ['mlp_config', 0, 'hidden_size'],
    undefined,
    /mlp_config\[0\]: missing key "hidden_size"/,
  ],
  ['features as a list', ['features_config'], [], /features_config: expected an object of features/],
  [
    'a feature that is no object',
    ['features_config', 'age'],
    'categorical',
    /features_config\.age: expected an object whose dtype/,
  ],
  [
    'unknown dtype',
    ['features_config', 'age', 'dtype'],
    'float',
    /features_config\.age: dtype: expected one of 'token_id', 'text', 'numerical', 'categorical', got "float"/,
  ],
  [
    'embedding size missing',
    ['features_config', 'age', 'embedding_size'],
    undefined,
    /feature 'age' has no embedding_size/,
  ],
  [
    'embedding size of 0',
    ['features_config', 'age', 'embedding_size'],
    0,
    /features_config\.age: embedding_size: expected an integer of at least 1, got 0/,
  ],
  [
    'owner missing',
    ['features_config', 'age', 'share_embedding'],
    'nobody',
    /features_config: 'nobody', named in share_embedding of feature 'age'/,
  ],
  [
    'token vocabulary above the encoder',
    ['features_config', 'tokenized_title', 'vocab_size'],
    148599,
    /'tokenized_title' has vocab_size 148599.*148598/,
  ],
  ['dim not divisible', ['pretrained_model_config', 'n_heads'], 7, /dim 768 is not divisible by n_heads 7/],
  [
    'padding id out of range',
    ['pretrained_model_config', 'pad_token_id'],
    148598,
    /pad_token_id 148598 is not below vocab_size 148598/,
  ],
  [
    'padding id negative',
    ['pretrained_model_config', 'pad_token_id'],
    -1,
    /pad_token_id: expected an integer of at least 0, got -1/,
  ],
  [
    'dropout of 1',
    ['pretrained_model_config', 'dropout'],
    1,
    /dropout: expected a number in \[0, 1\), got 1/,
  ],
  [
    'dropout below 0',
    ['mlp_config', 2, 'dropout_p'],
    -0.1,
    /mlp_config\[2\]\.dropout_p: expected a number in \[0, 1\), got -0\.1/,
  ],
  ['dropout NaN', ['mlp_config', 2, 'dropout_p'], Number.NaN, /got NaN/],
  ['dropout as text', ['mlp_config', 2, 'dropout_p'], '0.1', /got "0\.1"/],
  [
    'fractional size',
    ['mlp_config', 2, 'hidden_size'],
    1.5,
    /hidden_size: expected an integer of at least 1, got 1\.5/,
  ],
  [
    'unknown activation',
    ['mlp_config', 0, 'activation_function'],
    'Swish',
    /activation_function: expected one of 'ReLU', 'GELU', got "Swish"/,
  ],
  [
    'approximate GELU',
    ['mlp_config', 0, 'activation_function_kwargs'],
    { approximate: 'tanh' },
    /only the exact GELU/,
  ],
  [
    'unknown normalization',
    ['mlp_config', 0, 'normalization_function'],
    'BatchNorm1d',
    /expected one of 'LayerNorm', got "BatchNorm1d"/,
  ],
  [
    'unknown encoder activation',
    ['pretrained_model_config', 'activation'],
    'silu',
    /activation: expected one of 'gelu', 'relu', got "silu"/,
  ],
  [
    'sinusoidal positions',
    ['pretrained_model_config', 'sinusoidal_pos_embds'],
    true,
    /sinusoidal position embeddings are not supported/,
  ],
  ['one label', ['num_labels'], 1, /num_labels: expected an integer of at least 2, got 1/],
  [
    'unknown architecture',
    ['architecture'],
    'Bert',
    /architecture: expected one of 'TextTabularModel', 'DistilBertForSequenceClassification'/,
  ],
  ['layers as an object', ['mlp_config'], {}, /mlp_config: expected a list of layers/],
  [
    'no text at all',
    ['features_config'],
    { a: { dtype: 'numerical' } },
    /no feature of dtype 'token_id' or 'text'/,
  ],
]
for (const [name, path, value, message] of bad) {
  test(`refused: ${name}`, () =>
    assert.match(
      refusal(() => parseModelConfig(changed(path, value), 'c.json')),
      message,
    ))
}

test('refused: a configuration that is no object', () => {
  for (const json of [null, [], 3, 'x']) {
    assert.match(
      refusal(() => parseModelConfig(json, 'c.json')),
      /^c\.json: expected an object, got /,
    )
  }
})

test('a feature named like an object member is kept', () => {
  const features = JSON.parse('{"t": {"dtype": "text"}, "constructor": {"dtype": "numerical"}}')
  const config = parseModelConfig(
    { features_config: features, pretrained_model_config: { vocab_size: 9 } },
    'c',
  )
  assert.equal(Object.keys(config.features_config), ['t', 'constructor'])
})

test('JSON files: missing, broken, a folder', async () => {
  const at = (name: string) => join(folder, name)
  const missing = await rejection(readJson(at('missing.json')))
  assert.instance(missing, ConfigError)
  assert.match(missing.message, /cannot read .*missing\.json: no such file/)
  writeFileSync(at('broken.json'), '{"a": 1,}')
  assert.match((await rejection(readJson(at('broken.json')))).message, /broken\.json is not valid JSON: .+/)
  assert.match((await rejection(readJson(folder))).message, /it is a folder/)
  writeFileSync(at('bom.json'), '\uFEFF{"a": 1}')
  assert.equal(await readJson(at('bom.json')), { a: 1 })
})

test('a failed write leaves the old file and no temporary', async () => {
  const own = mkdtempSync(join(folder, 'atomic-'))
  const path = join(own, 'state.json')
  await writeJson(path, { step: 1 })
  const fault = await rejection(
    writeFileAtomic(path, async file => {
      await file.write('half')
      throw new Error('power cut')
    }),
  )
  assert.is(fault.message, 'power cut')
  assert.is(readFileSync(path, 'utf8'), '{\n  "step": 1\n}\n')
  assert.equal(readdirSync(own), ['state.json'])
  // A path below a regular file cannot be written, whoever runs the test.
  const refused = await rejection(writeJson(join(path, 'x.json'), {}))
  assert.instance(refused, DataError)
  assert.match(refused.message, /cannot write .*x\.json: part of the path is a file/)
})

test.run()
