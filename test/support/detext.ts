// DeText in every part at once: fields of both kinds, numbers, ids, and each encoder.
import type { DetextConfig } from '../../src/models/index.ts'

export const PAD = 20
export const WORDS = { vocab_size: PAD + 1, pad_token_id: PAD, max_positions: 9, word_size: 5 }
export const BERT = {
  vocab_size: PAD + 1,
  pad_token_id: PAD,
  dim: 12,
  n_heads: 2,
  n_layers: 1,
  hidden_dim: 20,
}
export const CONFIG: DetextConfig = {
  features_config: {
    search: { dtype: 'token_id' },
    profile: { dtype: 'token_id' },
    member: { dtype: 'categorical', vocab_size: 6, embedding_size: 3 },
    title: { dtype: 'token_id' },
    body: { dtype: 'token_id' },
    seller: { dtype: 'categorical', vocab_size: 7, embedding_size: 4 },
    price: { dtype: 'numerical' },
    age: { dtype: 'numerical' },
    shop: { dtype: 'categorical', vocab_size: 8, embedding_size: 2 },
    city: { dtype: 'categorical', vocab_size: 5, embedding_size: 2 },
    place: { dtype: 'categorical', vocab_size: 4 },
  },
  query: 'search',
  user_fields: ['profile', 'member'],
  doc_fields: ['title', 'seller', 'body'],
  shallow: ['place', 'shop'],
  sparse: ['shop', 'city'],
  dense_mean: [2, -1],
  dense_std: [0.5, 4],
  similarities: ['diff', 'inner', 'concat', 'hadamard'],
  hidden_sizes: [6, 5],
  encoder: { type: 'cnn', ...WORDS, windows: [1, 3], filters: 2 },
  lists: ['session', 'turn'],
}
export const ENCODERS: Record<string, Partial<DetextConfig> & Pick<DetextConfig, 'encoder'>> = {
  cnn: { encoder: CONFIG.encoder },
  lstm: { encoder: { type: 'lstm', ...WORDS, units: 6, layers: 2, bidirectional: true } },
  'one-way lstm': { encoder: { type: 'lstm', ...WORDS, units: 7 } },
  bert: {
    encoder: { type: 'bert', units: 5, dropout: 0 },
    pretrained_model_config: { ...BERT, dropout: 0, attention_dropout: 0 },
  },
}
