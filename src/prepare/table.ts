// Files of any kind as one table of a database: CSV, TSV, NDJSON, Parquet, packed or not, several, folders and globs.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { closest } from '../check.ts'
import { reason } from '../data/files.ts'
import { type Database, DatabaseError, quoted } from '../datasets/database.ts'
import { DataError } from '../errors.ts'
import { copyWithNewlines, expectWhole, lineOfRecord } from './csv-lines.ts'
import {
  ENDINGS,
  expectApart,
  formatOf,
  isPacked,
  type RawKind,
  type RawTable,
  type RawTableColumn,
} from './formats.ts'
import { readHeader } from './header.ts'
import { lineThat } from './json-lines.ts'
import { nestedAt, whyNoRow } from './json-text.ts'
import type { SourceFile } from './place.ts'

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A column of the table `raw` as SQL takes it. The sign in front keeps it from names that a database has a meaning for, as `rowid`. */
export const named = (name: string): string => identifier(`=${name}`)

/**
 * Reads files into the table `raw`. Their columns are the same, in whatever order.
 * @param onProgress the share of the files that is read.
 * @throws DataError naming file, line or column, and what was expected.
 */
export async function readTable(
  db: Database,
  sources: readonly string[],
  options: {
    /** To work in. */
    folder: string
    delimiter?: string | undefined
    onProgress?: (share: number) => void
  },
): Promise<RawTable> {
  const paths = await filesOf(db, sources)
  const readers: Reader[] = []
  for (const path of paths) readers.push(await readerOf(db, path, options.delimiter))
  const [first] = readers as [Reader, ...Reader[]]
  for (const other of readers.slice(1)) expectAlike(first, other)
  const kept = first.columns.filter(({ kind }) => kind !== 'nested')
  if (!kept.length) throw new DataError(`${first.path} has no column of single values`)
  const types = kept.map(({ name, kind }) => `${named(name)} ${SQL_TYPES[kind]}`)
  await db.run(`CREATE TABLE raw (${types.join(', ')})`)
  const files: SourceFile[] = []
  let rows = 0
  for (const [i, { path, from, columns }] of readers.entries()) {
    const select = kept.map(({ name }) => castOf(columns.find(column => column.name === name)!))
    const insert = (source: string) =>
      db.run(`INSERT INTO raw SELECT ${select.join(', ')} FROM ${source}`, share =>
        options.onProgress?.((i + share) / readers.length),
      )
    await insert(from).catch(async error => {
      if (!(error instanceof DatabaseError && /invalid state/.test((error.cause as Error).message)))
        throw await explained(error, path)
      // Its lines end two ways, which DuckDB does not read.
      const copy = join(options.folder, 'lines.csv')
      await copyWithNewlines(path, copy)
      await insert(from.replace(quoted(path), quoted(copy))).catch(async again => {
        throw await explained(again, path)
      })
    })
    const [counted] = await db.run('SELECT count(*)::BIGINT AS n FROM raw')
    const all = Number(counted!.n)
    files.push({ name: path, rowStart: rows, rows: all - rows })
    rows = all
  }
  if (rows === 0) throw new DataError(`${paths.join(', ')} ${paths.length > 1 ? 'have' : 'has'} no rows`)
  return { columns: first.columns, files, rows }
}

/** The files that paths, folders and patterns name, each in order. */
async function filesOf(db: Database, sources: readonly string[]): Promise<string[]> {
  const all: string[] = []
  for (const source of sources) {
    const info = await stat(source).catch(error => {
      if (/[*?[\]]/.test(source)) return undefined
      throw new DataError(`cannot read ${source}: ${reason(error)}`, { cause: error })
    })
    if (info && !info.isDirectory()) {
      if (!formatOf(source))
        throw new DataError(`${source}: what it is shows by no ending, expected ${ENDINGS}`)
      all.push(source)
      continue
    }
    const pattern = info ? join(source, '**') : source
    const found = await db.run(`SELECT file FROM glob(${quoted(pattern)}) ORDER BY file`)
    const paths = found.map(({ file }) => String(file)).filter(formatOf)
    if (!paths.length) throw new DataError(`${source} has no files to read, expected ${ENDINGS}`)
    all.push(...paths)
  }
  const twice = all.find((path, i) => all.indexOf(path) < i)
  if (twice !== undefined) throw new DataError(`${twice} is named twice`)
  return all
}

interface Reader {
  path: string
  columns: RawTableColumn[]
  /** What stands behind FROM. */
  from: string
}

/** Said to the database, which knows small letters alone. */
const packing = (path: string) => (isPacked(path) ? ", compression='gzip'" : '')

