/** Rows to lists by DuckDB: keys are numbered, lists chosen, and rows sorted by them, larger than memory where need be. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  COUNT,
  expectFunction,
  expectNumber,
  expectOneOf,
  expectOptions,
  NATURAL,
  type Range,
  shown,
} from '../../check.ts'
import { files as fileSystem } from '../../data/files-node.ts'
import { openParquet } from '../../data/index.ts'
import { passed } from '../../data/replace-node.ts'
import { ArgumentError, ConfigError, DataError } from '../../errors.ts'
import { type Database, openDatabase, quoted } from '../database.ts'
import { publish, sync, takeFolder, workFolder } from '../work-folder.ts'
import type { GroupedFile, GroupListsOptions, GroupListsResult } from './index.ts'

/** Rows of a row group: what a reader holds at once. */
const ROW_GROUP_ROWS = 40_960
const KNOWN =
  'data output by name order longest longer split query time testShare seed memoryMiB signal onStage'.split(
    ' ',
  )
const SHARE: Range = { says: 'a number between 0 and 1', takes: x => x > 0 && x < 1 }
const MEMORY: Range = {
  says: 'a whole number of at least 128',
  takes: x => Number.isSafeInteger(x) && x >= 128,
}

type Resolved = GroupListsOptions &
  Required<Pick<GroupListsOptions, 'name' | 'longer' | 'split' | 'testShare' | 'seed' | 'memoryMiB'>>

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

function expectTexts(where: string, given: unknown): void {
  if (!Array.isArray(given) || !given.length || !given.every(isText))
    throw new ArgumentError(`groupLists: ${where} is ${shown(given)}, expected an array of names`)
  const twice = given.find((one, i) => given.indexOf(one) < i)
  if (twice !== undefined) throw new ConfigError(`groupLists: ${where} names ${shown(twice)} twice`)
}

function resolved(given: GroupListsOptions): Resolved {
  expectOptions('groupLists: options', given, KNOWN)
  const options = {
    ...{ name: 'list', longer: 'refuse', split: 'none', testShare: 0.1, seed: 42, memoryMiB: 768 },
    ...given,
  } as Resolved
  expectTexts('data', options.data)
  expectTexts('by', options.by)
  for (const key of ['output', 'name', 'order', 'query', 'time'] as const)
    if (!(options[key] === undefined && key !== 'output') && !isText(options[key]))
      throw new ArgumentError(`groupLists: ${key} is ${shown(options[key])}, expected a name`)
  expectOneOf('groupLists: longer', options.longer, ['refuse', 'cut'])
  expectOneOf('groupLists: split', options.split, ['none', 'query', 'time'])
  if (options.longest !== undefined) expectNumber('groupLists: longest', options.longest, COUNT)
  expectNumber('groupLists: testShare', options.testShare, SHARE)
  expectNumber('groupLists: seed', options.seed, NATURAL)
  expectNumber('groupLists: memoryMiB', options.memoryMiB, MEMORY)
  if (options.onStage !== undefined) expectFunction('groupLists: onStage', options.onStage)
  if (given.testShare !== undefined && options.split === 'none')
    throw new ConfigError(
      `groupLists: testShare is ${options.testShare}, and split is 'none', expected a split beside it`,
    )
  if (given.longer !== undefined && options.longest === undefined)
    throw new ConfigError(`groupLists: longer is '${options.longer}', expected longest beside it`)
  for (const key of ['query', 'time'] as const)
    if (options[key] !== undefined && options.split !== key)
      throw new ConfigError(
        `groupLists: ${key} is '${options[key]}', and split is '${options.split}', expected split '${key}'`,
      )
  if (options.split === 'time' && options.time === undefined)
    throw new ConfigError("groupLists: split is 'time', expected time: the column that says when")
  return options
}

/** Columns beside those of the files. */
const INTERNAL = /^~(row|first|size|draw)$/i

/** A name as an SQL identifier. */
const named = (name: string): string => `"${name.replaceAll('"', '""')}"`

interface Source {
  /** The rows of all files as SQL, `~row`, the number in all, before their columns. */
  rows: string
  columns: readonly string[]
  /** File and row of a row in all. */
  place(row: number): string
}

