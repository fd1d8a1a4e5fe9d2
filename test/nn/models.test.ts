import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ModelConfig } from '../../src/config/index.ts'
import { DistilBertForSequenceClassification, TextTabularModel } from '../../src/models/index.ts'

/** The notebook's own configuration. */
export const NOTEBOOK: ModelConfig = {
  features_config: {
    tokenized_title: { dtype: 'token_id' },
    tokenized_query: { dtype: 'token_id' },
    depth: { dtype: 'numerical' },
    gender: { dtype: 'categorical', vocab_size: 4, embedding_size: 4 },
    age: { dtype: 'categorical', vocab_size: 7, embedding_size: 4 },
    advertiser_id: { dtype: 'categorical', vocab_size: 12193, embedding_size: 32 },
    user_id: { dtype: 'categorical', vocab_size: 202547, embedding_size: 64 },
  },
  mlp_config: [1024, 512, 256].map(hidden_size => ({
    hidden_size,
    dropout_p: 0.1,
    activation_function: 'ReLU',
    normalization_function: 'LayerNorm',
  })),
  num_labels: 2,
  pretrained_model_config: { vocab_size: 148598, n_layers: 2, pad_token_id: 148597 },
}

test('the notebook’s models have 143,602,190 and 129,285,890 parameters, counted without a device', () => {
  assert.is(new TextTabularModel(NOTEBOOK).numParameters(), 143_602_190)
  assert.is(new DistilBertForSequenceClassification(NOTEBOOK).numParameters(), 129_285_890)
})

test('printing shows the module tree as PyTorch does', () => {
  assert.is(
    String(new TextTabularModel(NOTEBOOK)),
    `TextTabularModel(
  (bert): DistilBertModel(
    (embeddings): Embeddings(
      (word_embeddings): Embedding(148598, 768, padding_idx=148597)
      (position_embeddings): Embedding(512, 768)
      (LayerNorm): LayerNorm((768,), eps=1e-12, elementwise_affine=True)
      (dropout): Dropout(p=0.1, inplace=False)
    )
    (transformer): Transformer(
      (layer): ModuleList(
        (0-1): 2 x TransformerBlock(
          (attention): MultiHeadSelfAttention(
            (dropout): Dropout(p=0.1, inplace=False)
            (q_lin): Linear(in_features=768, out_features=768, bias=True)
            (k_lin): Linear(in_features=768, out_features=768, bias=True)
            (v_lin): Linear(in_features=768, out_features=768, bias=True)
            (out_lin): Linear(in_features=768, out_features=768, bias=True)
          )
          (sa_layer_norm): LayerNorm((768,), eps=1e-12, elementwise_affine=True)
          (ffn): FFN(
            (dropout): Dropout(p=0.1, inplace=False)
            (lin1): Linear(in_features=768, out_features=3072, bias=True)
            (lin2): Linear(in_features=3072, out_features=768, bias=True)
            (activation): GELUActivation()
          )
          (output_layer_norm): LayerNorm((768,), eps=1e-12, elementwise_affine=True)
        )
      )
    )
  )
  (categorical_embeddings): ModuleDict(
    (gender_embedding): Embedding(4, 4)
    (age_embedding): Embedding(7, 4)
    (advertiser_id_embedding): Embedding(12193, 32)
    (user_id_embedding): Embedding(202547, 64)
  )
  (mlp): Sequential(
    (0): Linear(in_features=873, out_features=1024, bias=True)
    (1): LayerNorm((1024,), eps=1e-05, elementwise_affine=True)
    (2): ReLU()
    (3): Dropout(p=0.1, inplace=False)
    (4): Linear(in_features=1024, out_features=512, bias=True)
    (5): LayerNorm((512,), eps=1e-05, elementwise_affine=True)
    (6): ReLU()
    (7): Dropout(p=0.1, inplace=False)
    (8): Linear(in_features=512, out_features=256, bias=True)
    (9): LayerNorm((256,), eps=1e-05, elementwise_affine=True)
    (10): ReLU()
    (11): Dropout(p=0.1, inplace=False)
  )
  (head): Linear(in_features=256, out_features=2, bias=True)
)`,
  )
})

test('parameters have the names and shapes of PyTorch’s state dict', () => {
  for (const name of ['tiny', 'textonly', 'nomlp']) {
    const { config, model } = JSON.parse(readFileSync(`test/golden/${name}/case.json`, 'utf8'))
    const ours = {
      ...NOTEBOOK,
      features_config: config.features,
      mlp_config: config.mlp,
      num_labels: config.num_labels,
      pretrained_model_config: config.bert,
    }
    const made =
      model === 'TextOnly' ? new DistilBertForSequenceClassification(ours) : new TextTabularModel(ours)
    const bytes = readFileSync(`test/golden/${name}/weights.safetensors`)
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString()) as Record<
      string,
      { shape: number[] }
    >
    delete header.__metadata__
    const shapes = Object.fromEntries(
      [...made.namedParameters()].map(([key, { shape }]) => [key, [...shape]]),
    )
    assert.equal(shapes, Object.fromEntries(Object.entries(header).map(([key, { shape }]) => [key, shape])))
  }
})

test('a shared embedding is one table', () => {
  const model = new TextTabularModel({
    ...NOTEBOOK,
    features_config: {
      title: { dtype: 'token_id' },
      seller: { dtype: 'categorical', vocab_size: 31, embedding_size: 5 },
      buyer: { dtype: 'categorical', vocab_size: 31, share_embedding: 'seller' },
    },
    mlp_config: null,
  })
  assert.equal(
    [...model.namedParameters()].map(([name]) => name).filter(name => name.startsWith('categorical')),
    ['categorical_embeddings.seller_embedding.weight'],
  )
  assert.equal(model.head.weight.shape, [2, 768 + 10])
})

test('a model without a device says so', () => {
  const model = new TextTabularModel(NOTEBOOK)
  assert.throws(() => model.gpu, /call model\.to\(gpu\) first/)
  assert.throws(() => model.head.weight.view, /call model\.to\(gpu\) first/)
})

test.run()
