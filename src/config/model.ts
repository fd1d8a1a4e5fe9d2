import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import {
  type EncoderConfig,
  isBert,
  parseEncoderConfig,
  type ResolvedEncoderConfig,
  withoutBookkeeping,
} from './encoder.ts'
import {
  checkFeatures,
  embeddingTableOf,
  FEATURE_DTYPES,
  type FeatureConfig,
  type FeaturesConfig,
  namesByDtype,
} from './features.ts'
import { type FusionConfig, parseFusion } from './fusion.ts'
import { checkFusionTable, type FusionMethod } from './fusion-methods.ts'
import { checkLabel, type LabelConfig, labelEntries } from './label.ts'
import { count, flag, integer, oneOf, parseStrict, positive, probability, strict, text } from './schema.ts'

const ACTIVATION_FUNCTIONS = ['ReLU', 'GELU'] as const
const NORMALIZATION_FUNCTIONS = ['LayerNorm'] as const
const ARCHITECTURES = ['TextTabularModel', 'DistilBertForSequenceClassification'] as const

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
  /** Width of the layer. */
  hidden_size: number
  /** Probability of dropout, default 0. */
  dropout_p?: number
  /** Name of a torch.nn class: 'ReLU' or 'GELU'. */
  activation_function?: string | null
  /** What PyTorch would be given; changes nothing. */
  activation_function_kwargs?: object | null
  /** Name of a torch.nn class: 'LayerNorm'. */
  normalization_function?: string | null
  /** `eps`, default 1e-5. */
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

export const modelEntries = {
  architecture: v.optional(oneOf(ARCHITECTURES), 'TextTabularModel'),
  features_config: v.unknown(),
  mlp_config: v.nullish(v.array(layerSchema, 'expected a list of layers or null'), null),
  fusion: v.optional(v.unknown()),
  num_labels: v.optional(integer(2), 2),
  ...labelEntries,
  model_name: v.optional(text),
  pretrained_model_config: v.unknown(),
  use_pretrained: v.optional(flag, false),
}
const modelSchema = strict(modelEntries)

/** The model configuration, under the notebook's keys. */
export interface ModelConfig extends LabelConfig {
  /** Default 'TextTabularModel'. */
  architecture?: (typeof ARCHITECTURES)[number]
  /** The columns that the model reads. */
  features_config: FeaturesConfig
  /**
   * How text and table meet, a method of `Combiner` by its name or with options; 'concat' when left out, and then saved
   * configurations have no such key. Of TextTabularModel alone.
   */
  fusion?: FusionMethod | FusionConfig
  /** Layers between what fusion gives and the head; none when left out. */
  mlp_config?: MlpLayerConfig[] | null
  /** Number of classes, default 2. */
  num_labels?: number
  /** Folder of a saved encoder: its weights with `use_pretrained`, its tokenizer where a feature is text. */
  model_name?: string
  /** The encoder. */
  pretrained_model_config: EncoderConfig
  /** Start the encoder from the weights in the folder `model_name`; default false. */
  use_pretrained?: boolean
}

/** {@link ModelConfig} with every default filled in. */
export interface ResolvedModelConfig extends ModelConfig {
  /** Absent where text and table are concatenated. */
  fusion?: FusionConfig
  architecture: (typeof ARCHITECTURES)[number]
  mlp_config: ResolvedMlpLayerConfig[] | null
  num_labels: number
  pretrained_model_config: ResolvedEncoderConfig
  use_pretrained: boolean
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

export function finishModel(raw: v.InferOutput<typeof modelSchema>, where: string): ResolvedModelConfig {
  const { model_name, fusion: how, ...rest } = raw
  const pretrained_model_config = parseEncoderConfig(
    raw.pretrained_model_config,
    `${where}: pretrained_model_config`,
  )
  if (raw.architecture !== 'TextTabularModel' && isBert(pretrained_model_config)) {
    throw new ConfigError(
      `${where}: ${raw.architecture} takes an encoder of model_type 'distilbert', got 'bert'`,
    )
  }
  if (raw.use_pretrained && model_name === undefined) {
    throw new ConfigError(
      `${where}: use_pretrained is true, expected model_name to name a folder with weights`,
    )
  }
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
  checkLabel(raw, where)
  const fusion = fusionOf(how, raw.architecture, features_config, `${where}: fusion`)
  return {
    ...rest,
    ...(model_name === undefined ? {} : { model_name }),
    features_config,
    ...(fusion ? { fusion } : {}),
    pretrained_model_config,
  }
}

/** What 'concat' stands for is what a model without the key does. */
function fusionOf(
  given: unknown,
  architecture: string,
  features: FeaturesConfig,
  where: string,
): FusionConfig | undefined {
  if (given === undefined) return undefined
  const fusion = parseFusion(given, where)
  if (architecture !== 'TextTabularModel')
    throw new ConfigError(`${where}: ${architecture} reads no table, expected TextTabularModel`)
  if (fusion.method === 'concat') return undefined
  const categorical = namesByDtype(features, 'categorical')
  const width = categorical.reduce((sum, name) => sum + embeddingTableOf(features, name).embeddingSize, 0)
  checkFusionTable(fusion.method, width, namesByDtype(features, 'numerical').length, where)
  return fusion
}

/**
 * Reads a model configuration and fills in the defaults.
 * @param json parsed JSON.
 * @param where the file name, for messages.
 * @throws ConfigError naming file, place, key and what was expected.
 */
export function parseModelConfig(json: unknown, where: string): ResolvedModelConfig {
  return finishModel(parseStrict(modelSchema, withoutBookkeeping(json, ['model_type']), where), where)
}

const tabularSchema = strict({
  architecture: v.optional(v.literal('TabularModel'), 'TabularModel'),
  features_config: v.unknown(),
  mlp_config: v.nullish(v.array(layerSchema, 'expected a list of layers or null'), null),
  num_labels: v.optional(integer(2), 2),
  ...labelEntries,
})

/** The configuration of a model that reads a table and no text. */
export interface TabularConfig extends LabelConfig {
  /** 'TabularModel'. */
  architecture?: 'TabularModel'
  /** The columns that the model reads, categorical and numerical ones. */
  features_config: FeaturesConfig
  /** Layers between the columns and the head; none when left out. */
  mlp_config?: MlpLayerConfig[] | null
  /** Number of classes, default 2. */
  num_labels?: number
}

/** {@link TabularConfig} with every default filled in. */
export interface ResolvedTabularConfig extends TabularConfig {
  architecture: 'TabularModel'
  mlp_config: ResolvedMlpLayerConfig[] | null
  num_labels: number
}

/**
 * Reads the configuration of a {@link TabularConfig} and fills in the defaults.
 * @throws ConfigError naming file, place, key and what was expected.
 */
export function parseTabularConfig(json: unknown, where: string): ResolvedTabularConfig {
  const config = parseStrict(tabularSchema, json, where)
  const features_config = parseFeaturesConfig(config.features_config, `${where}: features_config`)
  const text = Object.entries(features_config).find(
    ([, { dtype }]) => dtype === 'text' || dtype === 'token_id',
  )
  if (text)
    throw new ConfigError(
      `${where}: feature '${text[0]}' has dtype '${text[1].dtype}', which TabularModel does not read, expected TextTabularModel`,
    )
  if (!Object.keys(features_config).length)
    throw new ConfigError(`${where}: features_config is empty, expected a categorical or numerical feature`)
  checkLabel(config, where)
  return { ...config, features_config }
}