/** Opens the files with the library's own reader, which names what is wrong with them. */
async function sourceOf({ data, by, order, query, time, name }: Resolved): Promise<Source> {
  const starts: number[] = []
  let [rows, columns]: [number, readonly string[]] = [0, []]
  for (const [i, path] of data.entries()) {
    const file = await openParquet(path)
    if (i === 0) columns = file.columns
    else if (String(file.columns) !== String(columns))
      throw new DataError(
        `${path} has the columns ${file.columns.join(', ')}, expected those of ${data[0]}: ${columns.join(', ')}`,
      )
    for (const column of new Set([...by, ...[order, query, time].filter(isText)]))
      if (!columns.includes(column))
        throw new DataError(
          `${path} has no column ${column}, expected one of ${columns.join(', ')} for what lists are made by`,
        )
    if (columns.includes(name))
      throw new DataError(
        `${path} has a column ${name} already, and lists are numbered under that name; name another with name (--name)`,
      )
    starts.push(rows)
    rows += file.rows
  }
  if (!rows) throw new DataError(`${data.join(', ')}: there are no rows, expected one or more`)
  const seen = new Map<string, string>()
  for (const column of columns) {
    const known = seen.get(column.toLowerCase())
    if (known !== undefined || column.toLowerCase() === 'file_row_number' || INTERNAL.test(column))
      throw new DataError(
        `${data[0]} has the column ${column}${known === undefined ? ', a name that is used while sorting' : ` beside ${known}, and the database sees no case`}; rename it`,
      )
    seen.set(column.toLowerCase(), column)
  }
  const each = data.map(
    (path, i) =>
      `SELECT ${starts[i]} + file_row_number AS "~row", * EXCLUDE (file_row_number)
       FROM read_parquet(${quoted(path)}, file_row_number = true, hive_partitioning = false)`,
  )
  return {
    rows: `(${each.join(' UNION ALL ')})`,
    columns,
    place(row) {
      const i = starts.findLastIndex(start => start <= row)
      return `${data[i]}: row ${row - starts[i]!}`
    },
  }
}

