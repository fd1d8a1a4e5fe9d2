/** The steps from raw files to the joined table and the codes of its values, each one or a few statements of SQL. */
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DataError } from '../../errors.ts'
import { type Database, quoted } from '../database.ts'
import type { KddListKey } from './lists.ts'
import { PROFILES, QUERIES, type RawFile, TITLES, TRAINING } from './raw-files.ts'

/** Tokens in fewer titles and queries than this are out of vocabulary. */
const MIN_DOCUMENTS = 10
/** So are tokens in a larger share of them than this. */
const MAX_DOCUMENT_SHARE = 0.5
/** Categories with fewer rows than this share one code. */
const MIN_CATEGORY_ROWS = 30
/** What a missing category counts as, before it is encoded. */
const MISSING_CATEGORY = -1
/** Token lists are gathered for this many texts at a time: DuckDB cannot spill lists that are growing. */
const TEXTS_AT_A_TIME = 400_000

/** What DuckDB reads of a raw file at once; several such pieces are in memory. Its own default is four times as much. */
const READ_BYTES = 8_000_000

/** In the order of the expected features. */
const CATEGORIES = ['gender', 'age', 'advertiser_id', 'user_id'] as const
type Category = (typeof CATEGORIES)[number]

/** Where the raw files are and what the steps work on. */
export interface Work {
  db: Database
  input: string
  /** Where the database reads a raw file, by name, if not in `input`. */
  copies: ReadonlyMap<string, string>
  onProgress: (share: number) => void
}

/** The rows of a raw file that passed its check, as SQL. */
function source({ input, copies }: Pick<Work, 'input' | 'copies'>, file: RawFile): string {
  const types = {
    number: 'BIGINT',
    'number or empty': 'BIGINT',
    'number below 2^64': 'UBIGINT',
    tokens: 'VARCHAR',
  }
  const columns = Object.entries(file.columns).map(([name, kind]) => `${quoted(name)}: '${types[kind]}'`)
  return (
    `read_csv(${quoted(copies.get(file.name) ?? join(input, file.name))}, auto_detect = false, header = false, delim = '\\t', quote = '', ` +
    `escape = '', buffer_size = ${READ_BYTES}, columns = {${columns.join(', ')}})`
  )
}

const number = (value: unknown) => Number(value as bigint)

/** Makes `training`: the first rows of the file, numbered in its order. */
export async function readTraining(work: Work, rows: number): Promise<void> {
  const { db, onProgress } = work
  await db.keepOrder(true)
  await db.run(
    `CREATE TABLE training AS
     SELECT row_number() OVER () - 1 AS row, * FROM (SELECT * FROM ${source(work, TRAINING)} LIMIT ${rows})`,
    onProgress,
  )
  await db.keepOrder(false)
}

/**
 * Makes `vocabulary`: the tokens of all titles and queries together, sorted as strings, with their ids.
 * @param texts number of titles and queries.
 * @returns the number of tokens, which is the id of every token that is not among them.
 */
export async function countTokens(work: Work, texts: number): Promise<number> {
  const { db, input, onProgress } = work
  const tokens = [TITLES, QUERIES].map(
    file => `SELECT unnest(list_distinct(string_split(tokens, '|'))) AS token FROM ${source(work, file)}`,
  )
  await db.run(
    `CREATE TABLE vocabulary AS
     SELECT token, row_number() OVER (ORDER BY token) - 1 AS id
     FROM (SELECT token, count(*) AS documents FROM (${tokens.join(' UNION ALL ')}) GROUP BY token)
     WHERE documents >= ${MIN_DOCUMENTS} AND documents <= ${MAX_DOCUMENT_SHARE * texts}`,
    onProgress,
  )
  const [counted] = await db.run('SELECT count(*) AS size FROM vocabulary')
  const size = number(counted!.size)
  if (size > 0) return size
  throw new DataError(
    `${join(input, TITLES.name)} and ${QUERIES.name}: none of the tokens of ${texts} texts is in at least ` +
      `${MIN_DOCUMENTS} and at most half of them, expected a vocabulary`,
  )
}

