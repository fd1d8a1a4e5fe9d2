// Rows of a file of tokens as the trainer takes them: checked, with the sizes of their tables, and split in two.
import { ConfigError, DataError, type Dataset, type FeaturesConfig, featureInputs } from 'kernelgrad'
import { loadDataset, openParquet, type ParquetFile, parquetBytes, shuffledOrder } from 'kernelgrad/data'
import { syntheticKdd } from 'kernelgrad/datasets'
import type { Preparation } from 'kernelgrad/prepare'
import type { Example, Field, TokenChoices } from './protocol.ts'

const SAMPLE_ROWS = 8000
const EVALUATION_SHARE = 0.2
/** Rows that an evaluation looks at. */
export const MOST_EVALUATED = 4000
/** Rows of a table that this page's model can carry. */
const MOST_IDS = 300_000
const SEED = 7

export interface Rows {
  train: Dataset
  evaluation: Dataset
  /** The rows that nothing is learned from, of which `evaluation` are some, and their numbers in the file. */
  heldOut: Dataset
  heldOutRows: Uint32Array
  features: FeaturesConfig
  /** Rows of the word table, and the token id that stands for no word. */
  vocabSize: number
  padTokenId: number
  /** The label's values in order. */
  classes: readonly string[]
  /** Whether a column called `weight` says how much each row counts. */
  weighted: boolean
  /** Most tokens of all texts of a row, where that is known. */
  maxTokens?: number
  /** Of a table: what was learned of it, and what its form asks for. */
  table?: {
    preparation: Preparation
    tokenizer: Record<string, unknown> | undefined
    fields: Field[]
    examples: Example[]
  }
}

export const openFile = (file: Blob, name: string): Promise<ParquetFile> =>
  openParquet(
    { byteLength: file.size, slice: (start: number, end?: number) => file.slice(start, end).arrayBuffer() },
    { name },
  )

/** Click data with a planted signal, as a Parquet file in memory. */
export async function sampleFile(): Promise<Blob> {
  const { train } = syntheticKdd({ trainRows: SAMPLE_ROWS, testRows: 0, seed: SEED })
  return new Blob([await parquetBytes(train.columns)])
}

/**
 * Reads all rows.
 * @throws ConfigError where the choices make no model; DataError naming column, row and value of a bad one.
 */
export async function readRows(file: ParquetFile, { columns, padTokenId }: TokenChoices): Promise<Rows> {
  const labels = columns.filter(({ use }) => use === 'label')
  if (labels.length !== 1) throw new ConfigError(`${labels.length} columns are the label, expected one`)
  const features: FeaturesConfig = {}
  for (const { name, use } of columns) {
    if (use === 'token_id' || use === 'numerical') features[name] = { dtype: use }
    if (use === 'categorical') features[name] = { dtype: use, vocab_size: 2 ** 32 }
  }
  const label = labels[0]!.name
  const data = await loadDataset(file, { inputs: featureInputs(features, { label }) })
  let vocabSize = padTokenId + 1
  for (const { values } of Object.values(data.lists)) vocabSize = Math.max(vocabSize, highest(values) + 1)
  checkSize('the token lists', vocabSize)
  for (const [name, { dtype }] of Object.entries(features)) {
    if (dtype !== 'categorical') continue
    const vocab_size = highest(data.ids[name]!) + 1
    checkSize(`column ${name}`, vocab_size)
    const embedding_size = Math.min(16, Math.ceil(vocab_size ** 0.5) + 1)
    features[name] = { dtype: 'categorical', vocab_size, embedding_size }
  }
  const order = shuffledOrder(data.length, SEED, 0)
  const held = Math.min(MOST_EVALUATED, Math.floor(data.length * EVALUATION_SHARE))
  if (held === 0) throw new DataError(`${file.name} has ${data.length} rows, expected at least 5`)
  const heldOut = takeRows(data, order.subarray(0, held), label)
  return {
    train: takeRows(data, order.subarray(held), label),
    evaluation: heldOut,
    heldOut,
    heldOutRows: order.slice(0, held),
    ...{ features, vocabSize, padTokenId, classes: ['0', '1'], weighted: false },
  }
}

const highest = (values: Uint32Array) => values.reduce((most, value) => Math.max(most, value), 0)

function checkSize(what: string, size: number): void {
  if (size <= MOST_IDS) return
  throw new ConfigError(
    `${what} has ids up to ${size - 1}, expected fewer than ${MOST_IDS}: number them from 0, or ignore the column`,
  )
}

/** The rows of `order`, copied. */
function takeRows(data: Dataset, order: Uint32Array, label: string): Dataset {
  const each = <A, B>(record: Record<string, A>, take: (values: A) => B): Record<string, B> =>
    Object.fromEntries(Object.entries(record).map(([name, values]) => [name, take(values)]))
  return {
    ...data,
    files: [{ ...data.files[0]!, rows: order.length }],
    length: order.length,
    lists: each(data.lists, ({ values, offsets }) => {
      const taken = new Uint32Array(order.length + 1)
      for (const [i, row] of order.entries()) taken[i + 1] = taken[i]! + offsets[row + 1]! - offsets[row]!
      const ids = new Uint32Array(taken.at(-1)!)
      for (const [i, row] of order.entries())
        ids.set(values.subarray(offsets[row]!, offsets[row + 1]!), taken[i]!)
      return { values: ids, offsets: taken }
    }),
    // The model reads its label under that name.
    ids: each({ ...data.ids, label: data.ids[label]! }, values => order.map(row => values[row]!)),
    floats: each(data.floats, values => Float32Array.from(order, row => values[row]!)),
  }
}

/** The first rows. */
export function firstRows(data: Dataset, most: number): Dataset {
  if (data.length <= most) return data
  const order = Uint32Array.from({ length: most }, (_, i) => i)
  return takeRows(data, order, 'label')
}

/** What the form for a row asks for. */
export function fieldsOf({ table, features, vocabSize }: Rows): Field[] {
  if (table) return table.fields
  return Object.entries(features).map(([name, feature]): Field => {
    if (feature.dtype === 'categorical') return { name, use: 'categorical', limit: feature.vocab_size }
    return feature.dtype === 'numerical'
      ? { name, use: 'numerical' }
      : { name, use: 'token_id', limit: vocabSize }
  })
}

/** A few rows to fill the form with: two of each class where there are. */
export function examplesOf({ table, evaluation }: Rows): Example[] {
  if (table) return table.examples
  const labels = [...evaluation.ids.label!]
  const first = (label: number) => labels.flatMap((l, i) => (l === label ? [i] : [])).slice(0, 2)
  return [...first(1), ...first(0)].map((i, at) => ({
    title: `Example ${at + 1} (${labels[i] ? 'clicked' : 'not clicked'})`,
    row: rowOf(evaluation, i),
  }))
}

function rowOf({ lists, ids, floats }: Dataset, i: number): Record<string, number[]> {
  const row: Record<string, number[]> = {}
  for (const [name, { values, offsets }] of Object.entries(lists))
    row[name] = [...values.subarray(offsets[i]!, offsets[i + 1]!)]
  for (const [name, values] of Object.entries({ ...ids, ...floats })) row[name] = [values[i]!]
  return row
}
