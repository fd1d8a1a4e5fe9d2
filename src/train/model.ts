import type { ModelConfig, ResolvedModelConfig } from '../config/index.ts'
import { DistilBertForSequenceClassification, TextTabularModel } from '../nn/index.ts'

/** A model that the trainer, the predictor and checkpoints know. */
export type ClickModel = TextTabularModel | DistilBertForSequenceClassification

/** The model that a configuration describes; it has no memory yet. */
export function createModel(config: ModelConfig): ClickModel {
  return config.architecture === 'DistilBertForSequenceClassification'
    ? new DistilBertForSequenceClassification(config)
    : new TextTabularModel(config)
}

/** How a model's batches are collated: the text-only baseline reads position 0, whatever stands there. */
export function collateOptions(
  model: ClickModel,
  { truncate = false } = {},
): { padTokenId: number; vocabSize: number; maxPositions: number; keepFirst: boolean; truncate: boolean } {
  const encoder = model.config.pretrained_model_config
  return {
    padTokenId: encoder.pad_token_id,
    vocabSize: encoder.vocab_size,
    maxPositions: encoder.max_position_embeddings,
    keepFirst: model instanceof DistilBertForSequenceClassification,
    truncate,
  }
}

/** What a model reads of a Parquet file. */
export function readOptions(config: ResolvedModelConfig, { requireLabels = true } = {}) {
  const { features_config, num_labels, pretrained_model_config } = config
  const textOnly = config.architecture === 'DistilBertForSequenceClassification'
  const features = textOnly
    ? Object.fromEntries(
        Object.entries(features_config).filter(([, { dtype }]) => dtype === 'token_id' || dtype === 'text'),
      )
    : features_config
  return { features, numLabels: num_labels, vocabSize: pretrained_model_config.vocab_size, requireLabels }
}
