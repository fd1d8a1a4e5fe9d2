import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fillSizes, parseFeatureSizes, parseTrainingConfig } from '../../src/config/index.ts'
import { ConfigError } from '../../src/errors.ts'

const SIZES = {
  features_config: {
    tokenized_title: { dtype: 'token_id' },
    depth: { dtype: 'numerical' },
    gender: { dtype: 'categorical', vocab_size: 4 },
    user_id: { dtype: 'categorical', vocab_size: 31 },
  },
  vocab_size: 58,
  pad_token_id: 57,
  num_labels: 2,
  rows: { read: 100, train: 80, test: 9 },
  clicks: { train: 8, test: 1 },
  seed: 42,
}
const sizes = parseFeatureSizes(SIZES, 'features.json')
const fill = (config: unknown) => fillSizes(config, sizes, 'model.json', 'features.json')

const CONFIG = {
  features_config: {
    tokenized_title: { dtype: 'token_id' },
    user_id: { dtype: 'categorical', embedding_size: 8 },
    gender: { dtype: 'categorical', embedding_size: 4, vocab_size: 4 },
    bid: { dtype: 'numerical' },
  },
  pretrained_model_config: { dim: 8, n_heads: 2 },
}

test('what a configuration leaves out is filled, and it keeps its order and its own features', () => {
  const before = structuredClone(CONFIG)
  const config = parseTrainingConfig(fill(CONFIG), 'model.json')
  assert.equal(CONFIG, before, 'the argument is left alone')
  assert.equal(Object.entries(config.features_config), [
    ['tokenized_title', { dtype: 'token_id' }],
    ['user_id', { dtype: 'categorical', embedding_size: 8, vocab_size: 31 }],
    ['gender', { dtype: 'categorical', embedding_size: 4, vocab_size: 4 }],
    ['bid', { dtype: 'numerical' }],
  ])
  const { vocab_size, pad_token_id } = config.pretrained_model_config
  assert.equal([vocab_size, pad_token_id, config.num_labels], [58, 57, 2])
})

const contradictions: Record<string, [change: object, says: string]> = {
  'a category count': [
    { features_config: { ...CONFIG.features_config, gender: { dtype: 'categorical', vocab_size: 5 } } },
    'features_config.gender.vocab_size is 5, but features.json says 4',
  ],
  'a dtype': [
    { features_config: { ...CONFIG.features_config, user_id: { dtype: 'numerical' } } },
    'features_config.user_id.dtype is "numerical", but features.json says "categorical"',
  ],
  'the vocabulary': [
    { pretrained_model_config: { vocab_size: 57 } },
    'pretrained_model_config.vocab_size is 57, but features.json says 58',
  ],
  'the padding id': [
    { pretrained_model_config: { pad_token_id: 0 } },
    'pretrained_model_config.pad_token_id is 0, but features.json says 57',
  ],
  'the classes': [{ num_labels: 3 }, 'num_labels is 3, but features.json says 2'],
}
for (const [name, [change, says]] of Object.entries(contradictions)) {
  test(`contradiction: ${name}`, () => {
    assert.throws(
      () => fill({ ...CONFIG, ...change }),
      (error: Error) =>
        error instanceof ConfigError && error.message === `model.json: ${says}; leave it out to take that`,
    )
  })
}

test('a ranker gets the sizes of its word table, and no classes', () => {
  const { features_config } = CONFIG
  const filled = (encoder: object) => fill({ features_config, encoder }) as Record<string, unknown>
  assert.equal(filled({ type: 'cnn' }).encoder, { type: 'cnn', vocab_size: 58, pad_token_id: 57 })
  assert.equal(filled({ type: 'bert' }).encoder, { type: 'bert' })
  assert.not('num_labels' in filled({ type: 'cnn' }))
  assert.throws(
    () => filled({ type: 'lstm', vocab_size: 9 }),
    /encoder\.vocab_size is 9, but features\.json says 58/,
  )
})

test('a file that is not features.json is refused, and a broken configuration is left to its parser', () => {
  const refused = (change: object, says: RegExp) =>
    assert.throws(
      () => parseFeatureSizes({ ...SIZES, ...change }, 'f.json'),
      (error: Error) => error instanceof ConfigError && says.test(error.message),
    )
  refused({ vocab_size: 1.5 }, /^f\.json: vocab_size: expected an integer of at least 2, got 1\.5$/)
  refused({ words: 3 }, /^f\.json: unknown key "words"; allowed keys: /)
  refused(
    { features_config: { a: { dtype: 'word' } } },
    /^f\.json: features_config\.a\.dtype: expected one of/,
  )
  for (const broken of [null, 3, [], { features_config: [1] }, { features_config: { gender: 7 } }])
    assert.throws(
      () => parseTrainingConfig(fill(broken), 'model.json'),
      (error: Error) => error instanceof ConfigError,
    )
})

test.run()
