// The models whose training step is timed, and random batches for them.

import type { FeatureBatch, FeaturesConfig, ModelConfig } from '../src/config/index.ts'
import { collatePadded } from '../src/data/index.ts'
import { generator, permutation, rowLengths } from '../src/testing/index.ts'

export type StepSize = 'tiny' | 'small' | 'full' | 'long' | 'long-narrow' | 'long-wide'

/** The configurations with long texts. */
export const LONG: StepSize[] = ['long-narrow', 'long', 'long-wide']

/** Rows of a batch, the length they are padded to, steps timed unless told otherwise, and the model. */
export interface StepModel {
  B: number
  S: number
  /** No row is shorter; 1 unless given. */
  least?: number
  steps: number
  /** The word id that means no token. */
  pad: number
  config: ModelConfig
}

function model(
  encoder: { vocab: number; dim: number; heads: number; layers?: number | undefined },
  [advertisers, users]: [number, number],
  dropout: boolean,
): ModelConfig {
  const p = dropout ? 0.1 : 0
  const features: FeaturesConfig = {
    tokens: { dtype: 'token_id' },
    depth: { dtype: 'numerical' },
    gender: { dtype: 'categorical', vocab_size: 4, embedding_size: 4 },
    age: { dtype: 'categorical', vocab_size: 7, embedding_size: 4 },
    advertiser_id: { dtype: 'categorical', vocab_size: advertisers, embedding_size: 32 },
    user_id: { dtype: 'categorical', vocab_size: users, embedding_size: 64 },
  }
  return {
    features_config: features,
    num_labels: 2,
    mlp_config: [1024, 512, 256].map(hidden_size => ({
      hidden_size,
      dropout_p: p,
      activation_function: 'ReLU',
      normalization_function: 'LayerNorm',
    })),
    pretrained_model_config: {
      vocab_size: encoder.vocab,
      pad_token_id: encoder.vocab - 1,
      dim: encoder.dim,
      hidden_dim: 4 * encoder.dim,
      n_heads: encoder.heads,
      n_layers: encoder.layers ?? 2,
      dropout: p,
      attention_dropout: p,
    },
  }
}

const MODELS: Record<
  StepSize,
  Omit<StepModel, 'config' | 'pad'> & {
    vocab: number
    dim: number
    heads: number
    /** 2 unless given. */
    layers?: number
    categories: [number, number]
  }
> = {
  tiny: { B: 16, S: 16, steps: 20, vocab: 2000, dim: 64, heads: 4, categories: [1000, 5000] },
  small: { B: 32, S: 24, steps: 10, vocab: 20000, dim: 256, heads: 4, categories: [1000, 5000] },
  full: { B: 64, S: 24, steps: 8, vocab: 148598, dim: 768, heads: 12, categories: [12193, 202547] },
  long: {
    B: 16,
    S: 512,
    least: 256,
    steps: 3,
    vocab: 20000,
    dim: 256,
    heads: 4,
    categories: [1000, 5000],
  },
  'long-narrow': {
    B: 64,
    S: 128,
    least: 64,
    steps: 5,
    vocab: 20000,
    dim: 64,
    heads: 4,
    categories: [1000, 5000],
  },
  'long-wide': {
    B: 8,
    S: 128,
    least: 64,
    steps: 3,
    vocab: 30522,
    dim: 768,
    heads: 12,
    layers: 6,
    categories: [1000, 5000],
  },
}

/** `full` is the notebook's model, 143,602,190 parameters; `long` has texts of 256 to 512 tokens, the others of 64 to 128. */
export function stepModel(size: StepSize, { dropout = false } = {}): StepModel {
  const { vocab, dim, heads, layers, categories, ...batch } = MODELS[size]
  return { ...batch, pad: vocab - 1, config: model({ vocab, dim, heads, layers }, categories, dropout) }
}

/** A batch before it is packed: B rows of S ids, `pad` where there is no token. */
export interface PaddedRows {
  inputIds: number[][]
  categorical: Record<string, number[]>
  numerical: Record<string, number[]>
  labels: number[]
}

/**
 * A random batch. Row lengths are uniform, so that half of the positions are masked, and the same in every batch but for
 * their order. The label says whether the gender is 1, so that a loss can fall.
 */
export function paddedRows({ B, S, least = 1, pad, config }: StepModel, seed: number): PaddedRows {
  const next = generator(seed)
  const draw = (below: number) => Math.floor(next() * below)
  const lengths = rowLengths(B, S - least + 1, next).map(length => length + least - 1)
  const inputIds = lengths.map(length => Array.from({ length: S }, (_, s) => (s < length ? draw(pad) : pad)))
  const column = (below: number) => Array.from({ length: B }, () => draw(below))
  const categorical: Record<string, number[]> = {}
  for (const [name, feature] of Object.entries(config.features_config)) {
    if (feature.dtype === 'categorical') categorical[name] = column(feature.vocab_size)
  }
  categorical.gender = permutation(B, next).map(i => i % 4)
  const labels = categorical.gender.map(gender => Number(gender === 1))
  const numerical = { depth: Array.from({ length: B }, () => 1 + draw(3)) }
  return { inputIds, categorical, numerical, labels }
}

/** {@link paddedRows}, packed. */
export const randomBatch = (model: StepModel, seed: number): FeatureBatch =>
  collatePadded(paddedRows(model, seed), { padTokenId: model.pad })
