// Which rows are kept apart as a test, as a condition of SQL: at random, the last ones, or whole groups.
import { type Database, quoted } from '../datasets/database.ts'
import { DataError } from '../errors.ts'
import { DATE_EXAMPLES } from './encode.ts'
import type { RawTable } from './formats.ts'
import { named } from './table.ts'
import { DATE_FORMATS, type DateFormat, isMissing, numberOf, timeOf } from './values.ts'

/** How rows are kept apart. */
export interface SplitOptions {
  by: 'random' | 'time' | 'group' | 'none'
  /** Of 'time' and 'group': the column that says when, or of whom. */
  column?: string | undefined
  seed: number
  share: number
}

/** The condition that is true of test rows. */
export async function splitRows(
  db: Database,
  table: RawTable,
  { by, column, seed, share }: SplitOptions,
  also: ReadonlySet<string>,
  asked: { at: (row: number) => string; format?: DateFormat | undefined },
): Promise<string> {
  if (by === 'none' || share === 0) return 'false'
  const { rows } = table
  if (rows < 2)
    throw new DataError(`one row cannot be split into training and test rows; --test-share 0 makes no test`)
  if (by === 'random') {
    const hash = hashOf('rowid::VARCHAR', seed)
    return `(${hash} <= ${await nth(db, `SELECT ${hash} AS h FROM raw`, part(rows, share))})`
  }
  if (by === 'group') {
    const hash = hashOf(`${named(column!)}::VARCHAR`, seed)
    const groups = `SELECT DISTINCT ${hash} AS h FROM raw WHERE ${named(column!)} IS NOT NULL`
    const [counted] = await db.run(`SELECT count(*)::BIGINT AS n FROM (${groups})`)
    const all = Number(counted!.n)
    if (all < 2)
      throw new DataError(
        `column '${column}' has ${all} different values, expected at least 2 groups to split by`,
      )
    // Rows of no group are trained on.
    return `coalesce(${hash} <= ${await nth(db, groups, part(all, share))}, false)`
  }
  return lastRows(db, column!, part(rows, share), also, asked)
}

const part = (n: number, share: number) => Math.min(Math.max(Math.round(n * share), 1), n - 1)

/** The same number for the same text and seed in every version. */
const hashOf = (text: string, seed: number) => `md5_number_lower(${quoted(`${seed}:`)} || ${text})`

async function nth(db: Database, hashes: string, n: number): Promise<string> {
  const [row] = await db.run(
    `SELECT t.h::VARCHAR AS h FROM (${hashes}) t ORDER BY t.h LIMIT 1 OFFSET ${n - 1}`,
  )
  return `${row!.h}::UBIGINT`
}

/** The rows with the latest times; ties with the first of them are tests too. */
async function lastRows(
  db: Database,
  column: string,
  wanted: number,
  also: ReadonlySet<string>,
  { at, format }: { at: (row: number) => string; format?: DateFormat | undefined },
): Promise<string> {
  const values: { value: unknown; row: number }[] = []
  for await (const [texts, firsts] of db.stream(
    `SELECT ${named(column)}::VARCHAR, min(rowid)::BIGINT FROM raw WHERE ${named(column)} IS NOT NULL GROUP BY 1`,
  ))
    for (const [i, value] of texts!.entries())
      if (!isMissing(value, 'date', also)) values.push({ value, row: Number(firsts![i]) })
  if (!values.length) throw new DataError(`column '${column}' has no value to split by`)
  const ways: ((value: unknown) => number | undefined)[] = format
    ? [value => timeOf(value, format)]
    : [
        numberOf,
        ...DATE_FORMATS.filter(one => one === 'iso' || one === 'dmy' || one === 'mdy').map(
          one => (value: unknown) => timeOf(value, one),
        ),
      ]
  const reads = ways.filter(way => values.every(({ value }) => way(value) !== undefined))
  if (reads.length > 1)
    throw new DataError(
      `column '${column}' has dates that may be day or month first; say which: --date-format ${column}=dmy or ${column}=mdy`,
    )
  const [read] = reads
  if (!read) {
    const odd = values.reduce((a, b) =>
      ways.some(way => way(b.value) !== undefined) || a.row < b.row ? a : b,
    )
    throw new DataError(
      `${at(odd.row)}, column '${column}': value ${JSON.stringify(String(odd.value))}, expected numbers or dates as ${DATE_EXAMPLES[format ?? 'iso']} to split by`,
    )
  }
  await db.run('CREATE TABLE moments (value VARCHAR, t DOUBLE)')
  const PIECE = 5000
  for (let start = 0; start < values.length; start += PIECE) {
    const tuples = values
      .slice(start, start + PIECE)
      .map(({ value }) => `(${quoted(String(value))}, ${read(value)})`)
    await db.run(`INSERT INTO moments VALUES ${tuples.join(', ')}`)
  }
  const joined = `FROM raw JOIN moments ON ${named(column)}::VARCHAR = moments.value`
  const [cut] = await db.run(`SELECT t ${joined} ORDER BY t DESC LIMIT 1 OFFSET ${wanted - 1}`)
  const [first] = await db.run('SELECT min(t) AS t FROM moments')
  if (cut === undefined || cut.t === first!.t)
    throw new DataError(
      `column '${column}' has too few different times to split ${wanted} rows from the others`,
    )
  return `coalesce(${named(column)}::VARCHAR IN (SELECT value FROM moments WHERE t >= ${cut.t}), false)`
}
