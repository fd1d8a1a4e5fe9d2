/** Opening a Parquet file and reaching its columns, one row group at a time. */
import type { AsyncBuffer, ColumnMetaData, CompressionCodec, FileMetaData } from 'hyparquet/src/types.js'
import { DataError } from '../errors.ts'
import { readFooter, schemaTree } from './footer.ts'
import { constantLeaf, type Leaf, leafOf } from './leaf.ts'
import { constantPage, type Decompress, type Page, readPages } from './pages.ts'
import { partitionOf } from './parquet-files.ts'
import { openSource, type ParquetSource } from './source.ts'

/** An open Parquet file: its footer is read, its data is not. */
export interface ParquetFile {
  /** The path, or the name given to a buffer; every error message starts with it. */
  name: string
  /** Number of rows. */
  rows: number
  /** Top-level column names in file order. */
  columns: string[]
  /** Columns that the folders of its path stand for, as `day=3/`, and that it has none of by these names: their one value, null for none. */
  partition?: Record<string, string | null>
  /** Row groups in file order: the first row of each, 0-based in the file, and its number of rows. */
  groups: { rowStart: number; rows: number }[]
  /** Its bytes, read on demand. */
  buffer: AsyncBuffer
  /** The footer, as hyparquet gives it, without statistics and indexes. */
  metadata: FileMetaData
}

const MAGIC = 'PAR1'
const ENCRYPTED_MAGIC = 'PARE'

/**
 * Opens a Parquet file and reads its footer. A file without rows is fine here.
 * @param source A path, an ArrayBuffer, or an AsyncBuffer.
 * @throws DataError naming the file where it is missing, empty, no Parquet file, cut short, encrypted or damaged.
 */
export async function openParquet(
  source: ParquetSource,
  { name = typeof source === 'string' ? source : 'the Parquet buffer' }: { name?: string } = {},
): Promise<ParquetFile> {
  const buffer = await openSource(source)
  const size = buffer.byteLength
  if (size === 0) throw new DataError(`${name} is empty, a Parquet file is expected`)
  if (size < 12 || textOf(await slice(buffer, 0, 4, name)) !== MAGIC) {
    if (size >= 12 && textOf(await slice(buffer, size - 4, size, name)) === ENCRYPTED_MAGIC)
      throw new DataError(`${name} is an encrypted Parquet file, which cannot be read`)
    const packed = new Uint8Array(await slice(buffer, 0, Math.min(2, size), name))
    const hint =
      packed[0] === 0x1f && packed[1] === 0x8b ? ', but as what gzip packed: unpack it (gunzip)' : ''
    throw new DataError(`${name} is not a Parquet file: it does not start with PAR1${hint}`)
  }
  const tail = await slice(buffer, size - 8, size, name)
  const length = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true)
  if (textOf(tail.subarray(4)) !== MAGIC || length > size - 12)
    throw new DataError(`${name} is not a whole Parquet file: its end is missing (${size} bytes are there)`)
  const footer = await slice(buffer, size - 8 - length, size - 8, name)
  try {
    const metadata = readFooter(footer)
    const schema = schemaTree(metadata.schema)
    let rows = 0
    const groups = metadata.row_groups.map(group => {
      const count = Number(group.num_rows)
      rows += count
      return { rowStart: rows - count, rows: count }
    })
    const columns = schema.children.map(child => child.element.name)
    const partition = typeof source === 'string' ? partitionOf(source) : {}
    for (const column of columns) delete partition[column]
    return { name, rows, columns, partition, groups, buffer, metadata }
  } catch (error) {
    throw decodeError(`${name}: the footer`, error)
  }
}

const textOf = (bytes: Uint8Array) => String.fromCharCode(...bytes)

async function slice(buffer: AsyncBuffer, start: number, end: number, name: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(await buffer.slice(start, end))
  if (bytes.length !== end - start)
    throw new DataError(`${name}: bytes ${start} to ${end} were asked for, ${bytes.length} came`)
  return bytes
}

/**
 * The description of a column.
 * @throws DataError listing the columns there are, or saying what else than a value or a list per row it holds.
 */
