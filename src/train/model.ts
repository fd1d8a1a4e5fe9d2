import { type ModelConfig, namesByDtype, type ResolvedModelConfig } from '../config/index.ts'
import { loadTokenizer, type ReadOptions, type TextTokenizer } from '../data/index.ts'
import { ConfigError } from '../errors.ts'
import { DistilBertForSequenceClassification, type Encoder, TextTabularModel } from '../nn/index.ts'

/** A model that the trainer, the predictor and checkpoints know. */
export type ClickModel = (TextTabularModel | DistilBertForSequenceClassification) & {
  /** Turns text features into token ids; saved with the model. */
  tokenizer?: TextTokenizer | undefined
}

/** The encoder inside a model. */
export const encoderOf = (model: ClickModel): Encoder =>
  model instanceof TextTabularModel ? model.bert : model.distilbert

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

/** What a model reads of a Parquet file. Text features need a tokenizer. */
export function readOptions(
  config: ResolvedModelConfig,
  {
    requireLabels = true,
    tokenizer,
  }: { requireLabels?: boolean; tokenizer?: TextTokenizer | undefined } = {},
): ReadOptions {
  const { features_config, num_labels, pretrained_model_config } = config
  const textOnly = config.architecture === 'DistilBertForSequenceClassification'
  const features = textOnly
    ? Object.fromEntries(
        Object.entries(features_config).filter(([, { dtype }]) => dtype === 'token_id' || dtype === 'text'),
      )
    : features_config
  return {
    features,
    numLabels: num_labels,
    vocabSize: pretrained_model_config.vocab_size,
    requireLabels,
    ...(tokenizer ? { tokenize: tokenizer.encode } : {}),
  }
}

/**
 * The tokenizer that a model's text features need, from the folder it was trained from or saved in; nothing without them.
 * @throws ConfigError where no folder is named or it holds none.
 */
export async function tokenizerOf(
  { features_config, pretrained_model_config }: ResolvedModelConfig,
  folder: string | undefined,
): Promise<TextTokenizer | undefined> {
  const [text] = namesByDtype(features_config, 'text')
  if (text === undefined) return undefined
  if (folder === undefined) {
    throw new ConfigError(
      `feature '${text}' has dtype 'text', expected model_name to name a folder with tokenizer.json`,
    )
  }
  const { max_position_embeddings: maxPositions, vocab_size: vocabSize } = pretrained_model_config
  return loadTokenizer(folder, { maxPositions, vocabSize })
}
