import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import { FEATURE_DTYPES } from './features.ts'
import { integer, isObject, oneOf, parseStrict, strict } from './schema.ts'

const count = integer(0)

/** What preprocessing found out about the data, and a model's configuration must agree with: features.json. */
export type FeatureSizes = v.InferOutput<typeof sizesSchema>
const common = {
  /** Columns for the model, in order; categorical ones with their number of codes. */
  features_config: v.record(
    v.string(),
    strict({
      dtype: oneOf(FEATURE_DTYPES),
      vocab_size: v.optional(integer(1)),
    }),
  ),
  num_labels: integer(2),
  /** Raw rows read, and those in the files: a row of clicks whose title or query is unknown is in neither. */
  rows: strict({ read: count, train: count, test: count }),
  seed: count,
}
const sizesSchema = strict({
  ...common,
  /** Rows of the word table, padding included. */
  vocab_size: integer(2),
  /** Also the id of every token that is out of vocabulary. */
  pad_token_id: count,
  clicks: strict({ train: count, test: count }),
})

/** The same of a table of one's own, as `kernelgrad prepare` writes it. */
export type PreparedSizes = v.InferOutput<typeof preparedSchema>
const preparedSchema = strict({
  ...common,
  /** What each raw column was made; changed, it is what the next `prepare --features` makes of it. */
  columns: v.unknown(),
  /** Rows of the word table, padding included, where a feature is text. */
  vocab_size: v.optional(integer(2)),
  /** The id that means no token, where a feature is text. */
  pad_token_id: v.optional(count),
})

/**
 * Reads features.json of either kind.
 * @throws ConfigError as {@link parseFeatureSizes}.
 * @internal
 */
export function parseSizes(json: unknown, where: string): FeatureSizes | PreparedSizes {
  return isObject(json) && 'columns' in json
    ? parseStrict(preparedSchema, json, where)
    : parseFeatureSizes(json, where)
}

/**
 * Reads features.json.
 * @throws ConfigError naming file, place, key and what was expected.
 */
export function parseFeatureSizes(json: unknown, where: string): FeatureSizes {
  return parseStrict(sizesSchema, json, where)
}

/**
 * Fills the sizes that a configuration leaves out: `vocab_size` of its categorical features, `vocab_size` and `pad_token_id` of
 * the encoder, `num_labels` of classifiers. Features that the sizes do not know are left alone.
 * @param config parsed JSON of a model or training configuration.
 * @param where the configuration's file name, `from` that of the sizes, for messages.
 * @returns a copy; what is no configuration at all comes back as it is, for the parser to refuse.
 * @throws ConfigError naming both files, the key and both values where the configuration says something else.
 */
export function fillSizes(
  config: unknown,
  sizes: FeatureSizes | PreparedSizes,
  where: string,
  from: string,
): unknown {
  if (!isObject(config)) return config
  const fill = (target: Record<string, unknown>, place: string, values: Record<string, unknown>) => {
    const filled = { ...target }
    for (const [key, value] of Object.entries(values)) {
      if (value === undefined) continue
      if (filled[key] !== undefined && filled[key] !== value) {
        throw new ConfigError(
          `${where}: ${place}${key} is ${JSON.stringify(filled[key])}, but ${from} says ${JSON.stringify(value)}; leave it out to take that`,
        )
      }
      filled[key] = value
    }
    return filled
  }
  const { num_labels, vocab_size, pad_token_id } = sizes
  const { pretrained_model_config: encoder, encoder: words, features_config: features } = config
  // A ranker, whose encoder is one of several kinds, has grades and no classes.
  const filled = isObject(words) ? { ...config } : fill(config, '', { num_labels })
  if (isObject(encoder))
    filled.pretrained_model_config = fill(encoder, 'pretrained_model_config.', { vocab_size, pad_token_id })
  if (isObject(words) && words.type !== 'bert')
    filled.encoder = fill(words, 'encoder.', { vocab_size, pad_token_id })
  if (isObject(features)) {
    filled.features_config = Object.fromEntries(
      Object.entries(features).map(([name, feature]) => {
        const known = Object.hasOwn(sizes.features_config, name) ? sizes.features_config[name] : undefined
        if (!known || !isObject(feature)) return [name, feature]
        return [name, fill(feature, `features_config.${name}.`, known)]
      }),
    )
  }
  return filled
}
