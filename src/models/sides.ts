// The texts of a two-sided model: which columns are the query's and which the ad's, checked before anything is read.
import * as v from 'valibot'
import {
  encoderShape,
  type FeaturesConfig,
  featureInputs,
  type ResolvedModelConfig,
} from '../config/index.ts'
import { finishModel, modelEntries } from '../config/model.ts'
import { flag, isObject, type strict } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import type { TextInput } from '../inputs.ts'
import { SIDES, type SideName, type Sides } from './two-sided.ts'

/** Keys that every two-sided model has beside a click model's. */
export const sideEntries = {
  features_config: modelEntries.features_config,
  num_labels: modelEntries.num_labels,
  model_name: modelEntries.model_name,
  pretrained_model_config: modelEntries.pretrained_model_config,
  use_pretrained: modelEntries.use_pretrained,
  sides: v.optional(v.unknown()),
  tied: v.optional(flag, true),
}

/** What they come to, beside `architecture`. */
export interface SidedConfig extends Omit<ResolvedModelConfig, 'architecture' | 'mlp_config'> {
  sides: Sides
  tied: boolean
}

/**
 * The keys that two-sided models share, with defaults, checked together.
 * @throws ConfigError naming key, value and what was expected
 */
export function finishSides(
  { sides, tied, ...click }: v.InferOutput<ReturnType<typeof strict<typeof sideEntries>>>,
  where: string,
): SidedConfig {
  const {
    architecture: _,
    mlp_config: __,
    ...model
  } = finishModel({ ...click, architecture: 'TextTabularModel', mlp_config: null }, where)
  return { ...model, sides: parseSides(sides, model.features_config, where), tied }
}

const isText = ({ dtype }: { dtype: string }) => dtype === 'token_id' || dtype === 'text'

/** Text features, in the order of the configuration. */
export const textFeatures = (features: FeaturesConfig): string[] =>
  Object.keys(features).filter(name => isText(features[name]!))

/** @throws ConfigError unless every text feature is on exactly one side, and nothing else is on either */
function parseSides(json: unknown, features: FeaturesConfig, where: string): Sides {
  const texts = textFeatures(features)
  const known = `the text features are ${texts.map(name => `'${name}'`).join(', ')}`
  const shape = 'expected { "query": [columns], "ad": [columns] }'
  if (json === undefined) throw new ConfigError(`${where}: sides is missing, ${shape}; ${known}`)
  const fail = (key: string, what: string): never => {
    throw new ConfigError(`${where}: sides${key}: ${what}`)
  }
  if (!isObject(json)) return fail('', `${shape}, got ${JSON.stringify(json)}; ${known}`)
  for (const name of Object.keys(json))
    if (!SIDES.includes(name as SideName)) fail('', `unknown side '${name}'; the sides are 'query' and 'ad'`)
  const placed = new Map<string, SideName>()
  const sides = {} as Sides
  for (const side of SIDES) {
    const columns = json[side]
    const key = `.${side}`
    if (columns === undefined) fail('', `side '${side}' is missing, ${shape}; ${known}`)
    if (!Array.isArray(columns) || !columns.every(name => typeof name === 'string'))
      fail(key, `expected a list of columns, got ${JSON.stringify(columns)}; ${known}`)
    const names = columns as string[]
    if (!names.length) fail(key, `the side has no text, expected one column or more; ${known}`)
    for (const name of names) {
      const feature = Object.hasOwn(features, name) ? features[name] : undefined
      if (!feature) return fail(key, `'${name}' is no feature of features_config; ${known}`)
      if (!isText(feature))
        fail(
          key,
          `feature '${name}' has dtype '${feature.dtype}', expected 'token_id' or 'text': other features belong to no side, leave it out`,
        )
      const other = placed.get(name)
      if (other)
        fail(
          key,
          `column '${name}' is on side '${other}' ${other === side ? 'already' : 'too'}, expected every column once; name it in one place`,
        )
      placed.set(name, side)
    }
    sides[side] = [...names]
  }
  const left = texts.find(name => !placed.has(name))
  if (left !== undefined)
    fail(
      '',
      `text feature '${left}' is on no side, expected each on one; add it to 'query' or 'ad', or take it out of features_config`,
    )
  return sides
}

/** What each side reads: its columns as one text, in the order that the side names them. */
export function sideInputs(
  {
    features_config,
    pretrained_model_config,
  }: Pick<ResolvedModelConfig, 'features_config' | 'pretrained_model_config'>,
  sides: Sides,
  { keepFirst = false } = {},
): Record<SideName, TextInput> {
  const { vocab_size, pad_token_id, max_position_embeddings } = encoderShape(pretrained_model_config)
  const input = (side: SideName) => {
    const own = Object.fromEntries(sides[side].map(name => [name, features_config[name]!]))
    const sizes = { vocabSize: vocab_size, padTokenId: pad_token_id, maxPositions: max_position_embeddings }
    return featureInputs(own, { ...sizes, keepFirst }).text!
  }
  return { query: input('query'), ad: input('ad') }
}
