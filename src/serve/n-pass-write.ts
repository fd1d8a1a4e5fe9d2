// What comes of a ranker of several passes, in Parquet: every candidate with its rank, or the rows that a pass let through.
import { shown } from '../check.ts'
import { type ColumnKind, type ParquetFile, writeParquetGroups } from '../data/index.ts'
import type { Leaf } from '../data/leaf.ts'
import { columnOf, readStored } from '../data/parquet.ts'
import type { ParquetSource } from '../data/source.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import { expectPath } from '../train/checks.ts'
import type { RankedLists } from './n-pass.ts'
import { type Candidates, expectCandidates, fileOf } from './n-pass-read.ts'
import type { VectorId } from './vector-cache.ts'

const ROWS = 100_000

/** @throws ArgumentError for what no ranker gave, or of other candidates */
function expectRanked(where: string, candidates: Candidates, ranked: RankedLists): void {
  expectCandidates(where, candidates)
  const { rows, starts, passes, scores, order } = Object(ranked) as Partial<RankedLists>
  if (!(rows && starts && passes && scores && order))
    throw new ArgumentError(`${where}: ranked is ${shown(ranked)}, expected what rank() of a ranker gave`)
  const n = candidates.rows.length
  const other = rows.find(row => row >= n)
  if (other !== undefined)
    throw new ArgumentError(
      `${where}: ranked has row ${other}, expected rows of the candidates, 0 to ${n - 1}`,
    )
}

/** The columns of a file of ranks: keys, id, rank (from 1), pass (how many scored it), and the score that the last of those gave. */
export function rankedColumns({ keys, idColumn, ids }: Pick<Candidates, 'keys' | 'idColumn' | 'ids'>) {
  const kindOf = (values: readonly VectorId[]): ColumnKind =>
    typeof values[0] === 'string' ? 'string' : 'int64'
  const columns: { name: string; kind: ColumnKind }[] = [
    ...Object.entries(keys).map(([name, values]) => ({ name, kind: kindOf(values) })),
    // Of lists told apart by the same column there is one.
    ...(Object.hasOwn(keys, idColumn) ? [] : [{ name: idColumn, kind: kindOf(ids) }]),
    { name: 'rank', kind: 'int64' },
    { name: 'pass', kind: 'int64' },
    { name: 'score', kind: 'double' },
  ]
  const twice = columns.find(({ name }, i) => columns.findIndex(one => one.name === name) < i)
  if (twice)
    throw new ConfigError(
      `the ranked file would have two columns ${twice.name}: a key or id has that name, expected another; rename the column`,
    )
  return columns
}

/**
 * Writes a row a candidate, list after list, the best first: keys, id, rank, pass, score. The file appears once it is whole.
 * @throws ConfigError where a key has the name of another column; DataError naming the path where it cannot be written
 */
export async function writeRanked(path: string, candidates: Candidates, ranked: RankedLists): Promise<void> {
  expectPath('writeRanked: path', path)
  expectRanked('writeRanked', candidates, ranked)
  const columns = rankedColumns(candidates)
  const { keys, idColumn, ids } = candidates
  const { starts, rows, passes, scores } = ranked
  async function* groups() {
    let list = 0
    for (let first = 0; first < rows.length; first += ROWS) {
      const some = rows.subarray(first, first + ROWS)
      const of = (values: readonly VectorId[]) => Array.from(some, row => values[row]!)
      const rank = Array.from(some, (_, i) => {
        while (starts[list + 1]! <= first + i) list++
        return first + i - starts[list]! + 1
      })
      yield {
        ...Object.fromEntries(Object.entries(keys).map(([name, values]) => [name, of(values)])),
        [idColumn]: of(ids),
        rank,
        pass: Array.from(passes.subarray(first, first + ROWS)),
        score: Float64Array.from(scores.subarray(first, first + ROWS)),
      }
    }
  }
  await writeParquetGroups(path, columns, groups())
}

/**
 * The kinds of a file's columns, as they are written again.
 * @throws DataError naming a column that could not be written as it is
 */
export function copiedColumns(file: ParquetFile): { name: string; kind: ColumnKind }[] {
  return file.columns.map(name => {
    const leaf = columnOf(file, name)
    const kind = kindOf(leaf)
    if (kind) return { name, kind: (leaf.list ? `list<${kind}>` : kind) as ColumnKind }
    throw new DataError(
      `${file.name}: column ${name} is ${leaf.description} (${leaf.element.type}), which cannot be written again as it is, expected numbers, text, true and false, lists of them, a date or a timestamp; leave the column out`,
    )
  })
}

/** The kind of a column's values, of a list its elements'. */
function kindOf({ kind, meaning, list, element: { type, logical_type: logical } }: Leaf): string | undefined {
  if (kind === 'text') return 'string'
  if (meaning.type === 'INTEGER') return meaning.signed || meaning.bits < 64 ? 'int64' : undefined
  if (meaning.type === 'DATE' && !list) return 'date'
  if (meaning.type === 'TIMESTAMP' && !list) {
    // The older annotation means UTC.
    const utc = logical?.type !== 'TIMESTAMP' || logical.isAdjustedToUTC
    return `timestamp[${UNITS[meaning.unit]}${utc ? ', UTC' : ''}]`
  }
  if (meaning.type !== 'NUMBER') return undefined
  if (type === 'INT32' || type === 'INT64') return 'int64'
  if (type === 'FLOAT') return 'float'
  if (type === 'DOUBLE') return 'double'
  return type === 'BOOLEAN' ? 'boolean' : undefined
}

const UNITS = { MILLIS: 'ms', MICROS: 'us', NANOS: 'ns' } as const

/**
 * Writes the rows of the candidates' file that every pass so far kept, with all of its columns and in its order: what the next pass is to learn from.
 * Memory: a row group. The file appears once it is whole.
 * @param source the file that the candidates were read from.
 * @returns how many rows there are
 * @throws DataError naming a column that cannot be written again, or the path where it cannot be written
 */
export async function writeThrough(
  path: string,
  source: ParquetSource | ParquetFile,
  candidates: Candidates,
  ranked: RankedLists,
): Promise<number> {
  expectPath('writeThrough: path', path)
  expectRanked('writeThrough', candidates, ranked)
  const { order, rows } = ranked
  const file = await fileOf(source)
  if (file.rows !== candidates.rows.length)
    throw new ArgumentError(
      `writeThrough: ${file.name} has ${file.rows} rows, expected ${candidates.rows.length}, as ${shown(candidates.file)}, which the candidates are of`,
    )
  const columns = copiedColumns(file)
  const wanted = new Uint8Array(file.rows)
  let count = 0
  for (let list = 0; list < order.kept.length; list++)
    for (const row of rows.subarray(order.starts[list], order.starts[list]! + order.kept[list]!)) {
      wanted[row] = 1
      count++
    }
  async function* groups() {
    for (const { rowStart, rows } of file.groups) {
      const end = rowStart + rows
      const values = await readStored(file, file.columns, { rowStart, rowEnd: end })
      const own = wanted.subarray(rowStart, end)
      yield Object.fromEntries(
        Object.entries(values).map(([name, all]) => [name, all.filter((_, i) => own[i])]),
      )
    }
  }
  await writeParquetGroups(path, columns, groups())
  return count
}
