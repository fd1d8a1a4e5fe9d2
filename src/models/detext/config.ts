// The configuration of a DetextModel: which feature plays which part, checked before anything is read.
import * as v from 'valibot'
import {
  type EncoderConfig,
  parseEncoderConfig,
  type ResolvedEncoderConfig,
  withoutBookkeeping,
} from '../../config/encoder.ts'
import type { FeaturesConfig } from '../../config/index.ts'
import { modelEntries, parseFeaturesConfig } from '../../config/model.ts'
import {
  count,
  flag,
  integer,
  isObject,
  oneOf,
  parseStrict,
  positive,
  probability,
  real,
  strict,
  text,
} from '../../config/schema.ts'
import { ConfigError } from '../../errors.ts'
import { type ListsConfig, parseRanking, rankingEntries } from '../ranking-config.ts'
import { ofEach, rolesOf } from './roles.ts'

const SIMILARITIES = ['inner', 'concat', 'hadamard', 'diff'] as const satisfies readonly Similarity[]
/** What is made of the vectors of both sides: cosines, both side by side, products or differences; `emb_sim_func` of the reference. */
export type Similarity = 'inner' | 'concat' | 'hadamard' | 'diff'

const DETEXT_LOSSES = ['pointwise', 'pairwise', 'softmax'] as const satisfies readonly DetextLoss[]
/** A loss over lists. */
export type DetextLoss = 'pointwise' | 'pairwise' | 'softmax'

const words = {
  vocab_size: integer(2),
  pad_token_id: v.optional(integer(0), 0),
  max_positions: v.optional(count, 512),
  word_size: v.optional(count, 128),
}
const encoders = {
  bert: strict({
    type: v.literal('bert'),
    units: v.optional(count, 128),
    dropout: v.optional(probability, 0.1),
  }),
  cnn: strict({
    type: v.literal('cnn'),
    ...words,
    windows: v.optional(
      v.pipe(v.array(count, 'expected a list of window widths'), v.minLength(1, 'expected a window or more')),
      [3],
    ),
    filters: v.optional(count, 100),
  }),
  lstm: strict({
    type: v.literal('lstm'),
    ...words,
    units: v.optional(count, 128),
    layers: v.optional(count, 1),
    bidirectional: v.optional(flag, false),
  }),
}
/** What makes vectors of texts, with every default. */
export type DetextEncoder = DetextBert | DetextCnn | DetextLstm

/** The first token of `pretrained_model_config`'s encoder, projected to `units`, tanh, dropout. */
export interface DetextBert {
  type: 'bert'
  units: number
  dropout: number
}

/** Word vectors, one table for all fields. */
export interface DetextWords {
  vocab_size: number
  /** Tokens equal to it are left out. */
  pad_token_id: number
  /** Most tokens of a text. */
  max_positions: number
  word_size: number
}

/** For each field `filters` of each width over windows of words, and the largest of each over the text. */
export interface DetextCnn extends DetextWords {
  type: 'cnn'
  windows: number[]
  filters: number
}

/** The last state, of both directions together `units`. */
export interface DetextLstm extends DetextWords {
  type: 'lstm'
  units: number
  layers: number
  bidirectional: boolean
}

const names = v.array(text, 'expected a list of features')
const finite = real('that is finite', () => true)
const schema = strict({
  architecture: v.optional(v.literal('DetextModel'), 'DetextModel'),
  features_config: v.unknown(),
  query: text,
  user_fields: v.optional(names, []),
  doc_fields: v.pipe(names, v.minLength(1, 'expected a field of the documents or more')),
  user_projection: v.optional(flag, false),
  doc_projection: v.optional(flag, false),
  encoder: v.unknown(),
  model_name: modelEntries.model_name,
  pretrained_model_config: v.optional(v.unknown()),
  use_pretrained: modelEntries.use_pretrained,
  similarities: v.optional(
    v.pipe(v.array(oneOf(SIMILARITIES), 'expected a list'), v.minLength(1, 'expected a function or more')),
    ['inner'],
  ),
  dense: v.optional(names),
  dense_mean: v.optional(v.array(finite, 'expected a list of numbers')),
  dense_std: v.optional(v.array(positive, 'expected a list of numbers above 0')),
  sparse: v.optional(names),
  sparse_merge: v.optional(oneOf(['sum', 'concat']), 'sum'),
  shallow: v.optional(names, []),
  hidden_sizes: v.optional(v.array(count, 'expected a list of widths'), [100]),
  task: v.optional(text),
  task_weights: v.optional(v.array(positive, 'expected a list of numbers above 0')),
  lists: rankingEntries.lists,
  label: rankingEntries.label,
  loss: v.optional(oneOf(DETEXT_LOSSES), 'pairwise'),
})
type Raw = v.InferOutput<typeof schema>