async function readerOf(db: Database, path: string, delimiter: string | undefined): Promise<Reader> {
  const format = formatOf(path)!
  if (isPacked(path)) await expectWhole(path)
  const text = (name: string): RawTableColumn => ({ name, kind: 'text', type: 'text' })
  const texts = (names: readonly string[]) =>
    `{${names.map(name => `${quoted(name)}: 'VARCHAR'`).join(', ')}}`
  if (format === 'csv') {
    const header = await readHeader(path, delimiter ?? (/\.(tsv|tab)(\.gz)?$/i.test(path) ? '\t' : undefined))
    expectApart(path, header.names)
    const how = `header=true, auto_detect=false, delim=${quoted(header.delimiter)}, quote='"', escape='"', nullstr='', strict_mode=true${packing(path)}`
    return {
      path,
      columns: header.names.map(text),
      from: `read_csv(${quoted(path)}, ${how}, columns=${texts(header.names)})`,
    }
  }
  try {
    if (format === 'ndjson') {
      const columns = await jsonColumns(db, path)
      const names = columns.map(({ name }) => name)
      return { path, columns, from: `read_ndjson(${quoted(path)}, columns=${texts(names)}${packing(path)})` }
    }
    const from = `read_parquet(${quoted(path)}, binary_as_string=true)`
    expectApart(path, await topLevel(db, path))
    const described = await db.run(`DESCRIBE SELECT * FROM ${from}`)
    const columns = described.map(
      ({ column_name, column_type }): RawTableColumn => ({
        name: String(column_name),
        kind: kindOf(String(column_type)),
        type: NESTED.test(String(column_type)) ? 'lists or objects' : String(column_type),
      }),
    )
    return { path, columns, from }
  } catch (error) {
    throw await explained(error, path)
  }
}

/** The columns of an NDJSON file; one that holds lists or objects is nested, as that of a Parquet file is. */
async function jsonColumns(db: Database, path: string): Promise<RawTableColumn[]> {
  // DuckDB makes a row without values of null, and of NaN a text.
  const [odd] = await db.run(
    `SELECT 1 FROM (SELECT json_type(json) AS type, json_keys(json) AS keys, json_extract(json, '$.*') AS kept
      FROM read_ndjson_objects(${quoted(path)}${packing(path)}))
    WHERE type IS DISTINCT FROM 'OBJECT' OR len(list_distinct(keys)) < len(keys)
      OR len(list_filter(kept, lambda one: json_type(one) = 'DOUBLE' AND NOT regexp_matches(one::VARCHAR, '^-?[0-9]'))) > 0
    LIMIT 1`,
  )
  if (odd) {
    const bad = await lineThat(path, whyNoRow)
    if (bad) throw new DataError(`${path}, line ${bad.line}${bad.says}`)
  }
  const all = await db.run(
    `SELECT key, min(place) AS place, count(*) FILTER (type IN ('ARRAY', 'OBJECT'))::BIGINT AS nested,
      count(*) FILTER (type NOT IN ('ARRAY', 'OBJECT', 'NULL'))::BIGINT AS single
    FROM (SELECT unnest(json_keys(json)) AS key, unnest(range(len(json_keys(json))::BIGINT)) AS place,
      unnest(list_transform(json_extract(json, '$.*'), lambda one: json_type(one))) AS type
      FROM read_ndjson_objects(${quoted(path)}${packing(path)}))
    GROUP BY key ORDER BY place, key`,
  )
  if (!all.length) throw new DataError(`${path} has no rows: expected an object of values a line`)
  const columns = all.map(({ key, nested, single }) => ({
    name: String(key),
    nested: Number(nested),
    single: Number(single),
  }))
  expectApart(
    path,
    columns.map(({ name }) => name),
  )
  const mixed = columns.find(({ nested, single }) => nested > 0 && single > 0)
  if (mixed) {
    const first = await lineThat(path, line => nestedAt(line, mixed.name))
    throw new DataError(
      `${path}, line ${first?.line}, column '${mixed.name}': value ${first?.says}, expected one value a row, as ${mixed.single} rows have`,
    )
  }
  return columns.map(({ name, nested }) =>
    nested > 0 ? { name, kind: 'nested', type: 'lists or objects' } : { name, kind: 'text', type: 'text' },
  )
}

