import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  checkFeatures,
  embeddingTableOf,
  type FeaturesConfig,
  namesByDtype,
  ownerOf,
} from '../../src/config/index.ts'
import { refusal } from './notebook.ts'

const FEATURES: FeaturesConfig = {
  tokenized_title: { dtype: 'token_id' },
  seller: { dtype: 'categorical', vocab_size: 31, embedding_size: 5 },
  depth: { dtype: 'numerical' },
  buyer: { dtype: 'categorical', vocab_size: 31, share_embedding: 'seller' },
  tokenized_query: { dtype: 'token_id' },
}

test('names come by dtype, in config order', () => {
  assert.equal(namesByDtype(FEATURES, 'token_id'), ['tokenized_title', 'tokenized_query'])
})

test('a shared table belongs to the feature it names', () => {
  assert.is(ownerOf(FEATURES, 'seller'), 'seller')
  assert.is(ownerOf(FEATURES, 'buyer'), 'seller')
  assert.equal(embeddingTableOf(FEATURES, 'buyer'), { owner: 'seller', vocabSize: 31, embeddingSize: 5 })
  checkFeatures(FEATURES)
})

test('a bad owner is named', () => {
  const share = (owner: string): FeaturesConfig => ({
    ...FEATURES,
    x: { dtype: 'categorical', vocab_size: 3, share_embedding: owner },
  })
  assert.match(
    refusal(() => ownerOf(share('nobody'), 'x')),
    /'nobody', named in share_embedding of feature 'x', is no feature.*seller, buyer/,
  )
  assert.match(
    refusal(() => ownerOf(share('depth'), 'x')),
    /'depth'.*dtype 'numerical', expected 'categorical'/,
  )
  assert.match(
    refusal(() => ownerOf(share('buyer'), 'x')),
    /'buyer'.*shares the table of 'seller' itself/,
  )
  assert.match(
    refusal(() => ownerOf(share('toString'), 'x')),
    /'toString'.*is no feature/,
  )
  assert.match(
    refusal(() => ownerOf(FEATURES, 'missing')),
    /feature 'missing' is no feature/,
  )
})

test('two features that share one another have no owner', () => {
  const ring: FeaturesConfig = {
    a: { dtype: 'categorical', vocab_size: 3, embedding_size: 2, share_embedding: 'b' },
    b: { dtype: 'categorical', vocab_size: 3, embedding_size: 2, share_embedding: 'a' },
  }
  assert.match(
    refusal(() => ownerOf(ring, 'a')),
    /shares the table of 'a' itself/,
  )
})

test('sizes that disagree with the shared table are errors', () => {
  const with_ = (x: FeaturesConfig[string]): FeaturesConfig => ({ ...FEATURES, x })
  const cat = { dtype: 'categorical', share_embedding: 'seller' } as const
  assert.match(
    refusal(() => checkFeatures(with_({ ...cat, vocab_size: 32 }))),
    /'x' has vocab_size 32.*31 rows/,
  )
  assert.match(
    refusal(() => checkFeatures(with_({ ...cat, vocab_size: 3, embedding_size: 4 }))),
    /'x' has embedding_size 4.*has 5/,
  )
  assert.match(
    refusal(() => checkFeatures(with_({ dtype: 'categorical', vocab_size: 3 }))),
    /'x' has no embedding_size/,
  )
})

test('an integer as a feature name is refused, since it would move to the front', () => {
  assert.match(
    refusal(() => checkFeatures({ ...FEATURES, 7: { dtype: 'numerical' } })),
    /feature '7'/,
  )
})

test.run()
