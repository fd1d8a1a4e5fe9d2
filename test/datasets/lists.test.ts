// Rows of files as lists that stand side by side: grouped wherever they stand, split by query or time, and refused where they cannot be.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parquetBytes, randomStream, readColumns, shuffledOrder } from '../../src/data/index.ts'
import { openDatabase, quoted } from '../../src/datasets/database.ts'
import { type GroupListsOptions, groupLists } from '../../src/datasets/lists/index.ts'
import { KernelgradError } from '../../src/errors.ts'
import { kernelgrad } from '../cli/capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-group-'))
test.after(() => rmSync(folder, { recursive: true }))
let made = 0
const at = (name: string) => join(folder, name)
const fresh = () => at(`out-${made++}`)

interface Row {
  query: number
  session: string
  day: number
  place: number
  id: number
}
const random = randomStream(6, 0)
/** Lists of 1 to 9 rows of 40 queries with 1 to 4 sessions; their rows stand anywhere, in two files. */
const lists = Array.from({ length: 40 }, (_, query) =>
  Array.from({ length: 1 + random.below(4) }, (_, s) => {
    const day = random.below(100)
    return Array.from({ length: 1 + random.below(9) }, (_, place) => ({
      query,
      session: `s'${s}`,
      day,
      place,
      id: 0,
    }))
  }),
).flat()
const sorted = lists.flat()
const rows: Row[] = Array.from(shuffledOrder(sorted.length, 2, 0), (row, id) => ({ ...sorted[row]!, id }))
const LONGEST = Math.max(...lists.map(list => list.length))
const cut = Math.floor(rows.length * 0.4)
const KINDS = { query: 'int64', session: 'string', day: 'double', place: 'int64', id: 'int64' } as const
async function write(
  name: string,
  given: Record<string, unknown>[],
  kinds: Record<string, string> = KINDS,
): Promise<string> {
  const columns = Object.entries(kinds).map(([column, kind]) => ({
    name: column,
    kind,
    data: given.map(row => row[column]),
  }))
  writeFileSync(at(name), new Uint8Array(await parquetBytes(columns as never)))
  return at(name)
}
const data = [
  await write("a'b.parquet", rows.slice(0, cut) as never),
  await write('b.parquet', rows.slice(cut) as never),
]
const options = (more: Partial<GroupListsOptions> = {}): GroupListsOptions => ({
  data,
  by: ['query', 'session'],
  output: fresh(),
  ...more,
})

async function read(path: string): Promise<(Row & { list: number })[]> {
  const names = ['list', ...Object.keys(KINDS)]
  const columns = await readColumns(path, names)
  return Array.from(columns.list!, (_, i) =>
    Object.fromEntries(
      names.map(name => [name, name === 'session' ? columns[name]![i] : Number(columns[name]![i])]),
    ),
  ) as never
}
const keyOf = ({ query, session }: Row) => `${query} ${session}`
/** Rows by their list, in the order of the first of them. */
function byList(given: Row[]): Map<string, Row[]> {
  const out = new Map<string, Row[]>()
  for (const row of given) out.set(keyOf(row), [...(out.get(keyOf(row)) ?? []), row])
  return out
}
/** Lists side by side, in the order of their first rows, numbered by those; rows as they stood. */
function check(
  found: (Row & { list: number })[],
  expected: Row[],
  order: (a: Row, b: Row) => number = (a, b) => a.id - b.id,
) {
  const first = new Map([...byList(rows)].map(([key, own]) => [key, own[0]!.id]))
  const wanted = [...byList(expected)].sort(([a], [b]) => first.get(a)! - first.get(b)!)
  assert.equal(
    found,
    wanted.flatMap(([key, own]) => [...own].sort(order).map(row => ({ list: first.get(key)!, ...row }))),
  )
}

async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    assert.instance(error, KernelgradError, String((error as Error).stack))
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

