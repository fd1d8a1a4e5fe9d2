// What a file is by its name, and what is known of a table before its values are looked at.
import { DataError } from '../errors.ts'
import type { SourceFile } from './place.ts'

/** How a column's values arrive: 'text' of files that know no types. */
export type RawKind = 'text' | 'integer' | 'number' | 'boolean' | 'date' | 'nested'

/** A column of the table. */
export interface RawTableColumn {
  name: string
  kind: RawKind
  /** Its type in the file. */
  type: string
}

/** All rows of some files, in order. */
export interface RawTable {
  /** In the order of the first file. */
  columns: RawTableColumn[]
  files: SourceFile[]
  rows: number
}

const FORMATS: Record<string, 'csv' | 'ndjson' | 'parquet'> = {
  csv: 'csv',
  tsv: 'csv',
  tab: 'csv',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  parquet: 'parquet',
  pq: 'parquet',
}
/** What is read, in words. */
export const ENDINGS = 'csv, tsv, ndjson, jsonl (each also with .gz) or parquet'

/** Whether a file's name says that it is packed. */
export const isPacked = (path: string): boolean => /\.gz$/i.test(path)

/** What a file's name says that it is, or undefined. */
export function formatOf(path: string): 'csv' | 'ndjson' | 'parquet' | undefined {
  const ending = /\.([A-Za-z]+)(\.gz)?$/i.exec(path)
  const format = ending ? FORMATS[ending[1]!.toLowerCase()] : undefined
  return ending?.[2] && format === 'parquet' ? undefined : format
}

/** @throws DataError for names that a database takes for one, and for none */
export function expectApart(path: string, names: readonly string[]): void {
  const none = names.indexOf('')
  if (none >= 0) throw new DataError(`${path}: column ${none + 1} has an empty name; give it one`)
  const plain = names.map(name => name.toLowerCase())
  const twice = plain.findIndex((name, i) => plain.indexOf(name) < i)
  if (twice < 0) return
  const [one, other] = [names[plain.indexOf(plain[twice]!)]!, names[twice]!]
  throw new DataError(
    one === other
      ? `${path}: two columns are both called '${one}'; rename one of them`
      : `${path}: columns '${one}' and '${other}' differ by case alone; rename one of them`,
  )
}
