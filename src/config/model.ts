import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import { checkFeatures, FEATURE_DTYPES, type FeatureConfig, type FeaturesConfig } from './features.ts'
import {
  flag,
  integer,
  nonNegative,
  oneOf,
  parseStrict,
  positive,
  probability,
  strict,
  text,
} from './schema.ts'

export const ACTIVATION_FUNCTIONS = ['ReLU', 'GELU'] as const
export const NORMALIZATION_FUNCTIONS = ['LayerNorm'] as const
export const ENCODER_ACTIVATIONS = ['gelu', 'relu'] as const
export const ARCHITECTURES = ['TextTabularModel', 'DistilBertForSequenceClassification'] as const

const count = integer(1)

/**
 * Encoder settings under DistilBertConfig's names; only `vocab_size` has no default.
 * @see https://huggingface.co/docs/transformers/model_doc/distilbert#transformers.DistilBertConfig
 */
export type EncoderConfig = v.InferInput<typeof encoderSchema>
/** {@link EncoderConfig} with every default filled in. */
export type ResolvedEncoderConfig = v.InferOutput<typeof encoderSchema>
const encoderSchema = strict({
  vocab_size: count,
  dim: v.optional(count, 768),
  n_heads: v.optional(count, 12),
  n_layers: v.optional(count, 6),
  hidden_dim: v.optional(count, 3072),
  max_position_embeddings: v.optional(count, 512),
  pad_token_id: v.optional(integer(0), 0),
  dropout: v.optional(probability, 0.1),
  attention_dropout: v.optional(probability, 0.1),
  activation: v.optional(oneOf(ENCODER_ACTIVATIONS), 'gelu'),
  initializer_range: v.optional(nonNegative, 0.02),
  seq_classif_dropout: v.optional(probability, 0.2),
  qa_dropout: v.optional(probability, 0.1),
  sinusoidal_pos_embds: v.optional(
    v.literal(false, 'sinusoidal position embeddings are not supported, expected false'),
    false,
  ),
})

/** What transformers writes into every config.json and no model here reads. */
const BOOKKEEPING = [
  '_name_or_path',
  'add_cross_attention',
  'architectures',
  'bos_token_id',
  'dtype',
  'eos_token_id',
  'is_decoder',
  'model_type',
  'output_past',
  'tie_weights_',
  'tie_word_embeddings',
  'torch_dtype',
  'transformers_version',
  'use_cache',
]

const activationKwargs = strict({
  // PyTorch's own names and defaults; neither changes a value here.
  inplace: v.optional(flag),
  approximate: v.optional(v.literal('none', "only the exact GELU is supported, expected 'none'")),
})
const layerSchema = strict({
  hidden_size: count,
  dropout_p: v.optional(probability, 0),
  activation_function: v.nullish(oneOf(ACTIVATION_FUNCTIONS), null),
  activation_function_kwargs: v.nullish(activationKwargs, {}),
  normalization_function: v.nullish(oneOf(NORMALIZATION_FUNCTIONS), null),
  normalization_function_kwargs: v.nullish(strict({ eps: v.optional(positive, 1e-5) }), {}),
})
/** One MLP layer: Linear, then normalization, activation and dropout, each where given. */
export interface MlpLayerConfig {
  hidden_size: number
  dropout_p?: number
  /** Name of a torch.nn class: 'ReLU' or 'GELU'. */
  activation_function?: string | null
  activation_function_kwargs?: object | null
  /** Name of a torch.nn class: 'LayerNorm'. */
  normalization_function?: string | null
  normalization_function_kwargs?: { eps?: number } | null
}
/** {@link MlpLayerConfig} with every default filled in. */
export type ResolvedMlpLayerConfig = v.InferOutput<typeof layerSchema>

const featureSchemas = {
  token_id: strict({ dtype: v.literal('token_id'), vocab_size: v.optional(count) }),
  text: strict({ dtype: v.literal('text') }),
  numerical: strict({ dtype: v.literal('numerical') }),
  categorical: strict({
    dtype: v.literal('categorical'),
    vocab_size: count,
    embedding_size: v.optional(count),
    share_embedding: v.optional(text),
  }),
}

const modelEntries = {
  architecture: v.optional(oneOf(ARCHITECTURES), 'TextTabularModel'),
  features_config: v.unknown(),
  mlp_config: v.nullish(v.array(layerSchema, 'expected a list of layers or null'), null),
  num_labels: v.optional(integer(2), 2),
  model_name: v.optional(text),
  pretrained_model_config: v.unknown(),
  use_pretrained: v.optional(flag, false),
}
const modelSchema = strict(modelEntries)