/** See `groupLists`. */
export async function group(given: GroupListsOptions): Promise<GroupListsResult> {
  const options = resolved(given)
  const { output, data, split, memoryMiB, signal } = options
  const results = split === 'none' ? ['lists.parquet'] : ['train.parquet', 'test.parquet']
  const source = await sourceOf(options)
  for (const name of results)
    for (const path of data) {
      const id = await fileSystem.identity(join(output, name))
      if (id !== undefined && id === (await fileSystem.identity(path)))
        throw new DataError(`${join(output, name)} is ${path}, which is read; name another folder`)
    }
  const release = await takeFolder(output)
  try {
    const folder = await workFolder(output, results)
    try {
      const otherwise = `; it reads ${data.join(', ')}`
      const db = await openDatabase({ folder, memoryMiB, otherwise, ...(signal ? { signal } : {}) })
      try {
        const made = await build(db, options, source, folder)
        await publish(folder, output, results)
        return made
      } finally {
        db.close()
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
      passed(folder)
    }
  } finally {
    await release()
  }
}

async function build(
  db: Database,
  options: Resolved,
  source: Source,
  folder: string,
): Promise<GroupListsResult> {
  const { by, name, order, longest, longer, split, output, onStage } = options
  const stage = async (label: string, sql: string) => {
    const progress = onStage?.(label)
    await db.run(sql, share => progress?.update(share))
    progress?.done()
  }
  const keys = by.map(named).join(', ')
  await refuseTypes(db, options)
  await refuseMissing(db, options, source)
  await refuseUnordered(db, options, source)
  await stage('find lists', `CREATE TABLE lists AS ${listsQuery(options, source)}`)
  if (longest !== undefined && longer === 'refuse') await refuseLong(db, options, source, longest)
  const test = await testSide(db, options)
  const most = longest === undefined ? '"~size"' : `least("~size", ${longest})`
  const rank = `row_number() OVER (PARTITION BY "~first" ORDER BY ${order === undefined ? '' : `${named(order)}, `}"~row")`
  const columns = source.columns.map(column => `data.${named(column)}`).join(', ')
  const written: GroupedFile[] = []
  await db.keepOrder(true)
  const sides = split === 'none' ? ['lists'] : ['train', 'test']
  for (const side of sides) {
    const where = side === 'lists' ? 'true' : side === 'test' ? test : `NOT (${test})`
    const path = join(folder, `${side}.parquet`)
    const cut = longest !== undefined && longer === 'cut' ? `QUALIFY ${rank} <= ${longest}` : ''
    const query = `SELECT "~first" AS ${named(name)}, ${columns}
      FROM ${source.rows} AS data JOIN (SELECT * FROM lists WHERE ${where}) AS lists USING (${keys})
      ${cut} ORDER BY "~first", ${order === undefined ? '' : `data.${named(order)}, `}"~row"`
    const format = `(FORMAT parquet, ROW_GROUP_SIZE ${ROW_GROUP_ROWS})`
    await stage(`write ${side}.parquet`, `COPY (${query}) TO ${quoted(path)} ${format}`)
    await sync(path)
    const [counted] = await db.run(
      `SELECT count(*) AS lists, sum(${most})::BIGINT AS rows FROM lists WHERE ${where}`,
    )
    written.push({
      path: join(output, `${side}.parquet`),
      lists: Number(counted!.lists),
      rows: Number(counted!.rows),
    })
  }
  const [all] = await db.run(
    `SELECT max(${most}) AS longest, count(*) FILTER ("~size" > ${most}) AS cut FROM lists`,
  )
  const [first, second] = written as [GroupedFile, GroupedFile?]
  return {
    files: second ? { train: first, test: second } : { lists: first },
    longest: Number(all!.longest),
    cut: Number(all!.cut),
  }
}

/** Of every list its key, its first row's number, its size, and what it is split by. */
function listsQuery({ by, split, query = by[0]!, time, seed }: Resolved, { rows }: Source): string {
  const of = {
    none: '',
    // Of a query's lists, whatever else is in their key, all have the same draw.
    query: `, min(md5_number_lower(concat(${seed}, ':', ${named(query)}))) AS "~draw"`,
    time: time === undefined ? '' : `, min(${named(time)}) AS "~draw"`,
  }[split]
  return `SELECT ${by.map(named).join(', ')}, min("~row") AS "~first", count(*) AS "~size"${of}
    FROM ${rows} GROUP BY ${by.map(named).join(', ')}`
}

const WHOLE = /^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/
const NUMBER = /^(FLOAT|DOUBLE|DECIMAL.*)$/
const kindOf = (type: string) =>
  WHOLE.test(type) ? 'whole numbers' : NUMBER.test(type) ? 'numbers' : `${type.toLowerCase()} values`

/** Put together, 7 and '7' would be one list, and columns become text; whole numbers of a key would be rounded. */
async function refuseTypes(db: Database, { data, by, query, order, time }: Resolved): Promise<void> {
  const keys = new Set([...by, query, order, time])
  const first = new Map<string, string>()
  for (const path of data)
    for (const { column_name, column_type } of await db.run(
      `DESCRIBE SELECT * FROM read_parquet(${quoted(path)}, hive_partitioning = false)`,
    )) {
      const [column, own] = [String(column_name), kindOf(String(column_type))]
      const known = first.get(column) ?? own
      first.set(column, known)
      const bothNumbers = own.endsWith('numbers') && known.endsWith('numbers')
      if (own !== known && (keys.has(column) || !bothNumbers))
        throw new DataError(
          `${path}: column ${column} has ${own}, and in ${data[0]} ${known}, expected the same in all files`,
        )
      if ((column === order || column === time) && /\[\d*\]$|^(STRUCT|MAP|UNION)\b/.test(String(column_type)))
        throw new DataError(
          `${path}: column ${column} has ${own}, expected what has an order: numbers or times`,
        )
    }
}

/** Texts are in the order of time where all are ISO 8601 in one form; as others are sorted, '10' is before '9'. */
async function refuseUnordered(
  db: Database,
  { order, time }: Resolved,
  { rows, place }: Source,
): Promise<void> {
  for (const column of [order, time].filter(isText)) {
    const form = `regexp_replace(${named(column)}::VARCHAR, '\\d', '9', 'g')`
    const [found] = await db.run(
      `SELECT min("~row") AS row FROM ${rows}, (SELECT ${form} AS form FROM ${rows} WHERE "~row" = 0) AS first
       WHERE typeof(${named(column)}) = 'VARCHAR' AND NOT (${form} = first.form
         AND regexp_full_match(${form}, '9999-99-99([T ]99:99(:99([.]9+)?)?Z?)?'))
       HAVING min("~row") IS NOT NULL`,
    )
    if (!found) continue
    const [{ value } = { value: '' }] = await db.run(
      `SELECT ${named(column)} AS value FROM ${rows} WHERE "~row" = ${found.row}`,
    )
    throw new DataError(
      `${place(Number(found.row))}, column ${column}: ${shown(value)}, expected numbers, dates or times, or texts as 2024-05-31 that are all of one form: others are in no order of time`,
    )
  }
}

/** A row without a key belongs to no list; and a query that differs within a list would be on both sides. */
async function refuseMissing(
  db: Database,
  { by, order, split, query = by[0]!, time }: Resolved,
  { rows, place }: Source,
): Promise<void> {
  const needed = [...new Set([...by, ...(split === 'query' ? [query] : []), ...[order, time].filter(isText)])]
  const missing = (column: string) => `${named(column)} IS NULL OR ${named(column)}::VARCHAR = 'nan'`
  for (const column of needed) {
    const [found] = await db.run(
      `SELECT min("~row") AS row FROM ${rows} WHERE ${missing(column)} HAVING min("~row") IS NOT NULL`,
    )
    if (found)
      throw new DataError(
        `${place(Number(found.row))} has no ${column}, expected a value in every row: lists are made by it`,
      )
  }
  if (split !== 'query' || by.includes(query)) return
  const keys = by.map(named).join(', ')
  const [mixed] = await db.run(
    `SELECT min("~row") AS row FROM ${rows} GROUP BY ${keys} HAVING count(DISTINCT ${named(query)}) > 1 ORDER BY row LIMIT 1`,
  )
  if (mixed)
    throw new DataError(
      `${place(Number(mixed.row))} begins a list with rows of more than one ${query}, expected one, as lists are split by it`,
    )
}

async function refuseLong(db: Database, { by }: Resolved, { place }: Source, longest: number): Promise<void> {
  const [long] = await db.run(`SELECT * FROM lists WHERE "~size" > ${longest} ORDER BY "~first" LIMIT 1`)
  if (!long) return
  const key = by.map(column => `${column} ${String(long[column])}`).join(', ')
  throw new DataError(
    `the list of ${key}, first in ${place(Number(long['~first']))}, has ${long['~size']} rows, expected at most ${longest}; longer 'cut' (--longer cut) keeps its first`,
  )
}

/** Which lists are the test, as a condition. */
async function testSide(db: Database, { split, testShare, query, by, time }: Resolved): Promise<string> {
  if (split === 'none') return 'false'
  const column = split === 'query' ? (query ?? by[0]!) : time!
  // Queries by their draws, the smallest first; lists by their times, the latest.
  const from = split === 'query' ? '(SELECT DISTINCT "~draw" FROM lists)' : 'lists'
  const [all] = await db.run(`SELECT count(*) AS count, count(DISTINCT "~draw") AS values FROM ${from}`)
  const [count, values] = [Number(all!.count), Number(all!.values)]
  if (values < 2)
    throw new DataError(
      `all lists have one ${column}, expected two or more to split them by; leave the split out`,
    )
  const wanted = Math.min(Math.max(Math.round(count * testShare), 1), count - 1)
  const direction = split === 'query' ? 'ASC' : 'DESC'
  await db.run(
    `CREATE TABLE edge AS SELECT "~draw" FROM ${from} ORDER BY "~draw" ${direction} LIMIT 1 OFFSET ${wanted - 1}`,
  )
  if (split === 'query') return '"~draw" <= (SELECT "~draw" FROM edge)'
  // Lists of one moment stay together; where those would be all, the test begins after the first moment.
  await db.run(
    'UPDATE edge SET "~draw" = (SELECT min("~draw") FROM lists WHERE "~draw" > (SELECT min("~draw") FROM lists)) WHERE "~draw" = (SELECT min("~draw") FROM lists)',
  )
  return '"~draw" >= (SELECT "~draw" FROM edge)'
}
