// Encoders under the keys of transformers' DistilBertConfig and BertConfig.
import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import { BOOKKEEPING, ownKeys, withoutPlainKeys } from './foreign-keys.ts'
import {
  count,
  flag,
  integer,
  nonNegative,
  oneOf,
  parseStrict,
  positive,
  probability,
  strict,
} from './schema.ts'

const ENCODER_ACTIVATIONS = ['gelu', 'relu'] as const
const MODEL_TYPES = ['distilbert', 'bert'] as const

const activation = v.optional(oneOf(ENCODER_ACTIVATIONS), 'gelu')

/** What every kind of encoder has under the same name. */
const common = {
  vocab_size: count,
  max_position_embeddings: v.optional(count, 512),
  pad_token_id: v.optional(integer(0), 0),
  initializer_range: v.optional(nonNegative, 0.02),
}

const distilBertEntries = {
  model_type: v.optional(v.literal('distilbert')),
  ...common,
  dim: v.optional(count, 768),
  n_heads: v.optional(count, 12),
  n_layers: v.optional(count, 6),
  hidden_dim: v.optional(count, 3072),
  dropout: v.optional(probability, 0.1),
  attention_dropout: v.optional(probability, 0.1),
  activation,
  seq_classif_dropout: v.optional(probability, 0.2),
  qa_dropout: v.optional(probability, 0.1),
  sinusoidal_pos_embds: v.optional(
    v.literal(false, 'sinusoidal position embeddings are not supported, expected false'),
    false,
  ),
}
const distilBertSchema = strict(distilBertEntries)

const bertEntries = {
  model_type: v.literal('bert'),
  ...common,
  hidden_size: v.optional(count, 768),
  num_attention_heads: v.optional(count, 12),
  num_hidden_layers: v.optional(count, 12),
  intermediate_size: v.optional(count, 3072),
  hidden_act: activation,
  hidden_dropout_prob: v.optional(probability, 0.1),
  attention_probs_dropout_prob: v.optional(probability, 0.1),
  type_vocab_size: v.optional(count, 2),
  layer_norm_eps: v.optional(positive, 1e-12),
  position_embedding_type: v.optional(v.literal('absolute', "only 'absolute' positions are supported")),
  /** Whether the weights of BertModel's pooler are there. No model here reads it; PyTorch's expects it. */
  add_pooling_layer: v.optional(flag, true),
}
const bertSchema = strict(bertEntries)

/** The keys that each kind of encoder reads. */
const READ = { bert: Object.keys(bertEntries), distilbert: Object.keys(distilBertEntries) }

/**
 * A DistilBERT encoder, under the keys of its config.json.
 *
 * @see https://huggingface.co/docs/transformers/model_doc/distilbert#transformers.DistilBertConfig
 */
export type DistilBertConfig = v.InferInput<typeof distilBertSchema>
/** {@link DistilBertConfig} with every default filled in. */
export type ResolvedDistilBertConfig = v.InferOutput<typeof distilBertSchema>
/**
 * A BERT encoder, under the keys of its config.json; `model_type` is 'bert'.
 *
 * @see https://huggingface.co/docs/transformers/model_doc/bert#transformers.BertConfig
 */
export type BertConfig = v.InferInput<typeof bertSchema>
/** {@link BertConfig} with every default filled in. */
export type ResolvedBertConfig = v.InferOutput<typeof bertSchema>

/** Encoder settings; only `vocab_size` has no default, and `model_type` says 'bert' where it is one. */
export type EncoderConfig = DistilBertConfig | BertConfig
/** {@link EncoderConfig} with every default filled in. */
export type ResolvedEncoderConfig = ResolvedDistilBertConfig | ResolvedBertConfig

/** A copy without the keys transformers adds to every saved configuration. */
export function withoutBookkeeping(json: unknown, more: readonly string[] = []): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json
  return Object.fromEntries(
    Object.entries(json).filter(([key]) => !BOOKKEEPING.includes(key) && !more.includes(key)),
  )
}

/**
 * Reads encoder settings: a `pretrained_model_config`, or the config.json of a saved DistilBERT or BERT folder.
 * @throws ConfigError on an unknown key or model type, a value out of range, or a hidden size that the heads do not divide.
 */
export function parseEncoderConfig(json: unknown, where: string): ResolvedEncoderConfig {
  const plain = withoutPlainKeys(withoutBookkeeping(json), where)
  const { model_type } = parseStrict(
    v.looseObject({ model_type: v.optional(oneOf(MODEL_TYPES)) }, 'expected an object'),
    plain,
    where,
  )
  const config =
    model_type === 'bert'
      ? parseStrict(bertSchema, plain, where)
      : parseStrict(distilBertSchema, plain, where)
  const { dim, n_heads } = encoderShape(config)
  const { pad_token_id, vocab_size } = config
  if (dim % n_heads) {
    const names = isBert(config) ? ['hidden_size', 'num_attention_heads'] : ['dim', 'n_heads']
    throw new ConfigError(`${where}: ${names[0]} ${dim} is not divisible by ${names[1]} ${n_heads}`)
  }
  if (pad_token_id >= vocab_size) {
    throw new ConfigError(`${where}: pad_token_id ${pad_token_id} is not below vocab_size ${vocab_size}`)
  }
  return config
}

/**
 * Reads the config.json of a folder that transformers saved, in any version. Keys that no encoder reads are left aside; `note` is told
 * of those that do not stand in every file.
 * @throws ConfigError as {@link parseEncoderConfig}, and for keys that would change what the encoder computes.
 */
export function parseSavedEncoder(
  json: unknown,
  where: string,
  note?: (text: string) => void,
): ResolvedEncoderConfig {
  const { own, aside } = ownKeys(json, where, READ)
  const config = parseEncoderConfig(own, where)
  if (aside.length) note?.(`${where}: left aside ${aside.join(', ')}, which no encoder reads`)
  return config
}

/** Whether an encoder is BERT; it is DistilBERT otherwise. */
export const isBert = (config: ResolvedEncoderConfig): config is ResolvedBertConfig =>
  config.model_type === 'bert'

/** What an encoder is made of, whichever kind it is, under DistilBERT's names. */
export interface EncoderShape {
  vocab_size: number
  max_position_embeddings: number
  pad_token_id: number
  initializer_range: number
  dim: number
  n_heads: number
  n_layers: number
  hidden_dim: number
  dropout: number
  attention_dropout: number
  activation: (typeof ENCODER_ACTIVATIONS)[number]
  /** Of every LayerNorm. */
  eps: number
  /** Rows of the token type table; DistilBERT has none. */
  type_vocab_size: number
}

/** An encoder's sizes under one set of names. */
export function encoderShape(config: ResolvedEncoderConfig): EncoderShape {
  if (!isBert(config)) return { ...config, eps: 1e-12, type_vocab_size: 0 }
  return {
    ...config,
    dim: config.hidden_size,
    n_heads: config.num_attention_heads,
    n_layers: config.num_hidden_layers,
    hidden_dim: config.intermediate_size,
    dropout: config.hidden_dropout_prob,
    attention_dropout: config.attention_probs_dropout_prob,
    activation: config.hidden_act,
    eps: config.layer_norm_eps,
  }
}
