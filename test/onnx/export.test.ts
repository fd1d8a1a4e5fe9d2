// What onnxruntime makes of an exported model is what `predict` says, of every architecture that is written and every way to fuse.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FUSION_METHODS } from '../../src/config/index.ts'
import * as kg from '../../src/index.ts'
import { exportOnnx, onnxArchitectures } from '../../src/onnx/index.ts'
import { predict } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { datasetOf, feedsOf, rowsOf, runOnnx, scramble } from '../support/onnx.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-onnx-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

const DISTILBERT = {
  vocab_size: 41,
  pad_token_id: 40,
  dim: 12,
  n_heads: 2,
  n_layers: 2,
  hidden_dim: 20,
  max_position_embeddings: 24,
}
const BERT = {
  model_type: 'bert',
  vocab_size: 41,
  pad_token_id: 3,
  hidden_size: 12,
  num_attention_heads: 3,
  num_hidden_layers: 2,
  intermediate_size: 20,
  max_position_embeddings: 24,
} as const
const TABLE = {
  city: { dtype: 'categorical', vocab_size: 7, embedding_size: 20 },
  maker: { dtype: 'categorical', vocab_size: 5, embedding_size: 3 },
  seller: { dtype: 'categorical', vocab_size: 5, share_embedding: 'maker' },
  price: { dtype: 'numerical' },
  depth: { dtype: 'numerical' },
}
const TEXTS = { query: { dtype: 'token_id' }, title: { dtype: 'token_id' } }
const MLP = [
  { hidden_size: 9, activation_function: 'ReLU', normalization_function: 'LayerNorm', dropout_p: 0.3 },
  { hidden_size: 6, activation_function: 'GELU' },
]
const SIDES = { query: ['query'], ad: ['title'] }
const RANKED = { lists: ['session'], label: 'click', loss: 'listwise' }

const CONFIGS: Record<string, object> = {
  'text beside table': {
    features_config: { ...TEXTS, ...TABLE },
    mlp_config: MLP,
    pretrained_model_config: DISTILBERT,
  },
  'BERT of ReLU, three classes, no MLP': {
    features_config: { ...TEXTS, ...TABLE },
    num_labels: 3,
    pretrained_model_config: { ...BERT, hidden_act: 'relu' },
  },
  'text alone': { features_config: TEXTS, pretrained_model_config: BERT },
  classifier: {
    architecture: 'DistilBertForSequenceClassification',
    features_config: TEXTS,
    pretrained_model_config: DISTILBERT,
  },
  table: { architecture: 'TabularModel', features_config: TABLE, mlp_config: MLP },
  'ranker of a table': { architecture: 'TabularRanker', features_config: TABLE, mlp_config: MLP, ...RANKED },
  'cross encoder': {
    architecture: 'CrossEncoder',
    features_config: TEXTS,
    pretrained_model_config: { ...BERT, vocab_size: 110, pad_token_id: 0 },
    loss: 'two_tower',
    heads: { skip: {}, dwell: {} },
  },
  'twin, cosine': {
    architecture: 'TwinModel',
    features_config: TEXTS,
    sides: SIDES,
    downscale: 6,
    pretrained_model_config: DISTILBERT,
  },
  'twins apart, residual of maxima, first token': {
    architecture: 'TwinModel',
    features_config: TEXTS,
    sides: SIDES,
    tied: false,
    pooling: 'first_token',
    crossing: { type: 'residual', batch_norm: true },
    pretrained_model_config: DISTILBERT,
  },
  'twin, residual of both, three classes': {
    architecture: 'TwinModel',
    features_config: TEXTS,
    sides: SIDES,
    num_labels: 3,
    crossing: { type: 'residual', merge: 'concat', hidden_size: 5 },
    pretrained_model_config: BERT,
  },
  'late fusion': {
    architecture: 'LateFusionModel',
    features_config: { ...TEXTS, ...TABLE },
    sides: SIDES,
    mlp_config: MLP,
    pretrained_model_config: DISTILBERT,
  },
}
for (const method of FUSION_METHODS) {
  const plain = method === 'text_only' || method === 'concat'
  // A table wider than the text and one narrower, so that MLPs come and go.
  for (const [width, embedding_size] of plain
    ? [['narrow', 3] as const]
    : ([
        ['narrow', 3],
        ['wide', 28],
      ] as const))
    CONFIGS[`${method}, ${width}`] = {
      features_config: { ...TEXTS, ...TABLE, city: { ...TABLE.city, embedding_size } },
      fusion: plain ? method : { method, mlp_division: 2 },
      pretrained_model_config: DISTILBERT,
    }
}

const made = async (config: object, seed = 1) =>
  scramble(kg.createModel(structuredClone(config) as never).to(gpu, { seed }), seed) as Promise<kg.Model>

let files = 0
const fresh = () => join(folder, `${files++}.onnx`)

/** Largest difference from what the model predicts of fresh rows. */
async function worst(
  model: kg.Model,
  path: string,
  rows: ReturnType<typeof rowsOf>,
  extra = 0,
): Promise<number> {
  const data = await datasetOf(model, rows)
  const out = await runOnnx(path, feedsOf(model, rows, extra))
  const wanted: Record<string, Float32Array> = {}
  const scores = await predict(model, data)
  if ('probabilities' in out) {
    wanted.probabilities = scores
    wanted.logits = await predict(model, data, { output: 'logits' })
  } else {
    const names = model.scoreNames()
    for (const [k, name] of names.entries())
      if (name !== null) wanted[name] = scores.filter((_, i) => i % names.length === k)
  }
  assert.equal(Object.keys(out).sort(), Object.keys(wanted).sort())
  const differences = Object.entries(wanted).flatMap(([name, values]) => {
    assert.is(out[name]!.length, values.length, name)
    return Array.from(values, (value, i) => Math.abs(value - out[name]![i]!) / Math.max(1, Math.abs(value)))
  })
  assert.ok(differences.length >= rows.length)
  return Math.max(...differences)
}

for (const [name, config] of Object.entries(CONFIGS))
  test(`${name}: within 1e-5 of predict`, async () => {
    const model = await made(config)
    const { path, bytes, architecture, inputs } = await exportOnnx(model, fresh())
    assert.is(readFileSync(path).length, bytes)
    assert.is(architecture, model.config.architecture)
    for (const [seed, rows, extra] of [
      [5, 17, 0],
      [6, 1, 2],
    ] as const) {
      const given = rowsOf(model, rows, seed)
      const error = await worst(model, path, given, extra)
      assert.ok(error <= 1e-5, `differs by ${error}`)
      assert.equal(Object.keys(feedsOf(model, given)).sort(), inputs.map(one => one.name).sort())
    }
    model.free()
  })

test('every architecture that is said to be written is tried', () => {
  const tried = new Set(
    Object.values(CONFIGS).map(config => kg.createModel(config as never).config.architecture),
  )
  assert.equal([...tried].sort(), onnxArchitectures().sort())
})

test.run()
