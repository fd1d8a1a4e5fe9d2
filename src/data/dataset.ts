/** Parquet files as columns of typed arrays: all in memory for training, or one row group at a time for predicting. */

import { COUNT, expectFlag, expectFunction, expectNumber, expectOptions, shown } from '../check.ts'
import type { FeaturesConfig } from '../config/index.ts'
import { ConfigError, DataError } from '../errors.ts'
import { type ColumnSpec, floatColumn, idColumn, listColumn, type TokenLists, textColumn } from './columns.ts'
import {
  columnOf,
  isParquetFile,
  openParquet,
  type ParquetFile,
  readColumns,
  readGroupPages,
} from './parquet.ts'
import type { ParquetSource } from './source.ts'

/** Rows as typed arrays, one per feature. Every value is checked: ids are below their table's size. */
export interface Columns {
  /** Number of rows. */
  length: number
  /** Number of the first row in its source, 0 for a dataset. */
  rowStart: number
  /** What the columns are. */
  features: FeaturesConfig
  /** One entry per token_id feature, in config order; all text features together are one entry, named by the first. */
  lists: Record<string, TokenLists>
  /** [length] ids of each categorical feature. */
  categorical: Record<string, Uint32Array>
  /** [length] values of each numerical feature. */
  numerical: Record<string, Float32Array>
  /** [length] class of each row, where labels were read. */
  labels?: Uint32Array
  /** Name of the file that the rows are from, of rows of one file. */
  file?: string
  /** Where each file's rows are, of rows of several. */
  files?: { name: string; rowStart: number; rows: number }[]
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
  /** The column that the labels were read from. */
  label?: string
}

/** What to read and how to check it. */
export interface ReadOptions {
  /** The columns to read. */
  features: FeaturesConfig
  /** Name of the label column, default 'label'; null reads no labels. */
  label?: string | null
  /** Whether a file without the label column is an error (default true) or has no labels. */
  requireLabels?: boolean
  /** Labels are 0 to numLabels - 1, default 2. */
  numLabels?: number
  /** Rows of the word table: token ids are below it. A feature's own vocab_size, where smaller, wins. */
  vocabSize?: number
  /** Turns text features into token ids; a row's texts are joined by one space. */
  tokenize?: (text: string) => ArrayLike<number>
}

const READ_OPTIONS = ['features', 'label', 'requireLabels', 'numLabels', 'vocabSize', 'tokenize']

function checkReadOptions(
  where: string,
  options: ReadOptions & { extra?: unknown },
  known: readonly string[],
): void {
  expectOptions(`${where}: options`, options, known)
  const { features, label, requireLabels, numLabels, vocabSize, tokenize } = options
  if (typeof features !== 'object' || features === null || Array.isArray(features))
    throw new ConfigError(
      `${where}: features is ${shown(features)}, expected an object of columns: { price: { dtype: 'numerical' } }`,
    )
  if (label !== undefined && label !== null && typeof label !== 'string')
    throw new ConfigError(`${where}: label is ${shown(label)}, expected the name of a column, or null`)
  if (requireLabels !== undefined) expectFlag(`${where}: requireLabels`, requireLabels)
  if (numLabels !== undefined) expectNumber(`${where}: numLabels`, numLabels, COUNT)
  if (vocabSize !== undefined) expectNumber(`${where}: vocabSize`, vocabSize, COUNT)
  if (tokenize !== undefined) expectFunction(`${where}: tokenize`, tokenize)
}

/**
 * Reads whole files into memory, which threads can share where the platform has such memory: about 4 bytes per value.
 * @param sources Paths, buffers or open files, one or several with the same columns.
 * @throws DataError naming file, column, row and value of the first bad value; or that there are no rows.
 *
 * @example
 * ```ts
 * import { loadDataset } from 'kernelgrad'
 *
 * const data = await loadDataset('train.parquet', {
 *   features: { title: { dtype: 'token_id' }, price: { dtype: 'numerical' } },
 *   vocabSize: 1000,
 * })
 * ```
 */
export async function loadDataset(
  sources: ParquetSource | ParquetFile | (ParquetSource | ParquetFile)[],
  options: ReadOptions,
): Promise<Dataset> {
  checkReadOptions('loadDataset', options, READ_OPTIONS)
  const chunks: Chunk[] = []
  const files: Dataset['files'] = []
  let length = 0
  for (const source of Array.isArray(sources) ? sources : [sources]) {
    const file = isParquetFile(source) ? source : await openParquet(source)
    files.push({ name: file.name, rowStart: length, rows: file.rows })
    length += file.rows
    for await (const chunk of streamChunks(file, options)) chunks.push(chunk)
  }
  const names = files.map(file => file.name).join(', ')
  if (length === 0) throw new DataError(`${names || 'the dataset'} has no rows`)
  const unlabelled = chunks.find(chunk => !chunk.labels)
  const labelled = chunks.find(chunk => chunk.labels)
  if (labelled && unlabelled) throw new DataError(`${labelled.file} has labels, ${unlabelled.file} has none`)
  const first = chunks[0]!
  return {
    files,
    length,
    rowStart: 0,
    features: options.features,
    lists: mapKeys(first.lists, name => joinLists(chunks.map(chunk => taken(chunk.lists, name)))),
    categorical: mapKeys(first.categorical, name =>
      joined(
        chunks.map(chunk => taken(chunk.categorical, name)),
        sharedIds,
      ),
    ),
    numerical: mapKeys(first.numerical, name =>
      joined(
        chunks.map(chunk => taken(chunk.numerical, name)),
        sharedFloats,
      ),
    ),
    ...(labelled
      ? {
          label: options.label ?? 'label',
          labels: joined(
            chunks.map(chunk => chunk.labels!),
            sharedIds,
          ),
        }
      : {}),
  }
}

