// Tables of every kind to training files, and the same bits again from raw rows.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { featureInputs, labelInputs } from '../../src/config/index.ts'
import { type Columns, loadDataset, openParquet, readColumns, writeParquet } from '../../src/data/index.ts'
import { Preparation, type PrepareOptions, prepareTable } from '../../src/prepare/index.ts'
import { clickRows, csvOf, numbersFrom } from './tables.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-prepare-'))
test.after(() => rmSync(folder, { recursive: true }))
let made = 0
const write = (name: string, text: string | Uint8Array) => {
  const at = join(folder, `${++made}`)
  mkdirSync(at)
  writeFileSync(join(at, name), text)
  return join(at, name)
}
const out = () => join(folder, `out-${++made}`)
const prepared = async (input: string | string[], options: Partial<PrepareOptions> = {}) => {
  const output = out()
  const result = await prepareTable({ input, output, label: 'clicked', ...options })
  return { ...result, output, preparation: await Preparation.read(output) }
}
const rolesOf = (result: { columns: { name: string; role: string }[] }) =>
  Object.fromEntries(result.columns.map(({ name, role }) => [name, role]))

/** A prepared file as training reads it. */
async function columnsOf(path: string, preparation: Preparation): Promise<Columns> {
  const { vocab_size, pad_token_id } = preparation.document
  const numLabels = preparation.classes.length
  const { text, categorical, numerical } = featureInputs(preparation.features(), {
    ...(vocab_size === undefined ? {} : { vocabSize: vocab_size, padTokenId: pad_token_id! }),
  })
  const weight = preparation.weight === undefined ? {} : { weight_column: 'weight' }
  return loadDataset(path, {
    inputs: {
      ...(text ? { text } : {}),
      categorical,
      numerical,
      ...labelInputs({ num_labels: numLabels, ...weight }),
    },
  })
}
const bytes = (array: ArrayLike<number> & ArrayBufferView) =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('hex')
const bitsOf = ({ length, lists, ids, floats }: Columns) => ({
  length,
  lists: Object.fromEntries(
    Object.entries(lists).map(([name, { values, offsets }]) => [name, bytes(values) + bytes(offsets)]),
  ),
  ids: Object.fromEntries(Object.entries(ids).map(([name, values]) => [name, bytes(values)])),
  floats: Object.fromEntries(Object.entries(floats).map(([name, values]) => [name, bytes(values)])),
})
const sorted = (bits: ReturnType<typeof bitsOf>) =>
  JSON.stringify(bits, (_, value) =>
    value && typeof value === 'object'
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )

const rows = clickRows(600, 7)

test('a table of clicks: roles, codes, words and files, learned on the training rows alone', async () => {
  const result = await prepared(write('clicks.csv', csvOf(rows)))
  assert.equal(rolesOf(result), {
    row_id: 'ignore',
    city: 'category',
    age: 'number',
    price: 'number',
    visited: 'date',
    member: 'category',
    title: 'text',
    site: 'ignore',
    clicked: 'label',
  })
  assert.equal([result.rows, result.classes], [{ read: 600, train: 540, test: 60 }, ['no', 'yes']])
  assert.equal(readdirSync(result.output).sort(), [
    'features.json',
    'model.json',
    'preparation.json',
    'test.parquet',
    'tokenizer',
    'train.parquet',
  ])
  const { columns } = result.preparation.document
  assert.equal(columns.row_id, {
    role: 'ignore',
    why: 'it looks like an identifier: hardly a value stands there twice',
  })
  assert.equal(columns.site, { role: 'ignore', why: 'it has one value alone' })
  const { city } = columns
  assert.equal(city?.role === 'category' && [...(city.codes ?? [])].sort(), [
    'Aix, en Provence',
    'Lyon',
    'Paris',
    'Zürich "Nord"',
  ])
  assert.is(city?.role === 'category' && city.missing_code, 5)
  const [train, held] = [
    await columnsOf(result.train, result.preparation),
    await columnsOf(result.test!, result.preparation),
  ]
  // Mean and deviation are those of the training rows.
  const ages = [...train.floats.age!]
  assert.ok(Math.abs(ages.reduce((sum, x) => sum + x, 0) / ages.length) < 1e-6)
  assert.ok(Math.abs(ages.reduce((sum, x) => sum + x * x, 0) / ages.length - 1) < 1e-6)
  assert.ok(Math.abs([...held.floats.age!].reduce((sum, x) => sum + x, 0) / 60) > 1e-6)
  assert.is(
    [...train.ids.label!, ...held.ids.label!].filter(Boolean).length,
    rows.filter(row => row.clicked === 'yes').length,
  )
})

