// What transformers, from version 2 to 5, and tools around it have written into the config.json of a BERT or DistilBERT folder.
// Every key is read, or changes nothing here and is left aside, or is refused unless it says what holds here anyway.
import { ConfigError } from '../errors.ts'
import { isObject } from './schema.ts'

/** In every saved configuration; not worth a note. */
export const BOOKKEEPING = [
  '_attn_implementation_autoset',
  '_name_or_path',
  'architectures',
  'attn_implementation',
  'bos_token_id',
  'chunk_size_feed_forward',
  'classifier_dropout',
  'dtype',
  'eos_token_id',
  'finetuning_task',
  'gradient_checkpointing',
  'id2label',
  'label2id',
  'output_attentions',
  'output_hidden_states',
  'output_past',
  'problem_type',
  'return_dict',
  'tie_weights_',
  'tie_word_embeddings',
  'torch_dtype',
  'torchscript',
  'transformers_version',
  'use_cache',
]

/** Also in every saved configuration; a click model's own configuration has a key of that name. */
const HEADS = ['num_labels']

/** A model that is no plain encoder: each of these keys may stand there with the value that says so, or null. */
const ONLY: Record<string, { value: unknown; why: string }> = {
  is_decoder: { value: false, why: 'a decoder attends to earlier tokens only' },
  add_cross_attention: { value: false, why: 'cross-attention has no second input here' },
  is_encoder_decoder: { value: false, why: 'only encoders are supported' },
  cross_attention_hidden_size: { value: null, why: 'cross-attention has no second input here' },
  pruned_heads: { value: {}, why: 'layers with fewer heads are not supported' },
  adapters: { value: {}, why: 'adapters would change what the layers compute' },
  adapter_fusion: { value: {}, why: 'adapters would change what the layers compute' },
  quantization_config: { value: null, why: 'weights that are quantized are not supported' },
  compression_config: { value: null, why: 'weights that are compressed are not supported' },
  sparsity_config: { value: null, why: 'weights that are compressed are not supported' },
}

/** Names under which a DistilBERT configuration also sets its sizes. */
const ALIASES: Record<string, [key: string, otherwise: number]> = {
  hidden_size: ['dim', 768],
  num_attention_heads: ['n_heads', 12],
  num_hidden_layers: ['n_layers', 6],
}

/** Names of the exact GELU; transformers' other kinds are approximations. */
const EXACT_GELU = ['gelu_python']

/** The kinds of encoder. */
type Kind = 'bert' | 'distilbert'

const isEmpty = (value: unknown) =>
  value === null || (typeof value === 'object' && Object.keys(value).length === 0)

/** The kind of encoder that a configuration without `model_type` is of: files of transformers 2 have none. */
function kindOf(json: Record<string, unknown>): unknown {
  if (json.model_type !== undefined) return json.model_type
  const [architecture] = Array.isArray(json.architectures) ? json.architectures : []
  if (typeof architecture === 'string' && architecture.startsWith('Bert')) return 'bert'
  return 'hidden_size' in json && !('dim' in json) ? 'bert' : undefined
}

/**
 * Whether a key says that the model is a plain encoder, as it must.
 * @throws ConfigError where it says something else.
 */
function saysPlain(key: string, value: unknown, where: string): boolean {
  if (!Object.hasOwn(ONLY, key)) return false
  const { value: expected, why } = ONLY[key]!
  if (value === expected || isEmpty(value)) return true
  const got = JSON.stringify(value)?.slice(0, 60)
  throw new ConfigError(`${where}: ${key}: expected ${JSON.stringify(expected)}, got ${got}: ${why}`)
}

/**
 * A copy without the keys that say that the model is a plain encoder.
 * @throws ConfigError where one says something else.
 */
export function withoutPlainKeys(json: unknown, where: string): unknown {
  if (!isObject(json)) return json
  return Object.fromEntries(Object.entries(json).filter(([key, value]) => !saysPlain(key, value, where)))
}

/**
 * What of a folder's config.json an encoder reads, and the keys that were left aside and are worth a note. What is left aside:
 * everything that no encoder of transformers reads, known or not.
 * @param read the keys that each kind of encoder reads.
 * @throws ConfigError naming a key that would change what the encoder computes.
 */
export function ownKeys(
  json: unknown,
  where: string,
  read: Record<Kind, readonly string[]>,
): { own: unknown; aside: string[] } {
  if (!isObject(json)) return { own: json, aside: [] }
  const model_type = kindOf(json)
  if (model_type !== undefined && model_type !== 'bert' && model_type !== 'distilbert')
    return { own: { model_type }, aside: [] }
  const kind: Kind = model_type ?? 'distilbert'
  const own: Record<string, unknown> = model_type === undefined ? {} : { model_type }
  const aside: string[] = []
  for (const [key, value] of Object.entries(json)) {
    if (saysPlain(key, value, where)) continue
    if (read[kind].includes(key)) own[key] = value
    else if (kind === 'distilbert' && Object.hasOwn(ALIASES, key)) checkAlias(json, key, where)
    else if (!BOOKKEEPING.includes(key) && !HEADS.includes(key)) aside.push(key)
  }
  // Files of transformers 4 may say nothing by null.
  if (own.position_embedding_type === null) delete own.position_embedding_type
  for (const key of ['hidden_act', 'activation'])
    if (EXACT_GELU.includes(own[key] as string)) own[key] = 'gelu'
  return { own, aside }
}

/** transformers takes DistilBERT's sizes from these names too, whatever the others say. */
function checkAlias(json: Record<string, unknown>, key: string, where: string): void {
  const [own, otherwise] = ALIASES[key]!
  const value = json[own] ?? otherwise
  if (json[key] === value) return
  throw new ConfigError(
    `${where}: ${key} is ${JSON.stringify(json[key])} and ${own} is ${JSON.stringify(value)}, expected the same of both`,
  )
}