/**
 * Reads a file one row group at a time, so that its size does not matter. A file without rows yields nothing.
 * @param options.extra Further columns to hand through unchecked.
 * @throws DataError as loadDataset; ConfigError where a text feature has no `tokenize`.
 */
export async function* streamChunks(
  source: ParquetSource | ParquetFile,
  options: ReadOptions & { extra?: string[] },
): AsyncGenerator<Chunk> {
  checkReadOptions('streamChunks', options, [...READ_OPTIONS, 'extra'])
  const { features, label = 'label', requireLabels = true, numLabels = 2, extra = [] } = options
  const file = isParquetFile(source) ? source : await openParquet(source)
  const readLabels = label !== null && (requireLabels || file.columns.includes(label))
  // Every column is looked up first: a missing one is reported before a long read, also in a file without rows.
  for (const name of [...Object.keys(features), ...(readLabels ? [label] : []), ...extra])
    columnOf(file, name)
  for (const [group, { rowStart, rows }] of file.groups.entries()) {
    if (rows === 0) continue
    const read = async <T>(name: string, convert: (pages: PagesOf, spec: ColumnSpec) => T): Promise<T> => {
      const leaf = columnOf(file, name)
      return convert(await readGroupPages(file, group, leaf), { file: file.name, leaf, rowStart, rows })
    }
    const chunk: Chunk = {
      file: file.name,
      length: rows,
      rowStart,
      features,
      lists: {},
      categorical: {},
      numerical: {},
      extra: await readColumns(file, extra, { rowStart, rowEnd: rowStart + rows }),
    }
    const texts: string[][] = []
    const firstText = Object.keys(features).find(name => features[name]!.dtype === 'text')
    for (const [name, feature] of Object.entries(features)) {
      if (feature.dtype === 'token_id') {
        const limit = Math.min(feature.vocab_size ?? 2 ** 32, options.vocabSize ?? 2 ** 32)
        chunk.lists[name] = await read(name, (pages, spec) => listColumn(pages, spec, limit))
      } else if (feature.dtype === 'categorical') {
        chunk.categorical[name] = await read(name, (pages, spec) => idColumn(pages, spec, feature.vocab_size))
      } else if (feature.dtype === 'numerical') {
        chunk.numerical[name] = await read(name, floatColumn)
      } else {
        texts.push(await read(name, textColumn))
        // Holds the place of the joined text among the lists until all of its parts are read.
        if (name === firstText)
          chunk.lists[name] = { values: new Uint32Array(0), offsets: new Uint32Array(0) }
      }
    }
    if (firstText !== undefined) chunk.lists[firstText] = tokenizeAll(texts, firstText, options)
    if (readLabels) chunk.labels = await read(label, (pages, spec) => idColumn(pages, spec, numLabels))
    yield chunk
  }
}

type PagesOf = Awaited<ReturnType<typeof readGroupPages>>

function tokenizeAll(
  texts: string[][],
  name: string,
  { tokenize, vocabSize = 2 ** 32 }: ReadOptions,
): TokenLists {
  if (!tokenize)
    throw new ConfigError(`feature ${name} is text and no tokenizer is given, expected a tokenize function`)
  const rows = texts[0]!.length
  const offsets = new Uint32Array(rows + 1)
  const values: number[] = []
  for (let row = 0; row < rows; row++) {
    const text = texts.map(column => column[row]!).join(' ')
    const ids = tokenize(text)
    for (let i = 0; i < ids.length; i++) {
      if (!(ids[i]! >= 0 && ids[i]! < vocabSize))
        throw new ConfigError(
          `the tokenizer gave token id ${ids[i]} for ${JSON.stringify(text)}, expected 0 to ${vocabSize - 1}`,
        )
      values.push(ids[i]!)
    }
    offsets[row + 1] = values.length
  }
  return { values: Uint32Array.from(values), offsets }
}

/** Takes a column out of its chunk, so that its memory goes when it has been copied: whole, data is there only once. */
function taken<T>(record: Record<string, T>, name: string): T {
  const column = record[name]!
  delete record[name]
  return column
}

// A worker reads shared memory in place. Browsers have it in pages that are isolated from others only.
const Memory = typeof SharedArrayBuffer === 'undefined' ? ArrayBuffer : SharedArrayBuffer
const sharedIds = (n: number) => new Uint32Array(new Memory(4 * n))
const sharedFloats = (n: number) => new Float32Array(new Memory(4 * n))

function joinLists(lists: TokenLists[]): TokenLists {
  const offsets = sharedIds(lists.reduce((rows, list) => rows + list.offsets.length - 1, 1))
  let row = 0
  let start = 0
  for (const list of lists) {
    for (let i = 1; i < list.offsets.length; i++) offsets[++row] = start + list.offsets[i]!
    start += list.values.length
  }
  return {
    values: joined(
      lists.map(list => list.values),
      sharedIds,
    ),
    offsets,
  }
}

/** One array after the other, in memory that threads can share. */
function joined<A extends Uint32Array | Float32Array>(parts: A[], memory: (n: number) => A): A {
  const out = memory(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function mapKeys<A, B>(record: Record<string, A>, make: (name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.keys(record).map(name => [name, make(name)]))
}