test('every kind of file gives the same rows: TSV, semicolons, CRLF, packed, NDJSON, Parquet, several, folders, patterns', async () => {
  const want = await prepared(write('clicks.csv', csvOf(rows)))
  const bits = sorted(bitsOf(await columnsOf(want.train, want.preparation)))
  const [first, second] = [rows.slice(0, 250), rows.slice(250)]
  const parts = write('a.csv', csvOf(first))
  writeFileSync(join(parts, '..', 'b.csv'), csvOf(second.map(({ row_id, ...rest }) => ({ ...rest, row_id }))))
  writeFileSync(join(parts, '..', 'notes.txt'), 'no table')
  const parquet = write('clicks.parquet', '')
  const column = (name: keyof (typeof rows)[0]) => rows.map(row => row[name])
  await writeParquet(parquet, [
    { name: 'row_id', kind: 'int64', data: column('row_id') },
    { name: 'city', kind: 'string', data: column('city') },
    { name: 'age', kind: 'double', data: column('age') },
    { name: 'price', kind: 'double', data: column('price') },
    { name: 'visited', kind: 'string', data: column('visited') },
    { name: 'member', kind: 'string', data: rows.map(row => String(row.member)) },
    { name: 'title', kind: 'string', data: column('title') },
    { name: 'site', kind: 'string', data: column('site') },
    { name: 'clicked', kind: 'string', data: column('clicked') },
  ])
  const inputs: Record<string, string | string[]> = {
    tsv: write('clicks.tsv', csvOf(rows, { delimiter: '\t' })),
    semicolons: write('clicks.csv', csvOf(rows, { delimiter: ';' })),
    crlf: write('clicks.csv', `\ufeff${csvOf(rows, { end: '\r\n' })}`),
    packed: write('clicks.csv.gz', gzipSync(csvOf(rows))),
    'packed, in capitals': write('CLICKS.CSV.GZ', gzipSync(csvOf(rows))),
    'packed ndjson, in capitals': write(
      'CLICKS.JSONL.GZ',
      gzipSync(rows.map(row => `${JSON.stringify(row)}\n`).join('')),
    ),
    ndjson: write('clicks.ndjson', rows.map(row => `${JSON.stringify(row)}\n`).join('')),
    'packed ndjson': write('clicks.jsonl.gz', gzipSync(rows.map(row => `${JSON.stringify(row)}\n`).join(''))),
    parquet,
    several: [parts, join(parts, '..', 'b.csv')],
    folder: join(parts, '..'),
    pattern: join(parts, '..', '*.csv'),
  }
  for (const [kind, input] of Object.entries(inputs)) {
    const result = await prepared(input)
    assert.is(sorted(bitsOf(await columnsOf(result.train, result.preparation))), bits, kind)
  }
})

