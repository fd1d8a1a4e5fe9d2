/** Parquet files as columns of typed arrays: all in memory for training, or one row group at a time for predicting. */

import type { FeaturesConfig, featureInputs } from '../config/index.ts'
import { DataError } from '../errors.ts'
import type { Inputs } from '../inputs.ts'
import type { TokenLists } from './columns.ts'
import { joinKinds } from './join-columns.ts'
import { openAll } from './open-all.ts'
import { columnOf, isParquetFile, openParquet, type ParquetFile, readColumns } from './parquet.ts'
import { parquetFiles } from './parquet-files.ts'
import { planFor, readGroup } from './read-group.ts'
import type { TrainOnly } from './read-plan.ts'
import { readingOf } from './reading.ts'
import { sharedFloats, sharedIds } from './shared-memory.ts'
import type { ParquetSource } from './source.ts'

/** Rows as typed arrays, by column. Every value is checked: ids are below their table's size. */
export interface Columns {
  /** Number of rows. */
  length: number
  /** Number of the first row in its source, 0 for a dataset. */
  rowStart: number
  /** Token lists; the strings that make one text are one entry, under their names joined by a space. */
  lists: Record<string, TokenLists>
  /** [length] ids of each column of ids or classes. */
  ids: Record<string, Uint32Array>
  /** [length] values of each column of numbers. */
  floats: Record<string, Float32Array>
  /** Name of the file that the rows are from, of rows of one file. */
  file?: string
  /** Where each file's rows are, of rows of several. */
  files?: { name: string; rowStart: number; rows: number }[]
  /** Where rows come from that are picked from anywhere in some files, stretch by stretch; in their place `rowStart` means nothing. */
  parts?: ColumnsPart[]
}

/** Rows side by side that stand side by side in a file too. */
export interface ColumnsPart {
  /** The first of them in the columns. */
  start: number
  /** Name of the file. */
  file: string
  /** Number of the first in the file. */
  row: number
  /** The same through all files in order. */
  number: number
}

/** A row group's rows. */
export interface Chunk extends Columns {
  /** Name of the file. */
  file: string
  /** The columns asked for with `extra`, as they stand in the file. */
  extra: Record<string, unknown[]>
}

/** All rows of one or several files. Rows are numbered through all files in order. */
export interface Dataset extends Columns {
  /** Where each file's rows are. */
  files: { name: string; rowStart: number; rows: number }[]
}

/** What to read and how to check it. */
export interface ReadOptions {
  /** What a model reads: its `inputs`, or some of one's own. */
  inputs: Inputs
  /**
   * Of inputs for the loss alone: a file without their columns is an error (default), has none, or they are not read at all. 'judged' asks for
   * what a model is judged by and takes the rest (`lossOnly`) where it is there.
   */
  trainOnly?: TrainOnly
  /** Turns text into token ids; a row's texts are joined by one space. */
  tokenize?: (text: string) => ArrayLike<number>
  /** The same by the name that a text input has for it, where it names one. */
  tokenizers?: Record<string, (text: string) => ArrayLike<number>>
}

/** What to read, as features and a label instead of inputs. */
export interface FeatureReadOptions {
  /** The columns to read; see {@link featureInputs}. */
  features: FeaturesConfig
  /** Name of the label column, default 'label'; null reads no labels. */
  label?: string | null
  /** Whether a file without the label column is an error (default true) or has no labels. */
  requireLabels?: boolean
  /** Labels are 0 to numLabels - 1, default 2. */
  numLabels?: number
  /** Rows of the word table: token ids are below it. A feature's own vocab_size, where smaller, wins. */
  vocabSize?: number
  /** As in {@link ReadOptions}. */
  tokenize?: (text: string) => ArrayLike<number>
}

/**
 * Reads whole files into memory, which threads can share where the platform has such memory: about 4 bytes per value.
 * @param sources Paths, folders and patterns ({@link parquetFiles}), buffers or open files, one or several with the same columns.
 * @throws DataError naming file, column, row and value of the first bad value; or that there are no rows.
 *
 * @example
 * ```ts
 * import { loadDataset } from 'kernelgrad'
 *
 * const data = await loadDataset('train.parquet', { inputs: model.inputs })
 * ```
 */
export async function loadDataset(
  sources: ParquetSource | ParquetFile | (ParquetSource | ParquetFile)[],
  options: ReadOptions | FeatureReadOptions,
): Promise<Dataset> {
  const reading = readingOf('loadDataset', options)
  const chunks: Chunk[] = []
  const files: Dataset['files'] = []
  let length = 0
  for (const file of await openAll(sources)) {
    files.push({ name: file.name, rowStart: length, rows: file.rows })
    length += file.rows
    for await (const chunk of streamChunks(file, reading)) chunks.push(chunk)
  }
  const names = files.map(file => file.name).join(', ')
  if (length === 0) throw new DataError(`${names || 'the dataset'} has no rows`)
  checkAlike(chunks)
  const values = joinKinds(chunks, { ids: sharedIds, floats: sharedFloats, take: taken })
  return { files, length, rowStart: 0, ...values }
}

/**
 * Reads a file one row group at a time, so that its size does not matter. A file without rows yields nothing.
 * @param options.extra Further columns to hand through unchecked.
 * @throws DataError as loadDataset; ConfigError where a text feature has no `tokenize`.
 */
export async function* streamChunks(
  source: ParquetSource | ParquetFile,
  options: (ReadOptions | FeatureReadOptions) & { extra?: string[] },
): AsyncGenerator<Chunk> {
  const reading = readingOf('streamChunks', options)
  const { inputs, trainOnly = 'required', tokenize, tokenizers } = reading
  const { extra = [] } = options
  const file = isParquetFile(source) ? source : await openParquet(source)
  const plan = planFor(file, inputs, trainOnly)
  for (const name of extra) columnOf(file, name)
  for (const [group, { rowStart, rows }] of file.groups.entries()) {
    if (rows === 0) continue
    const more = await readColumns(file, extra, { rowStart, rowEnd: rowStart + rows })
    const read = await readGroup(file, group, plan, { tokenize, tokenizers })
    yield { file: file.name, length: rows, rowStart, ...read, extra: more }
  }
}

/** @throws DataError where a file has a column that is optional, and another has not. */
function checkAlike(chunks: readonly Chunk[]): void {
  const namesOf = ({ lists, ids, floats }: Chunk) => [lists, ids, floats].flatMap(Object.keys)
  const all = new Map(chunks.flatMap(chunk => namesOf(chunk).map(name => [name, chunk.file] as const)))
  for (const chunk of chunks) {
    const names = new Set(namesOf(chunk))
    for (const [name, file] of all)
      if (!names.has(name)) throw new DataError(`${file} has column ${name}, ${chunk.file} has none`)
  }
}

/** Takes a column out of its chunk, so that its memory goes when it has been copied: whole, data is there only once. */
function taken<K extends 'lists' | 'ids' | 'floats'>(
  chunk: Pick<Columns, 'lists' | 'ids' | 'floats'>,
  kind: K,
  name: string,
): Columns[K][string] {
  const column = chunk[kind][name] as Columns[K][string]
  delete chunk[kind][name]
  return column
}