test('rows stand list by list, in the order of the files or of a column', async () => {
  const plain = options()
  const { files, longest, cut } = await groupLists(plain)
  assert.equal([longest, cut], [LONGEST, 0])
  assert.equal(files, {
    lists: { path: join(plain.output, 'lists.parquet'), lists: lists.length, rows: rows.length },
  })
  assert.equal(readdirSync(plain.output), ['lists.parquet'])
  check(await read(join(plain.output, 'lists.parquet')), rows)
  const ordered = options({ order: 'place', longest: LONGEST })
  await groupLists(ordered)
  check(await read(join(ordered.output, 'lists.parquet')), rows, (a, b) => a.place - b.place)
})

test('longer lists are cut to their first rows by the order, or refused by key, file and row', async () => {
  const short = options({ order: 'place', longest: 3, longer: 'cut' })
  const { longest, cut, files } = await groupLists(short)
  assert.equal([longest, cut], [3, lists.filter(list => list.length > 3).length])
  const kept = rows.filter(row => row.place < 3)
  assert.is('lists' in files && files.lists.rows, kept.length)
  check(await read(join(short.output, 'lists.parquet')), kept, (a, b) => a.place - b.place)
  const refused = options({ longest: 3 })
  const long = rows.find(row => rows.filter(other => keyOf(other) === keyOf(row)).length > 3)!
  const size = rows.filter(other => keyOf(other) === keyOf(long)).length
  const [file, row] = long.id < cut ? [data[0], long.id] : [data[1], long.id - cut]
  const message = await messageOf(() => groupLists(refused))
  assert.match(message, `the list of query ${long.query}, session ${long.session}, first in `)
  assert.match(message, `has ${size} rows, expected at most 3`)
  assert.ok(!message.includes('undefined') && (file === data[0] ? row === long.id : true))
  assert.equal(existsSync(refused.output) ? readdirSync(refused.output) : [], [])
})

test('a split by query keeps its lists on one side, by seed; a split by time tests the latest', async () => {
  const seen = new Set<string>()
  for (const seed of [1, 2, 1]) {
    const by = options({ split: 'query', seed, testShare: 0.25 })
    const { files } = await groupLists(by)
    assert.ok('test' in files)
    const [train, test] = [
      await read(join(by.output, 'train.parquet')),
      await read(join(by.output, 'test.parquet')),
    ]
    const queries = new Set(test.map(row => row.query))
    assert.is(queries.size, 10)
    check(
      test,
      rows.filter(row => queries.has(row.query)),
    )
    check(
      train,
      rows.filter(row => !queries.has(row.query)),
    )
    assert.equal([files.train.rows, files.test.rows], [train.length, test.length])
    seen.add([...queries].join())
  }
  assert.is(seen.size, 2)
  const by = options({ split: 'time', time: 'day', testShare: 0.2 })
  await groupLists(by)
  const [train, test] = [
    await read(join(by.output, 'train.parquet')),
    await read(join(by.output, 'test.parquet')),
  ]
  const edge = Math.min(...test.map(row => row.day))
  assert.ok(Math.max(...train.map(row => row.day)) < edge)
  const count = (found: Row[]) => new Set(found.map(keyOf)).size
  assert.is(count(train) + count(test), lists.length)
  assert.ok(
    count(test) >= Math.round(0.2 * lists.length) && count(test) < 0.2 * lists.length + 12,
    `${count(test)}`,
  )
  check(
    [...train, ...test].sort((a, b) => a.list - b.list || a.id - b.id),
    rows,
  )
})

