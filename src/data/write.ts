/** Parquet writing: a file appears under its name only once it is whole. */
import type { DecodedArray, SchemaElement } from 'hyparquet/src/types.js'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { DataError } from '../errors.ts'
import { writeFileAtomic } from './files.ts'

/** A point in time as whole units since 1970: of UTC, or of a clock whose place nobody says. */
export type TimestampKind = `timestamp[${'ms' | 'us' | 'ns'}${'' | ', UTC'}]`

/** How a column is stored. Every kind may hold null. Dates are whole days since 1970. */
export type ColumnKind =
  | 'date'
  | TimestampKind
  | 'int64'
  | 'double'
  | 'float'
  | 'string'
  | 'boolean'
  | 'list<int64>'
  | 'list<float>'
  | 'list<double>'
  | 'list<string>'
  | 'list<boolean>'
  | 'list<uint8>'

/** A column's values, one per row; lists as arrays or typed arrays, int64 and timestamps as numbers or bigints. */
export type ColumnValues = ArrayLike<unknown>

/** A column to write. */
export interface WriteColumn {
  name: string
  kind: ColumnKind
  data: ColumnValues
}

/**
 * Writes a Parquet file (snappy) under a temporary name, syncs it to disk and renames it.
 * @param options.rowGroupSize Rows per row group, default 100,000.
 * @throws DataError naming the path and why it cannot be written, or column, row and value of a value that does not
 * fit its kind; an older file under that name stays as it was.
 *
 * @example
 * ```ts
 * import { writeParquet } from 'kernelgrad/data'
 *
 * await writeParquet('rows.parquet', [
 *   { name: 'title', kind: 'list<int64>', data: [[3, 8], [5]] },
 *   { name: 'label', kind: 'int64', data: [0, 1] },
 * ])
 * ```
 */
export async function writeParquet(
  path: string,
  columns: WriteColumn[],
  { rowGroupSize = 100_000 }: { rowGroupSize?: number } = {},
): Promise<void> {
  await writeParquetGroups(path, columns, groupsOf(path, columns, rowGroupSize))
}

/**
 * A Parquet file (snappy) in memory.
 * @throws DataError with column, row and value of a value that does not fit its kind.
 */
export async function parquetBytes(columns: WriteColumn[]): Promise<ArrayBuffer> {
  const bytes = new ByteWriter()
  await writeGroups('the Parquet buffer', bytes, columns, groupsOf('the Parquet buffer', columns, 100_000))
  return bytes.getBuffer()
}

async function* groupsOf(
  path: string,
  columns: WriteColumn[],
  rowGroupSize: number,
): AsyncGenerator<Record<string, ColumnValues>> {
  const rows = columns[0]?.data.length ?? 0
  for (const { name, data } of columns)
    if (data.length !== rows)
      throw new DataError(
        `${path}: column ${name} has ${data.length} rows, column ${columns[0]!.name} has ${rows}`,
      )
  for (let start = 0; start < rows; start += rowGroupSize)
    yield Object.fromEntries(
      columns.map(({ name, data }) => [name, Array.prototype.slice.call(data, start, start + rowGroupSize)]),
    )
}

/**
 * Writes a Parquet file from row groups as they come, holding one at a time.
 * @param columns Names and kinds.
 * @param groups Each item is one row group: the values of every column, by name.
 * @param options.metadata Texts that the file keeps beside its rows, by key.
 * @throws DataError as writeParquet; whatever `groups` throws passes through, and no file appears.
 */
export async function writeParquetGroups(
  path: string,
  columns: { name: string; kind: ColumnKind }[],
  groups: AsyncIterable<Record<string, ColumnValues>>,
  { metadata = {} }: { metadata?: Record<string, string> } = {},
): Promise<void> {
  await writeFileAtomic(path, async file => {
    const buffer = new ByteWriter()
    // The writer calls flush after every row group and finish at the end; both move its bytes into the file.
    const drain = async () => {
      await file.write(buffer.getBytes())
      buffer.index = 0
    }
    await writeGroups(path, Object.assign(buffer, { flush: drain, finish: drain }), columns, groups, metadata)
  })
}

/** Writes row groups into `bytes`; errors name `path`. */
async function writeGroups(
  path: string,
  bytes: ByteWriter,
  columns: { name: string; kind: ColumnKind }[],
  groups: AsyncIterable<Record<string, ColumnValues>>,
  metadata: Record<string, string> = {},
): Promise<void> {
  const kvMetadata = Object.entries(metadata).map(([key, value]) => ({ key, value }))
  const writer = new ParquetWriter({
    writer: bytes,
    schema: schemaOf(columns),
    createdBy: 'kernelgrad',
    ...(kvMetadata.length && { kvMetadata }),
  })
  let rowStart = 0
  for await (const group of groups) {
    const rows = group[columns[0]?.name ?? '']?.length ?? 0
    const columnData = columns.map(({ name, kind }) => {
      const values = group[name]
      if (values?.length !== rows)
        throw new DataError(`${path}: column ${name} has ${values?.length ?? 'no'} rows, expected ${rows}`)
      return { name, data: encode(values, kind, row => `${path}: column ${name}, row ${rowStart + row}`) }
    })
    if (rows > 0) await writer.write({ columnData, rowGroupSize: rows })
    rowStart += rows
  }
  await writer.finish()
}