/** {@link DetextConfig} with every default filled in. */
export interface ResolvedDetextConfig {
  architecture: 'DetextModel'
  features_config: FeaturesConfig
  query: string
  user_fields: string[]
  doc_fields: string[]
  user_projection: boolean
  doc_projection: boolean
  encoder: DetextEncoder
  model_name?: string
  /** Of the encoder 'bert' alone. */
  pretrained_model_config?: ResolvedEncoderConfig
  use_pretrained: boolean
  similarities: Similarity[]
  dense: string[]
  dense_mean: number[]
  dense_std: number[]
  sparse: string[]
  sparse_merge: 'sum' | 'concat'
  shallow: string[]
  hidden_sizes: number[]
  task?: string
  /** Where there is a task. */
  task_weights?: number[]
  lists: ListsConfig
  label: string
  loss: DetextLoss
}

/** What a {@link DetextModel} is made of. */
export interface DetextConfig {
  architecture?: 'DetextModel'
  /** The columns that the model reads; every one plays a part below. A sparse feature's `embedding_size` is 1 unless given. */
  features_config: FeaturesConfig
  /** The text that is searched with: one for all documents of a list. */
  query: string
  /** Texts and ids of who searches, one for all documents of a list; none unless given. Ids are embedded and projected. */
  user_fields?: string[]
  /** Texts and ids of a document. */
  doc_fields: string[]
  /** Merges the user fields and the query into one vector, by a layer with tanh; false unless given. */
  user_projection?: boolean
  /** The same of a document's fields. */
  doc_projection?: boolean
  /** What makes vectors of texts. */
  encoder: { type: 'bert' | 'cnn' | 'lstm' } & Partial<Record<string, unknown>>
  /** Folder of a saved encoder: weights with `use_pretrained`, the tokenizer where a feature is text. */
  model_name?: string
  /** The encoder of 'bert'. */
  pretrained_model_config?: EncoderConfig
  /** Start the encoder from the weights in `model_name`; false unless given. */
  use_pretrained?: boolean
  /** What is made of the vectors of both sides, side by side in this order; ['inner'], the cosines, unless given. */
  similarities?: Similarity[]
  /** Numerical features; all of features_config unless given. A null or NaN counts as 0. */
  dense?: string[]
  /** Their means over the training set, 0 unless given. */
  dense_mean?: number[]
  /** Their standard deviations, 1 unless given. */
  dense_std?: number[]
  /** Categorical features with embeddings beside the numbers; unless given, all that are neither field nor shallow. */
  sparse?: string[]
  /** Embeddings of sparse features are added up ('sum', unless given) or stand side by side. */
  sparse_merge?: 'sum' | 'concat'
  /** Categorical features of which every id has a weight that is added to the score; none unless given. */
  shallow?: string[]
  /** Widths of the layers, each with tanh; [100] unless given. */
  hidden_sizes?: number[]
  /** The column of a list's task, from 0: every task has layers of its own. */
  task?: string
  /** How much the lists of each task count; they are divided by their sum. */
  task_weights?: number[]
  /** Columns that tell lists apart, or these with a length cap; ['list'] unless given. */
  lists?: string[] | ListsConfig
  /** The column that is learned from, numbers of at least 0; 'label' unless given. */
  label?: string
  /** 'pairwise' unless given. */
  loss?: DetextLoss
}

/**
 * Reads the configuration of a DetextModel and fills in the defaults.
 * @throws ConfigError naming file, key, value and what was expected
 */
export function parseDetext(json: unknown, where: string): ResolvedDetextConfig {
  const raw = parseStrict(schema, withoutBookkeeping(json, ['model_type']), where)
  const features = parseFeaturesConfig(withSizes(raw), `${where}: features_config`)
  const encoder = parseEncoder(raw, features, where)
  const roles = rolesOf(raw, features, where)
  const { dense } = roles
  const twice = raw.similarities.find((name, i) => raw.similarities.indexOf(name) < i)
  if (twice !== undefined) throw new ConfigError(`${where}: similarities names '${twice}' twice`)
  for (const key of ['label', 'task'] as const)
    if (raw[key] !== undefined && Object.hasOwn(features, raw[key]))
      throw new ConfigError(
        `${where}: ${key}: '${raw[key]}' is a feature too, expected a column that the model does not score by`,
      )
  const { model_name, pretrained_model_config: _, task, task_weights, lists, ...rest } = raw
  const { label, loss } = raw
  return {
    ...rest,
    ...encoder,
    ...(model_name === undefined ? {} : { model_name }),
    features_config: features,
    ...roles,
    dense_mean: ofEach(raw.dense_mean, dense, 0, 'dense_mean', where),
    dense_std: ofEach(raw.dense_std, dense, 1, 'dense_std', where),
    ...tasksOf(task, task_weights, where),
    lists: listsOf({ lists, label, loss }, where),
  }
}

