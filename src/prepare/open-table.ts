// A file as a table in memory, where there is no database: in a page, or for a small table.
import { expectOptions, shown } from '../check.ts'
import type { Leaf } from '../data/leaf.ts'
import { columnOf, openParquet, type ParquetFile } from '../data/parquet.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { endOfRecord, headerOf } from './csv-header.ts'
import { readRecords } from './csv-records.ts'
import { ENDINGS, expectApart, formatOf, isPacked, type RawTableColumn } from './formats.ts'
import { readJsonLines } from './json-records.ts'
import { type CodedColumn, coder, type MemoryTable } from './memory-table.ts'
import { readValues, wayOf } from './parquet-values.ts'

const MB = 1_000_000
/** Bytes of a file, once it is unpacked, that are taken into memory. */
const MOST_BYTES = 64 * MB
/** Values, rows times columns. */
const MOST_VALUES = 20_000_000

const tooLarge = (name: string, has: string, most: string) =>
  new DataError(
    `${name} has ${has}, more than the ${most} that are read into memory; the command line takes it: npx kernelgrad prepare ${name} --label COLUMN --out prepared`,
  )
const megabytes = (bytes: number) => `${Math.ceil(bytes / MB).toLocaleString('en-US')} MB`

/** A table that {@link openTable} has read. */
export type OpenedTable = Pick<MemoryTable, 'name' | 'rows' | 'columns'>

/**
 * Reads a CSV, TSV, NDJSON (each also with .gz) or Parquet file into memory, up to 64 MB of it unpacked, as `prepareTable` reads it.
 * Runs in a browser, where there is no database, and in Node.
 * @param options.name The file's name, whose ending says what it is; a File has one.
 * @throws DataError naming file, line or column and what was expected, and the command where the file is too large.
 *
 * @example
 * ```ts
 * import { learnTable, openTable } from 'kernelgrad/prepare'
 *
 * const table = await openTable(new Blob(['city,clicked\nParis,yes\nLyon,no\nParis,yes\nLyon,no\n']), { name: 'clicks.csv' })
 * const { columns } = await learnTable(table, { label: 'clicked', testShare: 0 })
 * ```
 */
export async function openTable(
  file: Blob,
  options: { name?: string; delimiter?: string } = {},
): Promise<OpenedTable> {
  if (!(file instanceof Blob))
    throw new ArgumentError(`openTable: file is ${shown(file)}, expected a Blob or File`)
  expectOptions('openTable: options', options, ['name', 'delimiter'])
  const { name = (file as Partial<File>).name, delimiter } = options
  if (typeof name !== 'string' || !name)
    throw new ArgumentError(
      `openTable: name is ${shown(name)}, expected the file's name, whose ending says what it is`,
    )
  if (delimiter !== undefined && !(typeof delimiter === 'string' && delimiter.length === 1))
    throw new ArgumentError(`openTable: delimiter is ${shown(delimiter)}, expected one character`)
  const format = formatOf(name)
  if (!format) throw new DataError(`${name}: what it is shows by no ending, expected ${ENDINGS}`)
  if (file.size > MOST_BYTES) throw tooLarge(name, megabytes(file.size), megabytes(MOST_BYTES))
  const read = await (format === 'parquet'
    ? readParquet(file, name)
    : format === 'csv'
      ? readCsv(file, name, delimiter)
      : readNdjson(file, name))
  if (!read.coded.size) throw new DataError(`${name} has no column of single values`)
  if (!read.rows) throw new DataError(`${name} has no rows`)
  const table: MemoryTable = { name, files: [{ name, rowStart: 0, rows: read.rows }], ...read }
  return table
}

type Read = Pick<MemoryTable, 'columns' | 'coded' | 'rows'>

