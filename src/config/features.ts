import { ConfigError } from '../errors.ts'
import type { BatchOf, ClassesInput, FloatsInput, IdsInput, TextInput } from '../inputs.ts'

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

/** What a model of features reads: the inputs that a features config comes to. */
export type FeatureInputs = {
  /** Absent where no feature holds text. */
  text?: TextInput
  /** Every categorical feature. */
  categorical: IdsInput
  /** Every numerical feature. */
  numerical: FloatsInput
  /** The label column. */
  labels: ClassesInput & { trainOnly: true }
  /** Weights that rows have in the loss, where a column holds them. */
  rowWeights?: FloatsInput & { trainOnly: true; lossOnly: true }
}

/** A batch of {@link FeatureInputs}, from `collate` or `collatePadded`. */
export type FeatureBatch = BatchOf<FeatureInputs>

/** Sizes that a features config does not hold. */
export interface FeatureInputOptions {
  /** Rows of the word table, and the id that means no token. */
  vocabSize?: number
  /** Tokens equal to it are masked. */
  padTokenId?: number
  /** Most tokens of a row, default 512. */
  maxPositions?: number
  /** See {@link TextInput}. */
  keepFirst?: boolean
  /** Name of the label column, default 'label'. */
  label?: string
  /** Classes, default 2. */
  numLabels?: number
}

/**
 * The inputs that features come to: all text features one text, categorical and numerical ones by column, and the label.
 *
 * @example
 * ```ts
 * import { featureInputs, loadDataset } from 'kernelgrad'
 *
 * const inputs = featureInputs({ title: { dtype: 'token_id' }, price: { dtype: 'numerical' } }, { vocabSize: 1000, padTokenId: 0 })
 * const data = await loadDataset('train.parquet', { inputs })
 * ```
 */
export function featureInputs(
  features: FeaturesConfig,
  {
    vocabSize = 2 ** 32,
    padTokenId = 2 ** 32 - 1,
    maxPositions = 512,
    keepFirst,
    label = 'label',
    numLabels = 2,
  }: FeatureInputOptions = {},
): FeatureInputs {
  const columns = Object.entries(features).flatMap(([name, feature]): TextInput['columns'] => {
    if (feature.dtype === 'text') return [{ name, dtype: 'text' }]
    if (feature.dtype !== 'token_id') return []
    return [{ name, dtype: 'token_id', ...(feature.vocab_size ? { rows: feature.vocab_size } : {}) }]
  })
  const text: TextInput = { kind: 'text', columns, rows: vocabSize, padTokenId, maxPositions }
  if (keepFirst) text.keepFirst = true
  const tables = namesByDtype(features, 'categorical').map(name => [
    name,
    categorical(features, name, name).vocab_size,
  ])
  return {
    ...(columns.length ? { text } : {}),
    categorical: { kind: 'ids', columns: Object.fromEntries(tables) },
    numerical: { kind: 'floats', columns: namesByDtype(features, 'numerical') },
    labels: { kind: 'classes', column: label, classes: numLabels, trainOnly: true },
  }
}
