// What a cross encoder's configuration says, with every default, checked together before anything is read.
import * as v from 'valibot'
import { withoutBookkeeping } from '../config/encoder.ts'
import {
  type BertConfig,
  type FeaturesConfig,
  isBert,
  parseEncoderConfig,
  parseFeaturesConfig,
  type ResolvedBertConfig,
} from '../config/index.ts'
import {
  flag,
  integer,
  isObject,
  nonNegative,
  parseStrict,
  positive,
  real,
  strict,
  text,
} from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import type { TextInput } from '../inputs.ts'
import type { ModelConfiguration } from './model.ts'
import { parseRanking, type RankingConfig, type ResolvedRanking, rankingEntries } from './ranking-config.ts'

/** How tokens are hidden, to be predicted in the same step as clicks. */
export interface CrossEncoderMlm {
  /** Share of the tokens that are to be predicted, above 0 and below 1. */
  probability: number
  /** The mask stands for every hidden token (default); false: for 80%, a random token for 10%, itself for 10%, as BERT's. */
  always_mask?: boolean
  /** Texts whose tokens may be hidden; all unless given. */
  columns?: string[]
  /** Of its loss in the sum, 1 unless given. */
  weight?: number
}

/** A head on the first token, beside the click's. */
export interface CrossEncoderHead {
  /** The column that it learns from: 'skip', of 0 and 1, and 'dwell', of seconds, unless given. */
  column?: string
  /** Of its loss in the sum: 0.5 of skip and 0.25 of dwell unless given. */
  weight?: number
}

/** What a {@link CrossEncoder} is made of. */
export interface CrossEncoderConfig extends RankingConfig {
  architecture?: 'CrossEncoder'
  /**
   * Texts in the order they are read, the query's, then the document's: as token ids, or as strings (`text`) for the tokenizer in the folder `model_name`,
   * whose special tokens are to be those below.
   */
  features_config: FeaturesConfig
  /** Token type by text; 0 of the first and 1 of the others unless given. */
  segments?: Record<string, number>
  /** What a text begins with, ends with, and is hidden by; 2, 1 and 3 unless given, as `preprocess --format ultr` leaves room for. */
  cls_token_id?: number
  sep_token_id?: number
  mask_token_id?: number
  /** Hidden tokens, predicted in the same step; none unless given. */
  mlm?: CrossEncoderMlm | null
  /** Heads beside the click's; none unless given. */
  heads?: { skip?: CrossEncoderHead; dwell?: CrossEncoderHead }
  /** The encoder, BERT; `model_type` may be left out, and it has no pooler unless `add_pooling_layer` is true. */
  pretrained_model_config: Omit<BertConfig, 'model_type'> & { model_type?: 'bert' }
  /** Folder of a saved encoder: its tokenizer for strings, its weights with `use_pretrained`. */
  model_name?: string
  /** Start the encoder from the weights in the folder `model_name`; default false. */
  use_pretrained?: boolean
}

/** {@link CrossEncoderConfig} with every default filled in. */
export interface ResolvedCrossEncoderConfig extends ModelConfiguration, ResolvedRanking {
  architecture: 'CrossEncoder'
  features_config: FeaturesConfig
  segments: Record<string, number>
  cls_token_id: number
  sep_token_id: number
  mask_token_id: number
  mlm: Required<CrossEncoderMlm> | null
  heads: { skip?: Required<CrossEncoderHead>; dwell?: Required<CrossEncoderHead> }
  pretrained_model_config: ResolvedBertConfig
  use_pretrained: boolean
}

const share = real('above 0 and below 1', x => x > 0 && x < 1)
const head = (column: string, weight: number) =>
  v.optional(strict({ column: v.optional(text, column), weight: v.optional(nonNegative, weight) }))

const schema = strict({
  architecture: v.optional(v.literal('CrossEncoder'), 'CrossEncoder'),
  features_config: v.unknown(),
  segments: v.optional(v.unknown()),
  cls_token_id: v.optional(integer(0), 2),
  sep_token_id: v.optional(integer(0), 1),
  mask_token_id: v.optional(integer(0), 3),
  mlm: v.nullish(
    strict({
      probability: share,
      always_mask: v.optional(flag, true),
      columns: v.optional(v.array(text, 'expected a list of columns')),
      weight: v.optional(positive, 1),
    }),
    null,
  ),
  heads: v.optional(strict({ skip: head('skip', 0.5), dwell: head('dwell', 0.25) }), {}),
  pretrained_model_config: v.unknown(),
  model_name: v.optional(text),
  use_pretrained: v.optional(flag, false),
  ...rankingEntries,
})