/** The bytes of a file, unpacked where its name says that it is packed. */
async function bytesOf(file: Blob, name: string): Promise<Uint8Array> {
  if (!isPacked(name)) return new Uint8Array(await file.arrayBuffer())
  const parts: Uint8Array[] = []
  let size = 0
  const reader = file.stream().pipeThrough(new DecompressionStream('gzip')).getReader()
  for (;;) {
    const { done, value } = await reader.read().catch(error => {
      throw new DataError(
        `cannot read ${name}: ${(error as Error).message || 'its packing is damaged or cut off'}`,
        { cause: error },
      )
    })
    if (done) break
    parts.push(value)
    size += value.length
    if (size > MOST_BYTES) {
      await reader.cancel()
      throw tooLarge(name, `more than ${megabytes(MOST_BYTES)} once it is unpacked`, megabytes(MOST_BYTES))
    }
  }
  const all = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** @throws DataError naming the first line that is not UTF-8 */
function textOf(bytes: Uint8Array, name: string, { mark }: { mark: 'kept' | 'dropped' }): string {
  const decoder = () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: mark === 'kept' })
  try {
    return decoder().decode(bytes)
  } catch (error) {
    let [line, start] = [1, 0]
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
      try {
        decoder().decode(bytes.subarray(start, end))
      } catch {
        break
      }
      start = end + 1
      line++
    }
    throw new DataError(`${name}, line ${line}: its bytes are not UTF-8; save the file as UTF-8`, {
      cause: error,
    })
  }
}

async function readCsv(file: Blob, name: string, delimiter: string | undefined): Promise<Read> {
  const text = textOf(await bytesOf(file, name), name, { mark: 'dropped' })
  const end = endOfRecord(text)
  const first = end < 0 ? text : text.slice(0, end)
  const header = headerOf(name, first, delimiter ?? (/\.(tsv|tab)(\.gz)?$/i.test(name) ? '\t' : undefined))
  expectApart(name, header.names)
  const coders = header.names.map(() => coder())
  const start = end < 0 ? text.length : end + (text[end] === '\r' && text[end + 1] === '\n' ? 2 : 1)
  const line = (first.match(/\r\n|\r|\n/g)?.length ?? 0) + 2
  const { length: count } = header.names
  readRecords(text, { name, start, line, delimiter: header.delimiter, count }, fields => {
    for (let c = 0; c < count; c++) coders[c]!.push(fields[c])
    expectFew(name, coders[0]!.length, count)
  })
  const columns = header.names.map((name): RawTableColumn => ({ name, kind: 'text', type: 'text' }))
  const coded = new Map(header.names.map((name, c): [string, CodedColumn] => [name, coders[c]!.column()]))
  return { columns, coded, rows: coders[0]!.length }
}

async function readNdjson(file: Blob, name: string): Promise<Read> {
  const read = readJsonLines(name, textOf(await bytesOf(file, name), name, { mark: 'kept' }))
  expectFew(name, read.rows, read.columns.length)
  expectApart(
    name,
    read.columns.map(column => column.name),
  )
  return read
}

function expectFew(name: string, rows: number, columns: number): void {
  if (rows * columns <= MOST_VALUES) return
  const count = (n: number) => n.toLocaleString('en-US')
  throw tooLarge(
    name,
    `more than ${count(rows - 1)} rows of ${columns} columns`,
    `${count(MOST_VALUES)} values`,
  )
}

async function readParquet(blob: Blob, name: string): Promise<Read> {
  const slice = (start: number, end?: number) => blob.slice(start, end).arrayBuffer()
  const file = await openParquet({ byteLength: blob.size, slice }, { name })
  expectApart(name, file.columns)
  expectFew(name, file.rows, file.columns.length)
  const columns: RawTableColumn[] = []
  const coded = new Map<string, CodedColumn>()
  for (const column of file.columns) {
    const leaf = leafOf(file, column)
    const { kind, type } =
      leaf === undefined ? { kind: 'nested' as const, type: 'lists or objects' } : wayOf(leaf)
    const nested = leaf === undefined || leaf.list || kind === 'nested'
    columns.push({
      name: column,
      kind: nested ? 'nested' : kind,
      type: leaf?.list ? 'lists or objects' : type,
    })
    if (nested) continue
    const own = coder()
    for (const value of await readValues(file, leaf)) own.push(value)
    coded.set(column, own.column())
  }
  return { columns, coded, rows: file.rows }
}

/** Nothing where a column is nested deeper than a list. */
function leafOf(file: ParquetFile, name: string): Leaf | undefined {
  try {
    return columnOf(file, name)
  } catch (error) {
    if (error instanceof DataError && error.message.includes(' is nested ')) return undefined
    throw error
  }
}