/** Makes `titles` or `queries`: the token ids of the texts that `training` names. */
export async function mapTexts(work: Work, file: typeof TITLES | typeof QUERIES, oov: number): Promise<void> {
  const { db, input, onProgress } = work
  const [key] = Object.keys(file.columns)
  const table = tableOf(file)
  await db.run(`CREATE TABLE wanted AS SELECT DISTINCT ${key} AS key FROM training`)
  await db.run(
    `CREATE TABLE texts AS
     SELECT ${key} AS key, string_split(tokens, '|') AS tokens
     FROM ${source(work, file)} SEMI JOIN wanted ON ${key} = key`,
  )
  await db.run('DROP TABLE wanted')
  await refuseDuplicates(work, file, 'texts')
  const [counted] = await db.run('SELECT count(*) AS texts FROM texts')
  const parts = Math.ceil(number(counted!.texts) / TEXTS_AT_A_TIME)
  await db.run(`CREATE TABLE ${table} (key BIGINT, ids INTEGER[])`)
  for (let part = 0; part < parts; part++) {
    // A token's place stands above its id, so that sorting the pairs of a text puts its ids in order.
    await db.run(
      `INSERT INTO ${table}
       SELECT key, list_transform(list_sort(list((place << 32) | coalesce(id, ${oov}))), lambda x: (x & 4294967295)::INTEGER)
       FROM (
         SELECT key, unnest(tokens) AS token, generate_subscripts(tokens, 1) AS place
         FROM texts WHERE hash(key) % ${parts} = ${part}
       ) LEFT JOIN vocabulary USING (token)
       GROUP BY key`,
      share => onProgress((part + share) / parts),
    )
    onProgress((part + 1) / parts)
  }
  await db.run('DROP TABLE texts')
  if (parts > 0) return
  const [first] = await db.run('SELECT * FROM training LIMIT 1')
  throw new DataError(
    `${join(input, file.name)} has none of the texts that ${TRAINING.name} names, such as ${key} ${first![key!]}`,
  )
}

const tableOf = (file: RawFile) => (file === TITLES ? 'titles' : 'queries')

/**
 * Makes `joined`, without the texts themselves: the training rows whose title and query are known, with the user's
 * profile where there is one and a hash of seed and row that decides the split. `training` goes.
 */
export async function joinRows(work: Work, seed: number): Promise<void> {
  const { db, input, onProgress } = work
  await db.run('CREATE TABLE wanted AS SELECT DISTINCT user_id AS key FROM training')
  await db.run(
    `CREATE TABLE profiles AS
     SELECT user_id AS key, gender, age FROM ${source(work, PROFILES)} SEMI JOIN wanted ON user_id = key`,
  )
  await db.run('DROP TABLE wanted')
  await refuseDuplicates(work, PROFILES, 'profiles')
  await db.run(
    `CREATE TABLE joined AS
     SELECT training.*, gender, age, md5_number_lower(concat(${seed}, ':', row)) AS hash
     FROM training SEMI JOIN titles ON title_id = titles.key SEMI JOIN queries ON query_id = queries.key
     LEFT JOIN profiles ON user_id = profiles.key`,
    onProgress,
  )
  const [counted] = await db.run('SELECT count(*) AS rows FROM joined')
  if (number(counted!.rows) === 0) {
    throw new DataError(
      `no row of ${join(input, TRAINING.name)} has both its title_id in ${TITLES.name} and its query_id in ${QUERIES.name}`,
    )
  }
  await db.run('DROP TABLE training')
}

/** A key on two lines would double rows, or run two texts into one. */
async function refuseDuplicates({ db, input }: Work, file: RawFile, table: string): Promise<void> {
  const [twice] = await db.run(`SELECT key FROM ${table} GROUP BY key HAVING count(*) > 1 LIMIT 1`)
  if (!twice) return
  const path = join(input, file.name)
  const [first, second] = await linesOf(path, BigInt(twice.key as bigint))
  throw new DataError(
    `${path}: lines ${first} and ${second} have the same ${Object.keys(file.columns)[0]} ${twice.key}, expected one line each`,
  )
}

