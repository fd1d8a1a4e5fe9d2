// What the two models of the notebook share: they read features and answer with the probabilities of classes.
import { concatColumns, sigmoid, softmax, sub, type Tensor } from '../autograd/index.ts'
import {
  embeddingTableOf,
  encoderShape,
  type FeatureInputs,
  type FeaturesConfig,
  featureInputs,
  labelInputs,
  type ResolvedModelConfig,
  type ResolvedTabularConfig,
} from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { TextInput } from '../inputs.ts'

/** What a click model reads; there is always a text. */
export type ClickInputs = Omit<FeatureInputs, 'text'> & { text: TextInput }

/** What a click model makes of a batch. */
export interface ModelOutput {
  /** [B, C]. */
  logits: Tensor
  /** [1], where the batch has labels: the mean cross-entropy. */
  loss?: Tensor
}

/** The inputs that a configuration comes to. */
export function clickInputs(config: ResolvedModelConfig, { keepFirst = false } = {}): ClickInputs {
  const { features_config, num_labels, pretrained_model_config } = config
  const { vocab_size, pad_token_id, max_position_embeddings } = encoderShape(pretrained_model_config)
  const inputs = featureInputs(features_config, {
    vocabSize: vocab_size,
    padTokenId: pad_token_id,
    maxPositions: max_position_embeddings,
    keepFirst,
    numLabels: num_labels,
  })
  return { ...inputs, text: inputs.text!, ...labelInputs(config) }
}

/** @throws ConfigError for a batch without labels. */
export function lossOf({ loss }: ModelOutput, model: string): Tensor {
  if (!loss) throw noLabels(model)
  return loss
}

export const noLabels = (model: string) =>
  new ConfigError(`${model}: the batch has no labels, expected a class per row`)

/** [B, C] of logits; of one logit, [1 - p, p]. */
export function probabilities(logits: Tensor): Tensor {
  if (logits.shape[1] !== 1) return softmax(logits)
  const p = sigmoid(logits)
  return concatColumns([sub(1, p), p])
}

/** Of two classes the second's probability is written, as `probability`; of more, every one's. */
export const probabilityNames = (classes: number): (string | null)[] =>
  classes === 2 ? [null, 'probability'] : Array.from({ length: classes }, (_, c) => `probability_${c}`)

/** What every configuration of a click model has. */
type Comparable = Omit<ResolvedModelConfig, 'architecture'> & { architecture: string }

/** The same of a configuration without text. */
export function comparableTable({ features_config, mlp_config, ...rest }: ResolvedTabularConfig): unknown {
  return {
    ...rest,
    features_config: Object.keys(features_config).map(name => featureOf(features_config, name)),
    mlp_config: mlp_config?.length ? mlp_config : null,
  }
}

/** A configuration with what means the same written the same. Features are a list: their order counts. */
export function comparableClick(config: Comparable): unknown {
  const { features_config, mlp_config, pretrained_model_config, ...rest } = config
  return {
    ...rest,
    features_config: Object.keys(features_config).map(name => featureOf(features_config, name)),
    mlp_config: mlp_config?.length ? mlp_config : null,
    pretrained_model_config: { model_type: 'distilbert', ...pretrained_model_config },
  }
}

function featureOf(features: FeaturesConfig, name: string): object {
  const { dtype } = features[name]!
  return dtype === 'categorical' ? { name, dtype, table: embeddingTableOf(features, name) } : { name, dtype }
}