test('raw rows come to the bits that prepare wrote: odd texts, dates, numbers and truth values, as texts and as values', async () => {
  const draw = numbersFrom(11)
  const of = <T>(list: readonly T[]) => list[Math.floor(draw() * list.length)]!
  const texts = [
    '',
    'naïve café',
    'Zu\u0308rich',
    '東京 駅',
    '🥾 boots',
    'a "quoted" one',
    'two\nlines',
    ' spaces  ',
    'İstanbul',
    '\u200bzero',
    'NULL',
  ]
  const numbers = [
    '1e-320',
    '-0',
    '0',
    '1e300',
    '-1e300',
    '4.9e-324',
    '0.1',
    '123456789.123456789',
    '+7',
    '.5',
    '3.',
    '',
    'NA',
    'nan',
    '1E5',
  ]
  const integers = [
    '12345678901234567890',
    '-9223372036854775808',
    '0',
    '7',
    '9007199254740993',
    '170141183460469231731687303715884105727',
    '',
  ]
  const dates = [
    '2024-02-29',
    '1970-01-01',
    '1969-12-31T23:59:59.999',
    '2024/7/4',
    '0001-01-01',
    '9999-12-31 23:59:59',
    '2024-02-29T12:00:00+05:30',
    '',
  ]
  const truths = ['true', 'FALSE', 'True', 'f'.replace('f', 'false'), '1', '0', '']
  const raw = Array.from({ length: 3000 }, (_, i) => ({
    text: Array.from({ length: 4 }, () => of(texts)).join(' '),
    name: of(texts),
    number: of(numbers),
    rank: of(numbers),
    big: of(integers),
    day: of(dates),
    truth: of(truths),
    url: `https://example/${Math.floor(draw() * 500)}`,
    times: of(['1', '0.25', '0']),
    clicked: i % 3 ? '0' : '1',
  }))
  const result = await prepared(write('odd.csv', csvOf(raw)), {
    columns: {
      text: { role: 'text' },
      name: { role: 'category' },
      number: { role: 'number', scale: 'quantiles' },
      rank: { role: 'number', scale: 'quantiles', impute: 'mean' },
      big: { role: 'category' },
      day: { role: 'date' },
      truth: { role: 'category' },
      url: { role: 'category', hash_buckets: 64 },
    },
    weight: 'times',
    tokenizer: 'wordpiece',
    vocabularySize: 80,
    maxTokens: 12,
  })
  const written = [
    await columnsOf(result.train, result.preparation),
    await columnsOf(result.test!, result.preparation),
  ]
  assert.is(written[0]!.length + written[1]!.length, 3000)
  // Which rows are the test is told by the order of the rest.
  const all = result.preparation.apply(raw, { labels: 'required' })
  const typed = result.preparation.apply(
    raw.map(row => ({
      ...row,
      number: Number.isFinite(Number(row.number)) && row.number ? Number(row.number) : null,
      big: row.big ? BigInt(row.big) : undefined,
      truth: row.truth ? ['true', '1'].includes(row.truth.toLowerCase()) : null,
      clicked: Number(row.clicked),
      times: Number(row.times),
    })),
    { labels: 'required' },
  )
  assert.is(sorted(bitsOf(typed)), sorted(bitsOf(all)))
  const rowBits = (columns: Columns, row: number) =>
    JSON.stringify([
      ...Object.keys(columns.lists)
        .sort()
        .map(name => {
          const { values, offsets } = columns.lists[name]!
          return bytes(values.slice(offsets[row], offsets[row + 1]))
        }),
      ...Object.keys(columns.ids)
        .sort()
        .map(name => columns.ids[name]![row]),
      ...Object.keys(columns.floats)
        .sort()
        .map(name => bytes(columns.floats[name]!.slice(row, row + 1))),
    ])
  let next = [0, 0]
  for (let row = 0; row < 3000; row++) {
    const bits = rowBits(all, row)
    const at = next.findIndex((n, part) => n < written[part]!.length && rowBits(written[part]!, n) === bits)
    assert.ok(at >= 0, `row ${row} is in neither file at its place`)
    // Rows that are alike may be of either file; the one that goes on is found by trying the longer first.
    next = next.map((n, part) => n + Number(part === at))
  }
  assert.equal(
    next,
    written.map(({ length }) => length),
  )
})