/** Features with the size of a sparse one's embedding, 1 where it is not given. */
function withSizes({ features_config, user_fields, doc_fields }: Raw): unknown {
  if (!isObject(features_config)) return features_config
  const fields = [...user_fields, ...doc_fields]
  return Object.fromEntries(
    Object.entries(features_config).map(([name, feature]) => {
      const sized = isObject(feature) && feature.dtype === 'categorical' && !fields.includes(name)
      return [
        name,
        sized && feature.embedding_size === undefined ? { ...feature, embedding_size: 1 } : feature,
      ]
    }),
  )
}

function parseEncoder(raw: Raw, features: FeaturesConfig, where: string) {
  const at = `${where}: encoder`
  const fail = (what: string): never => {
    throw new ConfigError(`${at}: ${what}`)
  }
  const given = raw.encoder
  if (!isObject(given))
    return fail(`expected an object with a type of 'bert', 'cnn' or 'lstm', got ${JSON.stringify(given)}`)
  const { type } = parseStrict(
    v.looseObject({ type: oneOf(Object.keys(encoders) as (keyof typeof encoders)[]) }, 'expected a type'),
    given,
    at,
  )
  const encoder = parseStrict(encoders[type], given, at) as DetextEncoder
  const whole = raw.pretrained_model_config
  if (encoder.type === 'bert') {
    if (raw.use_pretrained && raw.model_name === undefined)
      throw new ConfigError(
        `${where}: use_pretrained is true, expected model_name to name a folder with weights`,
      )
    if (whole === undefined)
      throw new ConfigError(`${where}: pretrained_model_config is missing, which encoder 'bert' is made of`)
    const pretrained = parseEncoderConfig(whole, `${where}: pretrained_model_config`)
    checkWords(features, pretrained.vocab_size, where)
    return { encoder, pretrained_model_config: pretrained }
  }
  for (const key of ['pretrained_model_config', 'use_pretrained'] as const)
    if (raw[key])
      throw new ConfigError(
        `${where}: ${key} is of encoder 'bert', and the encoder is '${type}'; leave it out`,
      )
  if (encoder.pad_token_id >= encoder.vocab_size)
    fail(`pad_token_id is ${encoder.pad_token_id}, expected an id below vocab_size, ${encoder.vocab_size}`)
  checkWords(features, encoder.vocab_size, where)
  if (encoder.type === 'lstm' && encoder.bidirectional && encoder.units % 2)
    fail(`units is ${encoder.units}, expected an even number: two directions have half of them each`)
  if (encoder.type === 'cnn') {
    const twice = encoder.windows.find((width, i) => encoder.windows.indexOf(width) < i)
    if (twice !== undefined) fail(`windows names ${twice} twice; more filters of a width are filters`)
    const wide = encoder.windows.find(width => width > encoder.max_positions)
    if (wide !== undefined)
      fail(
        `windows has one of ${wide} words, expected at most max_positions, ${encoder.max_positions}: no text is longer`,
      )
  }
  return { encoder }
}

function checkWords(features: FeaturesConfig, rows: number, where: string): void {
  for (const [name, feature] of Object.entries(features))
    if (feature.dtype === 'token_id' && feature.vocab_size !== undefined && feature.vocab_size > rows)
      throw new ConfigError(
        `${where}: feature '${name}' has vocab_size ${feature.vocab_size}, but the encoder's is ${rows}`,
      )
}

function tasksOf(task: string | undefined, weights: number[] | undefined, where: string) {
  if (task === undefined) {
    if (weights)
      throw new ConfigError(
        `${where}: task_weights is given and task is not, expected the column of the tasks`,
      )
    return {}
  }
  if (!weights)
    throw new ConfigError(`${where}: task is '${task}', expected task_weights beside it, a number a task`)
  if (weights.length < 2)
    throw new ConfigError(
      `${where}: task_weights has ${weights.length} values, expected two tasks or more; leave task out for one`,
    )
  return { task, task_weights: weights }
}

/** How much the lists of each task count, of 1 together. */
export function taskShares({ task_weights = [1] }: Pick<ResolvedDetextConfig, 'task_weights'>): number[] {
  const sum = task_weights.reduce((a, b) => a + b, 0)
  return task_weights.map(weight => weight / sum)
}

/** As every ranker has them. */
const listsOf = ({ lists, label, loss }: Pick<Raw, 'lists' | 'label' | 'loss'>, where: string): ListsConfig =>
  parseRanking({ lists, label, loss: loss === 'softmax' ? 'listwise' : loss }, where, 'pairwise').lists