const UNITS = { ms: 'MILLIS', us: 'MICROS', ns: 'NANOS' } as const

const PHYSICAL = {
  date: 'INT32',
  int64: 'INT64',
  double: 'DOUBLE',
  float: 'FLOAT',
  string: 'BYTE_ARRAY',
  boolean: 'BOOLEAN',
  'list<int64>': 'INT64',
  'list<float>': 'FLOAT',
  'list<double>': 'DOUBLE',
  'list<string>': 'BYTE_ARRAY',
  'list<boolean>': 'BOOLEAN',
  'list<uint8>': 'INT32',
} as const

/** The annotation of a kind of timestamp; nothing of others. */
function timeOf(kind: ColumnKind): Pick<SchemaElement, 'logical_type'> | undefined {
  const [, unit, utc] = /^timestamp\[(ms|us|ns)(, UTC)?\]$/.exec(kind) ?? []
  if (!unit) return undefined
  const isAdjustedToUTC = utc !== undefined
  return { logical_type: { type: 'TIMESTAMP', isAdjustedToUTC, unit: UNITS[unit as keyof typeof UNITS] } }
}

function schemaOf(columns: { name: string; kind: ColumnKind }[]): SchemaElement[] {
  // Optional throughout, as pandas writes: columns that pass through may hold null.
  const schema: SchemaElement[] = [{ name: 'schema', num_children: columns.length }]
  for (const { name, kind } of columns) {
    const time = timeOf(kind)
    const type = time ? 'INT64' : PHYSICAL[kind as keyof typeof PHYSICAL]
    const leaf: SchemaElement = { name, type, repetition_type: 'OPTIONAL' }
    if (time) schema.push({ ...leaf, ...time })
    else if (kind === 'date') schema.push({ ...leaf, converted_type: 'DATE' })
    else if (kind === 'string') schema.push({ ...leaf, converted_type: 'UTF8' })
    else if (!kind.startsWith('list<')) schema.push(leaf)
    else
      schema.push(
        { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        {
          ...leaf,
          name: 'element',
          ...(kind === 'list<uint8>' && { converted_type: 'UINT_8' as const }),
          ...(kind === 'list<string>' && { converted_type: 'UTF8' as const }),
        },
      )
  }
  return schema
}

const isDay = (value: unknown) => Number.isInteger(value) && Math.abs(value as number) < 2 ** 31

const isByte = (value: unknown) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 256

function encode(values: ColumnValues, kind: ColumnKind, where: (row: number) => string): DecodedArray {
  const refuse = (row: number, value: unknown): never => {
    throw new DataError(`${where(row)}: value ${String(value)}, expected ${kind}`)
  }
  const integer = (value: unknown, row: number): bigint => {
    if (typeof value === 'bigint') return value
    return Number.isSafeInteger(value) ? BigInt(value as number) : refuse(row, value)
  }
  const listOf = (value: unknown, row: number, element: (value: unknown) => unknown) => {
    if (typeof value !== 'object' || value === null || !('length' in value)) return refuse(row, value)
    return Array.from(value as ArrayLike<unknown>, one => (one === null ? null : element(one)))
  }
  const typed = (type: string) => (value: unknown, row: number) =>
    typeof value === type ? value : refuse(row, value)
  const [number, text, flag] = [typed('number'), typed('string'), typed('boolean')]
  const time = timeOf(kind) !== undefined
  return Array.from(values, (value, row) => {
    if (value === null || value === undefined) return null
    if (time) return integer(value, row)
    switch (kind) {
      case 'date':
        return isDay(value) ? value : refuse(row, value)
      case 'int64':
        return integer(value, row)
      case 'list<int64>':
        return listOf(value, row, one => integer(one, row))
      case 'list<float>':
      case 'list<double>':
        return listOf(value, row, one => number(one, row))
      case 'list<string>':
        return listOf(value, row, one => text(one, row))
      case 'list<boolean>':
        return listOf(value, row, one => flag(one, row))
      case 'list<uint8>':
        return listOf(value, row, one => (isByte(one) ? one : refuse(row, one)))
      case 'string':
        return text(value, row)
      case 'boolean':
        return flag(value, row)
      default:
        return number(value, row)
    }
  })
}