/** The model configuration, under the notebook's keys. */
export interface ModelConfig {
  /** Default 'TextTabularModel'. */
  architecture?: (typeof ARCHITECTURES)[number]
  features_config: FeaturesConfig
  /** Layers between the concatenated features and the head; none when left out. */
  mlp_config?: MlpLayerConfig[] | null
  /** Number of classes, default 2. */
  num_labels?: number
  model_name?: string
  pretrained_model_config: EncoderConfig
  /** Start the encoder from the weights of `model_name`; default false. */
  use_pretrained?: boolean
}

/** {@link ModelConfig} with every default filled in. */
export interface ResolvedModelConfig extends ModelConfig {
  architecture: (typeof ARCHITECTURES)[number]
  mlp_config: ResolvedMlpLayerConfig[] | null
  num_labels: number
  pretrained_model_config: ResolvedEncoderConfig
  use_pretrained: boolean
}

/** A copy without the keys transformers adds to every saved configuration. */
function withoutBookkeeping(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
  return Object.fromEntries(Object.entries(json).filter(([key]) => !BOOKKEEPING.includes(key)))
}

/**
 * Reads encoder settings: a `pretrained_model_config`, or the config.json of a saved DistilBERT folder.
 * @throws ConfigError on an unknown key, a value out of range, or `dim` not divisible by `n_heads`.
 */
export function parseEncoderConfig(json: unknown, where: string): ResolvedEncoderConfig {
  const config = parseStrict(encoderSchema, withoutBookkeeping(json), where)
  const { dim, n_heads, pad_token_id, vocab_size } = config
  if (dim % n_heads) {
    throw new ConfigError(`${where}: dim ${dim} is not divisible by n_heads ${n_heads}`)
  }
  if (pad_token_id >= vocab_size) {
    throw new ConfigError(`${where}: pad_token_id ${pad_token_id} is not below vocab_size ${vocab_size}`)
  }
  return config
}

/**
 * Reads `features_config` and checks it as a whole.
 * @throws ConfigError naming the feature and the key.
 */
export function parseFeaturesConfig(json: unknown, where: string): FeaturesConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`${where}: expected an object of features by name`)
  }
  // Walked by hand: valibot's record drops names such as 'constructor', and silence would lose a column.
  const features = Object.fromEntries(
    Object.entries(json).map(([name, feature]): [string, FeatureConfig] => {
      const at = `${where}.${name}`
      const { dtype } = parseStrict(
        v.looseObject({ dtype: oneOf(FEATURE_DTYPES) }, missingDtype),
        feature,
        at,
      )
      return [name, parseStrict(featureSchemas[dtype], feature, at)]
    }),
  )
  try {
    checkFeatures(features)
  } catch (error) {
    if (error instanceof ConfigError) error.message = `${where}: ${error.message}`
    throw error
  }
  return features
}
const missingDtype = `expected an object whose dtype is one of ${FEATURE_DTYPES.join(', ')}`

function finishModel(raw: v.InferOutput<typeof modelSchema>, where: string): ResolvedModelConfig {
  const { model_name, ...rest } = raw
  const pretrained_model_config = parseEncoderConfig(
    raw.pretrained_model_config,
    `${where}: pretrained_model_config`,
  )
  const features_config = parseFeaturesConfig(raw.features_config, `${where}: features_config`)
  const words = pretrained_model_config.vocab_size
  let texts = 0
  for (const [name, feature] of Object.entries(features_config)) {
    if (feature.dtype === 'text' || feature.dtype === 'token_id') texts++
    if (feature.dtype !== 'token_id' || feature.vocab_size === undefined) continue
    if (feature.vocab_size > words) {
      throw new ConfigError(
        `${where}: feature '${name}' has vocab_size ${feature.vocab_size}, but the encoder's is ${words}`,
      )
    }
  }
  if (!texts) {
    throw new ConfigError(`${where}: features_config has no feature of dtype 'token_id' or 'text'`)
  }
  return {
    ...rest,
    ...(model_name === undefined ? {} : { model_name }),
    features_config,
    pretrained_model_config,
  }
}

/**
 * Reads a model configuration and fills in the defaults.
 * @param json parsed JSON.
 * @param where the file name, for messages.
 * @throws ConfigError naming file, place, key and what was expected.
 */
export function parseModelConfig(json: unknown, where: string): ResolvedModelConfig {
  return finishModel(parseStrict(modelSchema, withoutBookkeeping(json), where), where)
}

export { finishModel, modelEntries }