test('what cannot be is refused, and what was there stays', async () => {
  const out = at('kept')
  await groupLists(options({ output: out }))
  const before = await read(join(out, 'lists.parquet'))
  const hole = at('hole.parquet')
  const db = await openDatabase({ folder, memoryMiB: 128 })
  const values = `if(row_number() OVER () = 6, NULL, query) AS query, session, day, place, id`
  await db.run(
    `COPY (SELECT ${values} FROM read_parquet(${quoted(data[0]!)})) TO ${quoted(hole)} (FORMAT parquet)`,
  )
  db.close()
  const other = await write('other.parquet', rows.slice(0, 3) as never, { query: 'int64', session: 'string' })
  const listed = await write(
    'listed.parquet',
    rows.map(row => ({ ...row, list: 1 })),
    { ...KINDS, list: 'int64' },
  )
  const one = await write(
    'one.parquet',
    rows.slice(0, 3).map(row => ({ ...row, query: 7, day: 1 })),
    KINDS,
  )
  const empty = await write('empty.parquet', [], KINDS)
  const nan = await write(
    'nan.parquet',
    rows.slice(0, 5).map((row, i) => ({ ...row, day: i === 3 ? Number.NaN : 1 })),
    KINDS,
  )
  const spoken = (query: (row: Row, i: number) => unknown, kind: string, name: string) =>
    write(`${name}.parquet`, rows.slice(0, 12).map((row, i) => ({ ...row, query: query(row, i) })) as never, {
      ...KINDS,
      query: kind,
    })
  const texts = await spoken(row => String(row.query), 'string', 'texts')
  const halves = await spoken(row => row.query + 0.5, 'double', 'halves')
  const dates = await spoken(
    (_, i) => (i === 5 ? '3 May 2024' : `2024-05-0${1 + (i % 9)}`),
    'string',
    'dates',
  )
  for (const [more, says] of [
    [
      { data: [data[0], texts] },
      /texts\.parquet: column query has varchar values, and in .*a'b\.parquet whole numbers, expected the same/,
    ],
    [{ data: [data[0], texts], by: ['session'] }, /texts\.parquet: column query has varchar values/],
    [{ data: [data[0], halves] }, /halves\.parquet: column query has numbers, and in .* whole numbers/],
    [{ order: 'session' }, /a'b\.parquet: row 0, column session: 's'\d', expected numbers, dates or times/],
    [{ data: [texts], split: 'time', time: 'query' }, /row 0, column query: '\d+', expected numbers, dates/],
    [
      { data: [dates], order: 'query' },
      /dates\.parquet: row 5, column query: '3 May 2024', expected numbers/,
    ],
    [{ testShare: 0.5 }, /testShare is 0\.5, and split is 'none', expected a split beside it/],
    [{ by: ['user'] }, /a'b\.parquet has no column user, expected one of query, session, day, place, id/],
    [{ order: 'rank' }, /has no column rank/],
    [{ by: [] }, /by is an array of 0|by is \[\]|expected an array of names/],
    [{ by: ['query', 'query'] }, /by names 'query' twice/],
    [{ by: 'query' }, /by is 'query', expected an array of names/],
    [{ data: [data[0], data[0]] }, /data names .* twice/],
    [
      { data: [data[0], other] },
      /other\.parquet has the columns query, session, expected those of .*a'b\.parquet/,
    ],
    [{ data: [listed] }, /listed\.parquet has a column list already/],
    [{ data: [empty] }, /there are no rows/],
    [{ data: [at('none.parquet')] }, /none\.parquet/],
    [{ data: [nan], by: ['day'] }, /nan\.parquet: row 3 has no day, expected a value in every row/],
    [{ data: [data[1], hole] }, /hole\.parquet: row 5 has no query, expected a value in every row/],
    [{ data: [one], split: 'query' }, /all lists have one query, expected two or more/],
    [{ data: [one], split: 'time', time: 'day' }, /all lists have one day/],
    [{ by: ['session'], split: 'query', query: 'query' }, /begins a list with rows of more than one query/],
    [{ split: 'time' }, /expected time: the column that says when/],
    [{ split: 'random' }, /split is 'random', expected 'none'/],
    [{ query: 'query' }, /query is 'query', and split is 'none'/],
    [{ longer: 'cut' }, /longer is 'cut', expected longest beside it/],
    [{ longest: 0 }, /longest is 0/],
    [{ longest: 2.5 }, /longest is 2\.5/],
    [{ testShare: 1 }, /testShare is 1/],
    [{ seed: -1 }, /seed is -1/],
    [{ memoryMiB: 1 }, /memoryMiB is 1/],
    [{ longst: 3 }, /'longst' is unknown; did you mean 'longest'/],
    [{ output: '' }, /output is '', expected a name/],
  ] as [object, RegExp][])
    assert.match(await messageOf(() => groupLists(options({ output: out, ...more } as never))), says)
  assert.match(await messageOf(() => groupLists(undefined as never)), /groupLists: options/)
  // A column that is no key may be of other numbers, and texts that are dates have an order.
  const mixed = await groupLists(options({ data: [data[0]!, halves], by: ['session'], output: fresh() }))
  assert.is((mixed.files as { lists: { rows: number } }).lists.rows, cut + 12)
  const days = await spoken((_, i) => `2024-05-0${9 - (i % 9)}`, 'string', 'days')
  const dated = await groupLists(
    options({ data: [days], by: ['session'], order: 'query', split: 'time', time: 'query', output: fresh() }),
  )
  assert.ok((dated.files as { test: { rows: number } }).test.rows > 0)
  const own = await write('lists.parquet', rows as never)
  assert.match(
    await messageOf(() => groupLists(options({ output: folder, data: [own] }))),
    /which is read; name another folder/,
  )
  assert.equal(await read(join(out, 'lists.parquet')), before)
  assert.equal(readdirSync(out), ['lists.parquet'])
})

test('Parquet files that gzip packed, whole or cut short, are refused by name', async () => {
  const packed = gzipSync(readFileSync(data[0]!))
  for (const [name, bytes] of [
    ['packed.parquet', packed],
    ['cut.parquet.gz', packed.subarray(0, 90)],
  ] as const) {
    writeFileSync(at(name), bytes)
    const failed = await groupLists({ data: [at(name)], by: ['query'], output: fresh() }).catch(e => e)
    assert.instance(failed, KernelgradError)
    assert.match(
      failed.message,
      /(packed|cut)\.parquet(\.gz)? is not a Parquet file: it does not start with PAR1, .*gunzip/,
    )
  }
})

test('the command line says what it wrote', async () => {
  const out = fresh()
  const args = [
    'lists',
    '--data',
    ...data,
    '--by',
    'query',
    'session',
    '--out',
    out,
    '--split',
    'query',
    '--longest',
    '4',
    '--longer',
    'cut',
  ]
  const run = await kernelgrad(...args)
  assert.is(run.code, 0, run.err)
  assert.match(
    run.out,
    /train\.parquet +\d+ +\d+\n.*test\.parquet +\d+ +\d+\n\nthe longest list has 4 rows; \d+ longer ones were cut; done in /,
  )
  const json = await kernelgrad(...args, '--json')
  assert.is(json.code, 0, json.err)
  const told = JSON.parse(json.out)
  assert.is(told.train.lists + told.test.lists, lists.length)
  // The columns of --by: with commas, as they stand in the guide, or with blanks.
  const by = async (...columns: string[]) => {
    const given = ['lists', '--data', data[0]!, '--by', ...columns, '--out', fresh(), '--json']
    const { code, out, err } = await kernelgrad(...given)
    return code ? err : JSON.parse(out).lists.lists
  }
  const both = await by('query,session')
  assert.is(await by('query', 'session'), both)
  assert.is(await by('query, session'), both)
  assert.ok((await by('query')) < both)
  assert.match(
    await by('query,'),
    /--by <columns\.\.\.>': 'query,': a name is empty, expected columns with a comma/,
  )
  assert.match(await by('query', 'query'), /'query' stands twice/)
  const wrong = await kernelgrad(...args, '--test-share', '2')
  assert.is(wrong.code, 2)
  assert.match(wrong.err, /--test-share 2: expected a number between 0 and 1/)
})

test.run()
