// A model of every kind of layer the training of the notebook's has, on a device, and a batch for it.
import type { FeatureBatch } from '../../src/config/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import { generator, seededInts } from './gpu.ts'

const PAD = 40

/** Texts of 1 to `S` tokens, two ids and a number a row. */
export function smallBatch(B = 6, S = 9, seed = 3): FeatureBatch {
  const next = generator(seed)
  const inputIds = Array.from({ length: B }, () => {
    const length = 1 + Math.floor(next() * S)
    return Array.from({ length: S }, (_, s) => (s < length ? Math.floor(next() * PAD) : PAD))
  })
  return collatePadded(
    {
      inputIds,
      categorical: { gender: seededInts(B, seed + 1, 4), user: seededInts(B, seed + 2, 50) },
      numerical: { depth: Float32Array.from({ length: B }, next) },
      labels: seededInts(B, seed + 3, 2),
    },
    { padTokenId: PAD },
  )
}

/** Two encoder layers and an MLP of two, with dropout. */
export function smallModel(gpu: Gpu): { model: TextTabularModel; batch: FeatureBatch } {
  const dropout = 0.1
  const model = new TextTabularModel({
    features_config: {
      title: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
      gender: { dtype: 'categorical', vocab_size: 4, embedding_size: 4 },
      user: { dtype: 'categorical', vocab_size: 50, embedding_size: 8 },
    },
    mlp_config: [24, 12].map(hidden_size => ({
      hidden_size,
      dropout_p: dropout,
      activation_function: 'ReLU',
      normalization_function: 'LayerNorm',
    })),
    num_labels: 2,
    pretrained_model_config: {
      vocab_size: PAD + 1,
      dim: 16,
      n_heads: 2,
      n_layers: 2,
      hidden_dim: 32,
      max_position_embeddings: 12,
      pad_token_id: PAD,
      dropout,
      attention_dropout: dropout,
    },
  }).to(gpu, { seed: 1 })
  return { model, batch: smallBatch() }
}