/** @throws ConfigError naming file, key, value and what was expected */
export function parseCrossEncoder(json: unknown, where: string): ResolvedCrossEncoderConfig {
  const raw = parseStrict(schema, withoutBookkeeping(json, ['model_type']), where)
  const { architecture, cls_token_id, sep_token_id, mask_token_id, mlm, heads, model_name, use_pretrained } =
    raw
  const encoder = encoderOf(raw.pretrained_model_config, `${where}: pretrained_model_config`)
  if (use_pretrained && model_name === undefined)
    throw new ConfigError(
      `${where}: use_pretrained is true, expected model_name to name a folder with weights`,
    )
  const features_config = textsOf(raw.features_config, encoder, where)
  const names = Object.keys(features_config)
  const segments = segmentsOf(raw.segments, names, encoder, `${where}: segments`)
  checkTokens({ cls_token_id, sep_token_id, mask_token_id }, encoder, where)
  const hidden = mlm?.columns ?? names
  const stranger = hidden.find(name => !names.includes(name))
  if (stranger !== undefined)
    throw new ConfigError(
      `${where}: mlm: columns names '${stranger}', which is no text; expected some of ${names.map(name => `'${name}'`).join(', ')}`,
    )
  const besides = names.find(
    name => !hidden.includes(name) && hidden.some(one => segments[one] === segments[name]),
  )
  if (!hidden.length || besides !== undefined)
    throw new ConfigError(
      `${where}: mlm: columns ${
        besides === undefined
          ? 'is empty, expected one text or more'
          : `leaves out '${besides}', which is in the segment of a text that it names; expected all texts of a segment or none`
      }`,
    )
  const ranking = parseRanking(raw, where, 'pointwise')
  const taken = [
    ...ranking.lists.columns,
    ranking.label,
    ...(ranking.position ? [ranking.position.column] : []),
  ]
  for (const [name, { column }] of Object.entries(heads) as [string, { column: string }][])
    if (names.includes(column) || taken.includes(column))
      throw new ConfigError(
        `${where}: heads: ${name} learns from the column '${column}', which the model reads as something else`,
      )
  return {
    architecture,
    features_config,
    segments,
    ...{ cls_token_id, sep_token_id, mask_token_id },
    mlm: mlm && { ...mlm, columns: hidden },
    heads: heads as ResolvedCrossEncoderConfig['heads'],
    pretrained_model_config: encoder,
    ...(model_name === undefined ? {} : { model_name }),
    use_pretrained,
    ...ranking,
  }
}

function encoderOf(given: unknown, where: string): ResolvedBertConfig {
  const plain = isObject(given) ? { model_type: 'bert', add_pooling_layer: false, ...given } : given
  const encoder = parseEncoderConfig(plain, where)
  if (isBert(encoder)) return encoder
  throw new ConfigError(`${where}: CrossEncoder takes an encoder of model_type 'bert', got 'distilbert'`)
}

function textsOf(given: unknown, { vocab_size }: ResolvedBertConfig, where: string): FeaturesConfig {
  const features = parseFeaturesConfig(given, `${where}: features_config`)
  const names = Object.keys(features)
  if (!names.length)
    throw new ConfigError(`${where}: features_config has no feature of dtype 'token_id' or 'text'`)
  for (const [name, feature] of Object.entries(features)) {
    if (feature.dtype !== 'token_id' && feature.dtype !== 'text')
      throw new ConfigError(
        `${where}: features_config: feature '${name}' has dtype '${feature.dtype}', expected 'token_id' or 'text': CrossEncoder reads texts and no table`,
      )
    if ('vocab_size' in feature && feature.vocab_size !== undefined && feature.vocab_size > vocab_size)
      throw new ConfigError(
        `${where}: feature '${name}' has vocab_size ${feature.vocab_size}, but the encoder's is ${vocab_size}`,
      )
  }
  return features
}

function segmentsOf(
  given: unknown,
  names: string[],
  { type_vocab_size }: ResolvedBertConfig,
  where: string,
): Record<string, number> {
  const plain = given ?? Object.fromEntries(names.map((name, i) => [name, i ? 1 : 0]))
  if (!isObject(plain))
    throw new ConfigError(`${where}: expected a token type by text, got ${JSON.stringify(given)}`)
  for (const name of Object.keys(plain))
    if (!names.includes(name))
      throw new ConfigError(
        `${where}: '${name}' is no text; expected ${names.map(one => `'${one}'`).join(', ')}`,
      )
  return Object.fromEntries(
    names.map(name => {
      const segment = plain[name]
      if (Number.isInteger(segment) && (segment as number) >= 0 && (segment as number) < type_vocab_size)
        return [name, segment as number]
      throw new ConfigError(
        `${where}: '${name}' is in ${JSON.stringify(segment) ?? 'none'}, expected 0 to ${type_vocab_size - 1} (type_vocab_size ${type_vocab_size})`,
      )
    }),
  )
}

function checkTokens(
  ids: Record<string, number>,
  { vocab_size, pad_token_id }: ResolvedBertConfig,
  where: string,
): void {
  const seen = new Map([[pad_token_id, 'pad_token_id']])
  for (const [name, id] of Object.entries(ids)) {
    if (id >= vocab_size)
      throw new ConfigError(`${where}: ${name}: ${id}, expected a token below vocab_size ${vocab_size}`)
    if (seen.has(id))
      throw new ConfigError(`${where}: ${name} is ${id}, as ${seen.get(id)}, expected a token of its own`)
    seen.set(id, name)
  }
}

/** The texts as one: [CLS] query [SEP] title [SEP] …, each token with its segment. */
export function crossEncoderText(config: ResolvedCrossEncoderConfig): TextInput {
  const { features_config, segments, cls_token_id, sep_token_id } = config
  const { vocab_size, pad_token_id, max_position_embeddings } = config.pretrained_model_config
  const columns = Object.entries(features_config).map(([name, feature]) => ({
    name,
    dtype: feature.dtype as 'token_id' | 'text',
    ...('vocab_size' in feature && feature.vocab_size ? { rows: feature.vocab_size } : {}),
    segment: segments[name]!,
  }))
  return {
    kind: 'text',
    columns,
    rows: vocab_size,
    padTokenId: pad_token_id,
    maxPositions: max_position_embeddings,
    joined: { first: cls_token_id, separator: sep_token_id },
  }
}
