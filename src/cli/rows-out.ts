// Rows to a file of the kind that its name says: Parquet, CSV or NDJSON, the latter two also packed.
import { extname } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { writeFileAtomic } from '../data/files.ts'
import { type ColumnKind, type ColumnValues, writeParquetGroups } from '../data/index.ts'
import { UsageError } from '../errors.ts'

type Columns = readonly { name: string; kind: ColumnKind }[]
type Groups = AsyncIterable<Record<string, ColumnValues>>

const pack = promisify(gzip)

/**
 * What a name ends in; nothing is Parquet.
 * @throws UsageError for an ending that says something else, as xlsx does.
 */
export function endingOf(path: string): 'csv' | 'tsv' | 'ndjson' | 'parquet' {
  const [, ending] = /\.(csv|tsv|ndjson|jsonl)(?:\.gz)?$/i.exec(path) ?? []
  const name = ending?.toLowerCase()
  if (name !== undefined) return name === 'jsonl' ? 'ndjson' : (name as 'csv' | 'tsv' | 'ndjson')
  if (extname(path) === '' || /\.(parquet|pq)$/i.test(path)) return 'parquet'
  throw new UsageError(
    `--out ${path}: expected a name that ends in .parquet, .csv, .tsv, .ndjson or .jsonl (each but Parquet also with .gz)`,
  )
}

/**
 * Writes row groups as they come, under another name until all are there.
 * @throws DataError as `writeParquetGroups`.
 */
export async function writeRows(path: string, columns: Columns, groups: Groups): Promise<void> {
  const ending = endingOf(path)
  if (ending === 'parquet') return writeParquetGroups(path, [...columns], groups)
  const packed = /\.gz$/i.test(path)
  const delimiter = ending === 'tsv' ? '\t' : ','
  const names = columns.map(({ name }) => name)
  await writeFileAtomic(path, async file => {
    const write = async (text: string) => file.write(packed ? await pack(text) : text)
    if (ending !== 'ndjson') await write(`${names.map(name => fieldOf(name, delimiter)).join(delimiter)}\n`)
    for await (const group of groups) {
      const values = names.map(name => group[name]!)
      const lines = Array.from({ length: values[0]?.length ?? 0 }, (_, row) =>
        ending === 'ndjson'
          ? JSON.stringify(Object.fromEntries(names.map((name, c) => [name, jsonOf(values[c]![row])])))
          : values.map(column => fieldOf(column[row], delimiter)).join(delimiter),
      )
      if (lines.length) await write(`${lines.join('\n')}\n`)
    }
  })
}

/** Whole numbers past 2^53 are texts in JSON, so that no reader rounds them. */
const jsonOf = (value: unknown) =>
  typeof value !== 'bigint' ? value : Number.isSafeInteger(Number(value)) ? Number(value) : String(value)

/** RFC 4180. */
function fieldOf(value: unknown, delimiter: string): string {
  if (value === null || value === undefined) return ''
  const text = Object.is(value, -0) ? '-0' : String(value)
  return text.includes(delimiter) || /["\r\n]/.test(text) || text === ''
    ? `"${text.replaceAll('"', '""')}"`
    : text
}