export function columnOf(file: ParquetFile, name: string, input?: string): Leaf {
  const root = schemaTree(file.metadata.schema)
  const [tree, second] = root.children.filter(child => child.element.name === name)
  const { partition = {} } = file
  if (!tree && Object.hasOwn(partition, name)) return constantLeaf(name, partition[name]!)
  if (!tree)
    throw new DataError(
      `${file.name} has no column ${name}; its columns are ${file.columns.join(', ') || 'none'}${input === undefined ? '' : `; the model reads it as '${input}'`}`,
    )
  if (second) throw new DataError(`${file.name} has two columns ${name}`)
  let leaf: Leaf | string
  try {
    leaf = leafOf(root, tree)
  } catch (error) {
    throw new DataError(`${file.name}: ${(error as Error).message}`, { cause: error })
  }
  if (typeof leaf === 'string')
    throw new DataError(
      `${file.name}: column ${name} is nested (${leaf}), a value or a list per row is expected`,
    )
  return leaf
}

/**
 * Reads the pages of one column in one row group; together they hold the group's rows.
 * @throws DataError naming file, row group and column for anything the decoder cannot make sense of.
 */
export async function readGroupPages(file: ParquetFile, group: number, leaf: Leaf): Promise<Page[]> {
  const where = `${file.name}: row group ${group}, column ${leaf.name}`
  if (leaf.constant !== undefined) return [constantPage(leaf.constant, file.groups[group]!.rows)]
  try {
    const meta = chunkOf(file, group, leaf)
    // Writers set the dictionary's place to 0, or leave it out, where there is none or it comes first anyway.
    const dictionary = Number(meta.dictionary_page_offset ?? 0)
    const first = Number(meta.data_page_offset)
    const start = dictionary > 0 && dictionary < first ? dictionary : first
    const dataEnd = file.buffer.byteLength - 8 - file.metadata.metadata_length
    let end = start + Number(meta.total_compressed_size)
    if (!(start >= 4 && end >= start && end <= dataEnd))
      throw new Error(`is said to be at bytes ${start} to ${end} of ${dataEnd}`)
    if (/^parquet-mr( version 1\.([01]\.|2\.[0-8]\b)|$)/.test(file.metadata.created_by ?? ''))
      end = Math.min(end + FORGOTTEN, dataEnd)
    // Loaded on use: the decoders are larger than all of the rest.
    const unpack = meta.codec === 'UNCOMPRESSED' ? checkSize : await decoderOf(meta.codec)
    const pages = [...readPages(await slice(file.buffer, start, end, file.name), meta, leaf, unpack)]
    const { rows } = file.groups[group]!
    const read = rowsOf(pages)
    if (read !== rows) throw new DataError(`${where} has ${read} of ${rows} rows`)
    return pages
  } catch (error) {
    throw decodeError(where, error)
  }
}

// Bytes that parquet-mr before 1.2.9 left out of a column's size: the header of its dictionary (PARQUET-816).
const FORGOTTEN = 100

async function decoderOf(codec: CompressionCodec): Promise<Decompress> {
  const { decompress, prepareCodec } = await import('./decompress.ts')
  await prepareCodec(codec)
  return (input, size) => decompress(codec, input, size)
}

function checkSize(input: Uint8Array, size: number): Uint8Array {
  if (input.length !== size) throw new Error(`a page of ${input.length} bytes claims to hold ${size}`)
  return input
}

/** What the footer says of a column in a row group. Columns stand in the schema's order, by name only for good measure. */
function chunkOf(file: ParquetFile, group: number, leaf: Leaf): ColumnMetaData {
  const chunk = file.metadata.row_groups[group]!.columns[leaf.index]
  if (!chunk) throw new Error('has no data')
  if (chunk.file_path)
    throw new Error(`its data is in another file, ${chunk.file_path}; open the files that this one lists`)
  const meta = chunk.meta_data
  if (chunk.crypto_metadata) throw new Error('it is encrypted')
  if (!meta) throw new Error('has no data')
  if (meta.path_in_schema[0] !== leaf.name)
    throw new Error(`its data is said to be that of column ${meta.path_in_schema.join('.')}`)
  if (meta.type !== leaf.element.type)
    throw new Error(`its data is ${meta.type}, its schema says ${leaf.element.type}`)
  return meta
}

function rowsOf(pages: Page[]): number {
  let rows = 0
  for (const { count, repetition } of pages) {
    if (!repetition) rows += count
    else for (let i = 0; i < count; i++) if (repetition[i] === 0) rows++
  }
  return rows
}