/** The names of a Parquet file's columns as they stand there. */
async function topLevel(db: Database, path: string): Promise<string[]> {
  const all = await db.run(
    `SELECT name, coalesce(num_children, 0)::BIGINT AS n FROM parquet_schema(${quoted(path)})`,
  )
  const names: string[] = []
  // Each element is followed by its children; the first is the root.
  const past = (at: number): number => {
    let next = at + 1
    for (let left = Number(all[at]!.n); left > 0; left--) next = past(next)
    return next
  }
  for (let at = 1; at < all.length; at = past(at)) names.push(String(all[at]!.name))
  return names
}

const KINDS: [RegExp, RawKind][] = [
  [/^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/, 'integer'],
  [/^(FLOAT|DOUBLE)$/, 'number'],
  [/^BOOLEAN$/, 'boolean'],
  [/^(DATE|TIMESTAMP.*)$/, 'date'],
  [/^(VARCHAR|UUID|TIME|TIME .*|DECIMAL\(.*\)|ENUM\(.*\)|BLOB)$/, 'text'],
]
const NESTED = /[[\]]$|^(?:STRUCT|MAP|UNION|VARIANT)\b/
const kindOf = (type: string): RawKind =>
  /[[\]]$/.test(type) ? 'nested' : (KINDS.find(([pattern]) => pattern.test(type))?.[1] ?? 'nested')

const SQL_TYPES: Record<RawKind, string> = {
  text: 'VARCHAR',
  integer: 'HUGEINT',
  number: 'DOUBLE',
  boolean: 'BOOLEAN',
  date: 'VARCHAR',
  nested: 'VARCHAR',
}

/** Dates become texts as ISO 8601 has them, in UTC; they are read again by the same code as everybody's. */
function castOf({ name, kind, type }: RawTableColumn): string {
  if (type.startsWith('TIMESTAMP WITH TIME ZONE'))
    return `make_timestamp(epoch_us(${identifier(name)}))::VARCHAR`
  if (type.startsWith('TIMESTAMP')) return `${identifier(name)}::TIMESTAMP::VARCHAR`
  return `${identifier(name)}::${SQL_TYPES[kind]}`
}

/** @throws DataError where a file lacks a column, has one more, or has it of another kind */
function expectAlike(first: Reader, other: Reader): void {
  const names = ({ columns }: Reader) => columns.map(({ name }) => name)
  const tell = (has: Reader, lacks: Reader, name: string) => {
    const near = closest(name, names(lacks))
    return new DataError(
      `${has.path} has column '${name}', ${lacks.path} has none${near === undefined ? '' : ` (the nearest is '${near}')`}; expected the same columns of all files`,
    )
  }
  const less = names(first).find(name => !names(other).includes(name))
  if (less !== undefined) throw tell(first, other, less)
  const more = names(other).find(name => !names(first).includes(name))
  if (more !== undefined) throw tell(other, first, more)
  for (const { name, kind, type } of first.columns) {
    const same = other.columns.find(column => column.name === name)!
    if (same.kind !== kind)
      throw new DataError(
        `column '${name}' is ${type} in ${first.path} and ${same.type} in ${other.path}, expected the same of all files`,
      )
  }
}

/** DuckDB's reason to refuse a file, in the words of the library. */
async function explained(error: unknown, path: string): Promise<unknown> {
  if (!(error instanceof DatabaseError)) return error
  const why = (error.cause as Error).message
  const [, record] = /CSV Error on Line: (\d+)/.exec(why) ?? []
  if (record !== undefined) {
    const line = await lineOfRecord(path, Number(record))
    const [, wanted, found] = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(why) ?? []
    const [, most, size] = /Maximum line size of (\d+) bytes exceeded. Actual Size:(\d+)/.exec(why) ?? []
    const what = size
      ? `a row of ${size} bytes, expected ${most} at most`
      : /unterminated quote/.test(why)
        ? 'a quote opens and is not closed before the field ends; quotes within a field are doubled'
        : /unicode|utf-8/i.test(why)
          ? 'its bytes are not UTF-8; save the file as UTF-8'
          : wanted === undefined
            ? why.split('\n').slice(1, 3).join(' ').slice(0, 300)
            : `${found} fields, expected ${wanted} as in the first line; a field that holds the delimiter stands in quotes`
    return new DataError(`${path}, line ${line}: ${what}`, { cause: error })
  }
  const bad = /JSON/.test(why) ? await lineThat(path, whyNoRow) : undefined
  if (bad) return new DataError(`${path}, line ${bad.line}${bad.says}`, { cause: error })
  if (/^(Out of Memory|IO|Permission)/.test(why) && !why.includes(path)) return error
  const told = why.split('\n')[0]!.replace(/^[A-Za-z ]*Error: /, '')
  return new DataError(`cannot read ${path}: ${told}`, { cause: error })
}
