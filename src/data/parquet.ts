/** Opening a Parquet file and reaching its columns, one row group at a time. */
import type { AsyncBuffer, FileMetaData } from 'hyparquet'
import { parquetMetadataAsync, parquetSchema } from 'hyparquet'
import { DataError } from '../errors.ts'
import { type Leaf, leafOf } from './leaf.ts'
import { type Page, readPages } from './pages.ts'
import { openSource, type ParquetSource } from './source.ts'

/** An open Parquet file: its footer is read, its data is not. */
export interface ParquetFile {
  /** The path, or the name given to a buffer; every error message starts with it. */
  name: string
  /** Number of rows. */
  rows: number
  /** Top-level column names in file order. */
  columns: string[]
  /** Row groups in file order: the first row of each, 0-based in the file, and its number of rows. */
  groups: { rowStart: number; rows: number }[]
  buffer: AsyncBuffer
  metadata: FileMetaData
}

const MAGIC = 0x31524150 // 'PAR1', little-endian

/**
 * Opens a Parquet file and reads its footer. A file without rows is fine here.
 * @param source A path, an ArrayBuffer, or an AsyncBuffer.
 * @throws DataError naming the file where it is missing, empty, no Parquet file, or cut short.
 */
export async function openParquet(
  source: ParquetSource,
  { name = typeof source === 'string' ? source : 'the Parquet buffer' }: { name?: string } = {},
): Promise<ParquetFile> {
  const buffer = await openSource(source)
  const size = buffer.byteLength
  if (size === 0) throw new DataError(`${name} is empty, a Parquet file is expected`)
  if (size < 12 || new DataView(await buffer.slice(0, 4)).getUint32(0, true) !== MAGIC)
    throw new DataError(`${name} is not a Parquet file: it does not start with PAR1`)
  const tail = new DataView(await buffer.slice(size - 8, size))
  if (tail.getUint32(4, true) !== MAGIC || tail.getUint32(0, true) > size - 12)
    throw new DataError(`${name} is not a whole Parquet file: its end is missing (${size} bytes are there)`)
  try {
    // The search for map columns, which nothing here reads, loops forever over a negative number of children.
    const metadata = await parquetMetadataAsync(buffer, { geoparquet: false })
    for (const { name: column, num_children = 0 } of metadata.schema)
      if (num_children < 0) throw new Error(`column ${column} has ${num_children} children`)
    let rows = 0
    const groups = metadata.row_groups.map(group => {
      const count = Number(group.num_rows)
      if (!(count >= 0)) throw new Error(`a row group has ${count} rows`)
      rows += count
      return { rowStart: rows - count, rows: count }
    })
    if (rows !== Number(metadata.num_rows))
      throw new Error(`its row groups hold ${rows} rows, the footer says ${metadata.num_rows}`)
    const columns = parquetSchema(metadata).children.map(child => child.element.name)
    return { name, rows, columns, groups, buffer, metadata }
  } catch (error) {
    throw decodeError(`${name}: the footer`, error)
  }
}

/**
 * The description of a column.
 * @throws DataError listing the columns there are, or saying that the column is nested too deep.
 */
export function columnOf(file: ParquetFile, name: string): Leaf {
  const root = parquetSchema(file.metadata)
  const tree = root.children.find(child => child.element.name === name)
  if (!tree)
    throw new DataError(
      `${file.name} has no column ${name}; its columns are ${file.columns.join(', ') || 'none'}`,
    )
  const leaf = leafOf(root, tree)
  if (!leaf)
    throw new DataError(`${file.name}: column ${name} is nested, a value or a list per row is expected`)
  return leaf
}

/**
 * Reads the pages of one column in one row group.
 * @throws DataError naming file, row group and column for anything the decoder cannot make sense of.
 */
export async function readGroupPages(file: ParquetFile, group: number, leaf: Leaf): Promise<Page[]> {
  const where = `${file.name}: row group ${group}, column ${leaf.name}`
  try {
    const meta = file.metadata.row_groups[group]!.columns.find(
      c => c.meta_data?.path_in_schema[0] === leaf.name,
    )?.meta_data
    if (!meta) throw new Error('has no data')
    const start = Number(meta.dictionary_page_offset || meta.data_page_offset)
    const end = start + Number(meta.total_compressed_size)
    if (!(start >= 4 && end >= start && end <= file.buffer.byteLength))
      throw new Error(`is said to be at bytes ${start} to ${end} of ${file.buffer.byteLength}`)
    // Loaded on use: they are larger than all of the rest.
    const compressors =
      meta.codec === 'UNCOMPRESSED' ? {} : (await import('hyparquet-compressors')).compressors
    return [...readPages(await file.buffer.slice(start, end), meta, leaf, compressors)]
  } catch (error) {
    throw decodeError(where, error)
  }
}

/**
 * Reads any columns as they are, for values that only pass through: int64 as bigint, text as string, lists as arrays.
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
  const leaves = names.map(name => columnOf(file, name))
  const out: Record<string, unknown[]> = Object.fromEntries(names.map(name => [name, []]))
  for (const [index, group] of file.groups.entries()) {
    const start = Math.max(rowStart - group.rowStart, 0)
    const end = Math.min(rowEnd - group.rowStart, group.rows)
    if (start >= end) continue
    for (const leaf of leaves) {
      const { name } = leaf
      const values = rowValues(await readGroupPages(file, index, leaf), leaf)
      if (values.length !== group.rows)
        throw new DataError(
          `${file.name}: row group ${index}, column ${name} has ${values.length} of ${group.rows} rows`,
        )
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
  return typeof source === 'object' && 'metadata' in source
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