/**
 * Reads any columns as they are, for values that only pass through: int64 as bigint, text and JSON as string, lists as arrays,
 * decimals as the nearest number, dates and timestamps as Date (rounded down to milliseconds), other bytes as Uint8Array.
 * @param names Columns to read.
 * @param options.rowStart First row, default 0.
 * @param options.rowEnd Row after the last, default all.
 * @throws DataError naming the missing column, or the row group that cannot be decoded.
 */
export async function readColumns(
  source: ParquetSource | ParquetFile,
  names: string[],
  { rowStart = 0, rowEnd = Number.POSITIVE_INFINITY }: { rowStart?: number; rowEnd?: number } = {},
): Promise<Record<string, unknown[]>> {
  const file = isParquetFile(source) ? source : await openParquet(source)
  return readLeaves(
    file,
    names.map(name => columnOf(file, name)),
    { rowStart, rowEnd },
  )
}

/** {@link readColumns} with dates and timestamps as the whole numbers that stand in the file, so that nothing of them is lost. */
export async function readStored(
  file: ParquetFile,
  names: string[],
  rows: { rowStart: number; rowEnd: number },
): Promise<Record<string, unknown[]>> {
  const leaves = names.map((name): Leaf => {
    const leaf = columnOf(file, name)
    const time = leaf.meaning.type === 'DATE' || leaf.meaning.type === 'TIMESTAMP'
    return time ? { ...leaf, meaning: { type: 'NUMBER' } } : leaf
  })
  return readLeaves(file, leaves, rows)
}

/** All values of a column as they are stored, whatever they mean: whole numbers, numbers, truth values or bytes. */
export async function readPlain(file: ParquetFile, leaf: Leaf): Promise<unknown[]> {
  const { type } = leaf.element
  const bytes = type === 'BYTE_ARRAY' || type === 'FIXED_LEN_BYTE_ARRAY'
  const plain: Leaf = { ...leaf, meaning: { type: bytes ? 'BYTES' : 'NUMBER' } }
  const all = await readLeaves(file, [plain], { rowStart: 0, rowEnd: file.rows })
  return all[leaf.name]!
}

async function readLeaves(
  file: ParquetFile,
  leaves: readonly Leaf[],
  { rowStart, rowEnd }: { rowStart: number; rowEnd: number },
): Promise<Record<string, unknown[]>> {
  const out: Record<string, unknown[]> = Object.fromEntries(leaves.map(({ name }) => [name, []]))
  for (const [index, group] of file.groups.entries()) {
    const start = Math.max(rowStart - group.rowStart, 0)
    const end = Math.min(rowEnd - group.rowStart, group.rows)
    if (start >= end) continue
    for (const leaf of leaves) {
      const { name } = leaf
      const values = rowValues(await readGroupPages(file, index, leaf), leaf)
      for (let i = start; i < end; i++) out[name]!.push(values[i])
    }
  }
  return out
}

/** The values of a column row by row: null where there is none, an array for a list. */
function rowValues(pages: Page[], leaf: Leaf): unknown[] {
  const rows: unknown[] = []
  for (const { count, values, indexes, definition, repetition } of pages) {
    let next = 0
    for (let i = 0; i < count; i++) {
      const level = definition ? definition[i]! : leaf.maxDefinition
      const value = level === leaf.maxDefinition ? values[indexes ? indexes[next++]! : next++] : null
      if (!leaf.list) rows.push(value)
      else if (repetition![i] === 1) (rows.at(-1) as unknown[]).push(value)
      else if (level >= leaf.elementDefinition) rows.push([value])
      else rows.push(level === leaf.elementDefinition - 1 ? [] : null)
    }
  }
  return rows
}

/** Tells an open file from a source still to be opened. */
export function isParquetFile(source: ParquetSource | ParquetFile): source is ParquetFile {
  return typeof source === 'object' && source !== null && 'metadata' in source
}

/** Decoders throw what they stumble over (RangeError, TypeError, wasm traps): all of it means a damaged file. */
function decodeError(where: string, error: unknown): DataError {
  if (error instanceof DataError) return error
  return new DataError(
    `${where} cannot be decoded: ${error instanceof Error ? error.message : String(error)}`,
    {
      cause: error,
    },
  )
}