test('rows are split by time and by group, and never learned from twice', async () => {
  const byTime = await prepared(
    write('t.csv', csvOf(rows.map(row => ({ ...row, visited: row.visited ?? '2024-01-01' })))),
    {
      split: { by: 'time', column: 'visited' },
      testShare: 0.2,
    },
  )
  const [earlier, later] = [
    await columnsOf(byTime.train, byTime.preparation),
    await columnsOf(byTime.test!, byTime.preparation),
  ]
  assert.ok(Math.max(...earlier.floats.visited!) < Math.min(...later.floats.visited!))
  assert.ok(later.length >= 120 && later.length < 140, `${later.length} test rows`)
  const grouped = rows.map((row, i) => ({ ...row, user: `u${i % 40}` }))
  const byGroup = await prepared(write('g.csv', csvOf(grouped)), {
    split: { by: 'group', column: 'user' },
    testShare: 0.25,
    columns: { user: { role: 'category', least_count: 1 } },
  })
  const [some, others] = [
    await columnsOf(byGroup.train, byGroup.preparation),
    await columnsOf(byGroup.test!, byGroup.preparation),
  ]
  assert.is(others.length, 150)
  // No group of the test is known: all of its users are the unknown one.
  assert.equal([...new Set(others.ids.user!)], [0])
  assert.is(new Set(some.ids.user!).size, 30)
  const none = await prepared(write('n.csv', csvOf(rows)), { testShare: 0 })
  assert.equal(
    [none.test, none.rows.train, readdirSync(none.output).includes('test.parquet')],
    [undefined, 600, false],
  )
  const seeds = await Promise.all(
    [1, 1, 2].map(seed =>
      prepared(write('s.csv', csvOf(rows)), { seed }).then(r => columnsOf(r.test!, r.preparation)),
    ),
  )
  const [a, b, c] = seeds.map(columns => sorted(bitsOf(columns)))
  assert.ok(a === b && a !== c)
})

test('columns that tell the label, hold nothing or one value are left out and named; asked for, they are read', async () => {
  const wide = rows.map((row, i) => ({
    ...row,
    empty: null,
    refund: row.clicked === 'yes' ? 'paid' : '',
    code: row.clicked === 'yes' ? i % 3 : 3 + (i % 3),
    key: `k${i}x`,
    seen_at: 1_700_000_000 + 37 * i,
    stamp: (1_700_000_000 + 37 * i) * 1000,
    counter: 1_700_000_000 + 41 * i,
    constant: 5,
  }))
  const { columns } = await prepared(write('wide.csv', csvOf(wide)))
  const says = Object.fromEntries(columns.map(({ name, says: text }) => [name, text]))
  assert.match(says.empty!, /left out: it has no value/)
  assert.match(says.refund!, /left out: it tells the label/)
  assert.match(says.code!, /left out: it tells the label/)
  assert.match(says.key!, /left out: it looks like an identifier/)
  assert.match(says.seen_at!, /^seconds, to days/)
  assert.match(says.stamp!, /^milliseconds, to days/)
  assert.match(
    says.counter!,
    /identifier: .*; if it is a time, --role counter=date --date-format counter=seconds$/,
  )
  assert.match(says.constant!, /left out: it has one value alone/)
  const asked = await prepared(write('wide.csv', csvOf(wide)), {
    columns: { refund: { role: 'category' }, row_id: { role: 'number' }, city: { role: 'ignore' } },
  })
  assert.equal(
    [rolesOf(asked).refund, rolesOf(asked).row_id, rolesOf(asked).city],
    ['category', 'number', 'ignore'],
  )
  // The file it writes asks for the same again.
  const { columns: again } = JSON.parse(readFileSync(asked.featuresFile, 'utf8'))
  const same = await prepared(write('wide.csv', csvOf(wide)), { columns: again })
  assert.equal(rolesOf(same), rolesOf(asked))
})

test('a given tokenizer is taken as it stands, with its frame', async () => {
  const result = await prepared(write('clicks.csv', csvOf(rows)), { tokenizer: 'test/golden/encoders/bert' })
  const { lists } = result.preparation.apply([{ ...rows[0]! }])
  const { before, after } = { before: lists.title!.values[0], after: lists.title!.values.at(-1) }
  assert.is(result.preparation.document.vocab_size! > 100, true)
  assert.ok(before !== after && lists.title!.values.length > 2)
})

test('numbers and dates that are one column each, a table of numbers alone, and names that parameters cannot have', async () => {
  const draw = numbersFrom(3)
  const table = Array.from({ length: 200 }, (_, i) => ({
    'price.net €': draw(),
    '2023': draw(),
    label: draw(),
    'a b': draw(),
    a_b: draw(),
    y: i % 2,
  }))
  const result = await prepared(write('numbers.csv', csvOf(table)), { label: 'y' })
  const names = Object.keys(result.preparation.features())
  assert.equal(names.sort(), ['a_b', 'a_b_2', 'column_2023', 'label_2', 'price_net_'].sort())
  const parquet = await openParquet(result.train)
  assert.equal((await readColumns(parquet, ['label'])).label!.length, 180)
})

test.run()