async function linesOf(path: string, key: bigint): Promise<number[]> {
  const lines: number[] = []
  let number = 0
  for await (const line of createInterface({
    input: createReadStream(path),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    number++
    if (line && BigInt(line.slice(0, line.indexOf('\t'))) === key) lines.push(number)
  }
  return lines
}

/**
 * Makes `joined` a table of lists: `list` is the number of its first row, and `hash` is of seed and query, so that a query's lists stay together.
 * As `kddLists`: rows of user 0 are in no page and in no list of a user; a page's positions are distinct and lie in 1 to its depth.
 */
export async function listRows(
  { db, onProgress, input }: Work,
  key: KddListKey,
  seed: number,
): Promise<void> {
  const keys = { display: 'query_id, user_id, depth', query_user: 'query_id, user_id', query: 'query_id' }[
    key
  ]
  const hash = `md5_number_lower(concat(${seed}, ':', query_id)) AS hash`
  if (key === 'display') {
    await db.run(
      `CREATE TABLE listing AS
       SELECT ${keys}, min(row) AS list FROM joined WHERE user_id <> 0 GROUP BY ${keys}
       HAVING count(DISTINCT position) = count(*) AND min(position) >= 1 AND max(position) <= max(depth)`,
      onProgress,
    )
    await db.run(
      `CREATE TABLE listed AS
       SELECT joined.* REPLACE (${hash}), list, position - 1 AS place FROM joined JOIN listing USING (${keys})`,
      onProgress,
    )
  } else {
    await db.run(
      `CREATE TABLE documents AS
       SELECT ${keys}, min(row) AS row, sum(click)::BIGINT AS clicks, sum(impression)::BIGINT AS impressions
       FROM joined ${key === 'query' ? '' : 'WHERE user_id <> 0'} GROUP BY ${keys}, ad_id`,
      onProgress,
    )
    await db.run(`CREATE TABLE listing AS SELECT ${keys}, min(row) AS list FROM documents GROUP BY ${keys}`)
    await db.run(
      `CREATE TABLE listed AS
       SELECT joined.* REPLACE (clicks AS click, impressions AS impression, ${hash}), list
       FROM joined JOIN (SELECT row, clicks, impressions FROM documents) AS documents USING (row)
       JOIN listing USING (${keys})`,
      onProgress,
    )
    await db.run('DROP TABLE documents')
  }
  await db.run('DROP TABLE listing')
  await db.run('DROP TABLE joined')
  await db.run('ALTER TABLE listed RENAME TO joined')
  const [counted] = await db.run('SELECT count(*) AS rows, count(DISTINCT query_id) AS queries FROM joined')
  if (number(counted!.queries) < 2)
    throw new DataError(
      `${join(input, TRAINING.name)}: ${counted!.rows} rows of ${counted!.queries} queries are in lists by '${key}', expected two queries or more to split`,
    )
}

/** How one categorical column is encoded. */
interface Codes {
  /** Categories with a code of their own; the first of them has code 0. */
  frequent: number
  /** Number of codes: one more where there are rare categories, which share the last. */
  size: number
}

/** Makes `codes_<column>`: the frequent categories' codes, in numeric order. */
async function encode({ db, onProgress }: Work, column: Category): Promise<Codes> {
  await db.run(
    `CREATE TABLE counts AS
     SELECT coalesce(${column}, ${MISSING_CATEGORY}) AS value, count(*) AS rows FROM joined GROUP BY value`,
    onProgress,
  )
  await db.run(
    `CREATE TABLE codes_${column} AS
     SELECT value, row_number() OVER (ORDER BY value) - 1 AS code FROM counts WHERE rows >= ${MIN_CATEGORY_ROWS}`,
  )
  const [counted] = await db.run(
    `SELECT count(*) AS categories, count(*) FILTER (rows >= ${MIN_CATEGORY_ROWS}) AS frequent FROM counts`,
  )
  await db.run('DROP TABLE counts')
  const frequent = number(counted!.frequent)
  return { frequent, size: frequent + (number(counted!.categories) > frequent ? 1 : 0) }
}

/** What the table is written with. */
export interface TableFacts {
  codes: Record<Category, Codes>
  /** depth * scale + shift lies in [0, 1]. */
  depth: { scale: number; shift: number }
  /** Whether display_url needs an unsigned column, as pandas gives it. */
  unsignedUrl: boolean
  rows: number
  clicks: number
}

/** What `joined` holds, its categories encoded. */
export async function measure(work: Work): Promise<TableFacts> {
  const [found] = await work.db.run(
    `SELECT min(coalesce(depth, 0)) AS low, max(coalesce(depth, 0)) AS high, max(display_url) > ${2n ** 63n - 1n} AS big,
            count(*) AS rows, count(*) FILTER (click > 0) AS clicks
     FROM joined`,
  )
  const low = number(found!.low)
  const scale = 1 / (number(found!.high) - low || 1) // scikit-learn's arithmetic, step by step: the last bit counts
  const codes = {} as Record<Category, Codes>
  for (const [i, column] of CATEGORIES.entries()) {
    const onProgress = (share: number) => work.onProgress((i + share) / CATEGORIES.length)
    codes[column] = await encode({ ...work, onProgress }, column)
  }
  return {
    codes,
    depth: { scale, shift: 0 - low * scale },
    unsignedUrl: found!.big === true,
    rows: number(found!.rows),
    clicks: number(found!.clicks),
  }
}

/** The finished table, in the order of training.txt, as a query; `where` picks rows of `joined`. */
export function tableQuery(
  { codes, depth, unsignedUrl }: TableFacts,
  where: string,
  lists?: KddListKey,
): string {
  const category = (column: Category) =>
    `coalesce(codes_${column}.code, ${codes[column].frequent})::DOUBLE AS ${column}`
  const encoded = CATEGORIES.map(
    column =>
      `LEFT JOIN codes_${column} ON coalesce(joined.${column}, ${MISSING_CATEGORY}) = codes_${column}.value`,
  )
  return `
    SELECT ${lists ? 'list, ' : ''}${lists === 'display' ? 'place, ' : ''}click, impression, display_url::${unsignedUrl ? 'UBIGINT' : 'BIGINT'} AS display_url, ad_id,
      ${category('advertiser_id')},
      coalesce(depth, 0)::DOUBLE * ${depth.scale}::DOUBLE + ${depth.shift}::DOUBLE AS depth,
      position, query_id, keyword_id, title_id, description_id, ${category('user_id')}, (click > 0)::BIGINT AS label,
      titles.ids::BIGINT[] AS tokenized_title, queries.ids::BIGINT[] AS tokenized_query,
      ${category('gender')}, ${category('age')}
    FROM joined JOIN titles ON title_id = titles.key JOIN queries ON query_id = queries.key
    ${encoded.join(' ')}
    WHERE ${where} ORDER BY ${lists ? 'list, ' : ''}${lists === 'display' ? 'place, ' : ''}row`
}
