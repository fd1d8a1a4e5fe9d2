import { ConfigError } from '../errors.ts'

/**
 * One column of the data and how the model reads it.
 * - `token_id`: a list of token ids; several such columns are joined into one list, in config order.
 * - `text`: a string for the tokenizer; several are joined into one text, in config order.
 * - `numerical`: one number, fed to the MLP as it is.
 * - `categorical`: an id below `vocab_size`, looked up in an embedding table of its own or, with
 *   `share_embedding`, in the table of the categorical feature named there.
 */
export type FeatureConfig =
  | { dtype: 'token_id'; vocab_size?: number }
  | { dtype: 'text' }
  | { dtype: 'numerical' }
  | { dtype: 'categorical'; vocab_size: number; embedding_size?: number; share_embedding?: string }

/** Features by column name. The order is the model's: it fixes the columns of the first MLP weight. */
export type FeaturesConfig = Record<string, FeatureConfig>

/** How a column is read. */
export type FeatureDtype = FeatureConfig['dtype']
/** A column of ids with an embedding table. */
export type CategoricalFeature = Extract<FeatureConfig, { dtype: 'categorical' }>

/** Every way to read a column. */
export const FEATURE_DTYPES: readonly FeatureDtype[] = ['token_id', 'text', 'numerical', 'categorical']

/** Names of the features of one dtype, in config order. */
export function namesByDtype(features: FeaturesConfig, dtype: FeatureDtype): string[] {
  return Object.entries(features)
    .filter(([, feature]) => feature.dtype === dtype)
    .map(([name]) => name)
}

/** Feature names in config order, one list per dtype. */
export function groupFeatures(features: FeaturesConfig): Record<FeatureDtype, string[]> {
  return {
    token_id: namesByDtype(features, 'token_id'),
    text: namesByDtype(features, 'text'),
    numerical: namesByDtype(features, 'numerical'),
    categorical: namesByDtype(features, 'categorical'),
  }
}

function categorical(features: FeaturesConfig, name: string, askedFor: string): CategoricalFeature {
  const feature = Object.hasOwn(features, name) ? features[name] : undefined
  if (!feature) {
    const known = namesByDtype(features, 'categorical').join(', ') || 'none'
    throw new ConfigError(`${askedFor} is no feature; categorical features: ${known}`)
  }
  if (feature.dtype !== 'categorical') {
    throw new ConfigError(`${askedFor} has dtype '${feature.dtype}', expected 'categorical'`)
  }
  return feature
}

/**
 * Name of the categorical feature whose embedding table `name` reads: `name` itself, or what its `share_embedding`
 * says. The table's parameter is called `categorical_embeddings.<owner>_embedding.weight`.
 * @throws ConfigError when the owner is missing, is not categorical, or shares a table itself.
 */
export function ownerOf(features: FeaturesConfig, name: string): string {
  const owner = categorical(features, name, `feature '${name}'`).share_embedding
  if (owner === undefined || owner === name) return name
  const named = `'${owner}', named in share_embedding of feature '${name}',`
  const further = categorical(features, owner, named).share_embedding
  if (further !== undefined && further !== owner) {
    throw new ConfigError(`${named} shares the table of '${further}' itself; name '${further}' instead`)
  }
  return owner
}

/**
 * Rows and columns of the embedding table that categorical feature `name` reads.
 * @throws ConfigError as {@link ownerOf}, and when the table's `embedding_size` is not given.
 */
export function embeddingTableOf(
  features: FeaturesConfig,
  name: string,
): { owner: string; vocabSize: number; embeddingSize: number } {
  const owner = ownerOf(features, name)
  const { vocab_size, embedding_size } = categorical(features, owner, `feature '${owner}'`)
  if (embedding_size === undefined) {
    throw new ConfigError(`feature '${owner}' has no embedding_size, expected an integer of at least 1`)
  }
  return { owner, vocabSize: vocab_size, embeddingSize: embedding_size }
}

/**
 * Checks what no single feature shows: shared tables resolve and agree in size, and order survives.
 * @throws ConfigError naming the feature.
 */
export function checkFeatures(features: FeaturesConfig): void {
  for (const [name, feature] of Object.entries(features)) {
    // JavaScript lists integer-like keys first, whatever the file's order was; the order decides weight columns.
    if (/^(0|[1-9]\d*)$/.test(name)) {
      throw new ConfigError(`feature '${name}' has an integer for a name, which loses its place in the order`)
    }
    if (feature.dtype !== 'categorical') continue
    const table = embeddingTableOf(features, name)
    if (table.owner === name) continue
    if (feature.embedding_size !== undefined && feature.embedding_size !== table.embeddingSize) {
      throw new ConfigError(
        `feature '${name}' has embedding_size ${feature.embedding_size}, but the table it shares with ` +
          `'${table.owner}' has ${table.embeddingSize}`,
      )
    }
    if (feature.vocab_size > table.vocabSize) {
      throw new ConfigError(
        `feature '${name}' has vocab_size ${feature.vocab_size}, but the table it shares with ` +
          `'${table.owner}' has ${table.vocabSize} rows`,
      )
    }
  }
}
