// What is learned in memory, as in a page, against what prepareTable learns of the same file: roles, document, words and rows to the bit.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parquetBytes, readColumns } from '../../src/data/index.ts'
import {
  inferRoles,
  type LearnOptions,
  learnTable,
  openTable,
  Preparation,
  prepareTable,
  rawRows,
} from '../../src/prepare/index.ts'
import { clickRows, csvOf, numbersFrom } from './tables.ts'
import { blobOf, type Content, writtenFiles } from './written.ts'

const { folder, write, output: newOutput } = writtenFiles('memory')
test.after(() => rmSync(folder, { recursive: true }))

/** Both ways, of one file. */
async function bothWays(name: string, content: Content, options: Partial<LearnOptions> = {}) {
  const how = { label: 'clicked', ...options }
  const output = newOutput()
  const input = write(name, content)
  const onDisk = await prepareTable({ input, output, ...how })
  const table = await openTable(blobOf(content), { name })
  return { onDisk, output, table, inMemory: await learnTable(table, how) }
}

/** A column of a written file: token ids as texts, numbers as they are. */
const plain = (values: readonly unknown[]) =>
  values.map(value => (Array.isArray(value) ? value.map(Number).join(' ') : Number(value)))

async function expectAlike(name: string, content: Content, options: Partial<LearnOptions> = {}) {
  const { onDisk, output, table, inMemory } = await bothWays(name, content, options)
  const json = (file: string) => JSON.parse(readFileSync(join(output, file), 'utf8'))
  assert.equal(inMemory.columns, onDisk.columns, `${name}: roles`)
  assert.equal(JSON.parse(JSON.stringify(inMemory.preparation.document)), json('preparation.json'), name)
  const names = (document: object) => Object.keys((document as { columns: object }).columns)
  assert.equal(names(inMemory.preparation.document), names(json('preparation.json')), `${name}: order`)
  assert.equal(JSON.parse(JSON.stringify(inMemory.model)), json('model.json'))
  assert.equal([inMemory.rows, inMemory.classes], [onDisk.rows, onDisk.classes])
  const { rows, classes, columns } = inMemory
  assert.equal(await inferRoles(table, { label: 'clicked', ...options }), { classes, columns, rows })
  if (inMemory.tokenizer) {
    assert.equal(readdirSync(join(output, 'tokenizer')).sort(), Object.keys(inMemory.tokenizer).sort())
    for (const [file, of] of Object.entries(inMemory.tokenizer))
      assert.is(JSON.stringify(of), JSON.stringify(json(join('tokenizer', file))), file)
  }
  for (const part of ['train', 'test'] as const) {
    const [path, own] = [onDisk[part], inMemory[part]]
    assert.is(path === undefined, own === undefined)
    if (path === undefined || own === undefined) continue
    const names = [...Object.keys(own.lists), ...Object.keys(own.ids), ...Object.keys(own.floats)]
    const written = await readColumns(path, names)
    for (const [column, { values, offsets }] of Object.entries(own.lists)) {
      const lists = Array.from({ length: own.length }, (_, i) => [
        ...values.slice(offsets[i], offsets[i + 1]),
      ])
      assert.equal(plain(lists), plain(written[column]!), `${name}: ${part} ${column}`)
    }
    for (const [column, values] of Object.entries({ ...own.ids, ...own.floats })) {
      const want = plain(written[column]!) as number[]
      // Of zeros the file keeps one.
      const off = want.findIndex((value, i) => value !== values[i])
      assert.is(off, -1, `${name}: ${part} ${column}, row ${off}: ${values[off]}, not ${want[off]}`)
      assert.is(values.length, want.length)
    }
  }
  return { table, inMemory }
}

const rows = clickRows(600, 7)
const ndjson = (of: readonly object[]) => of.map(row => `${JSON.stringify(row)}\n`).join('')

test('clicks as CSV, TSV, semicolons, CRLF, mixed line ends, packed, and NDJSON', async () => {
  const csv = csvOf(rows)
  const mixed = csv
    .split('\n')
    .map((line, i) => line + ['\n', '\r\n', '\r'][i % 3])
    .join('')
  const files: Record<string, Content> = {
    'plain.csv': csv,
    'tabs.tsv': csvOf(rows, { delimiter: '\t' }),
    'semicolons.csv': csvOf(rows, { delimiter: ';' }),
    'bars.csv': csvOf(rows, { delimiter: '|' }),
    'crlf.csv': `\ufeff${csvOf(rows, { end: '\r\n' })}`,
    'mixed.csv': mixed,
    'packed.csv.gz': gzipSync(csv),
    'lines.ndjson': ndjson(rows),
    'packed.jsonl.gz': gzipSync(ndjson(rows)),
  }
  for (const [name, content] of Object.entries(files)) {
    const { inMemory } = await expectAlike(name, content)
    assert.equal(
      inMemory.columns.map(({ role }) => role),
      ['ignore', 'category', 'number', 'number', 'date', 'category', 'text', 'ignore', 'label'],
      name,
    )
  }
})

test('odd values: every way to write numbers, dates, truth values, identifiers and texts', async () => {
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
  ]
  const more = [
    'İstanbul',
    '\u200bzero',
    'NULL',
    '～ wide',
    '𝒳 script',
    'two\r\nlines',
    "it's",
    '[PAD] [UNK]',
  ]
  const numbers = [
    '1e-320',
    '-0',
    '0',
    '1e300',
    '-1e300',
    '0.1',
    '+7',
    '.5',
    '3.',
    '',
    'NA',
    'nan',
    '1E5',
    '1',
    '1.0',
    '1e0',
  ]
  const integers = ['12345678901234567890', '-9223372036854775808', '0', '7', '7.0', '9007199254740993', '']
  const dates = [
    '2024-02-29',
    '1970-01-01',
    '1969-12-31T23:59:59.999',
    '2024/7/4',
    '0001-01-01',
    '2024-02-29T12:00:00+05:30',
    '',
  ]
  const raw = Array.from({ length: 2000 }, (_, i) => ({
    text: Array.from({ length: 4 }, () => of([...texts, ...more])).join(' '),
    name: of([...texts, ...more]),
    number: of(numbers),
    rank: of(numbers),
    asis: of(['0', '-0', '-0.0', '1.5', '']),
    size: of(['0.1', '0.10', '0.2', '1e-1', '3', '3.0', '03e0', '7', '-2.5e1', '']),
    big: of(integers),
    day: of(dates),
    truth: of(['true', 'FALSE', 'True', 'false', '1', '0', '']),
    url: `https://example/${Math.floor(draw() * 500)}`,
    times: of(['1', '0.25', '0']),
    clicked: i % 3 ? '0' : '1',
  }))
  const options: Partial<LearnOptions> = {
    columns: {
      text: { role: 'text' },
      name: { role: 'category' },
      number: { role: 'number', scale: 'quantiles' },
      rank: { role: 'number', scale: 'quantiles', impute: 'mean' },
      asis: { role: 'number', scale: 'none' },
      big: { role: 'category' },
      day: { role: 'date' },
      truth: { role: 'category', least_count: 5 },
      url: { role: 'category', hash_buckets: 64 },
    },
    weight: 'times',
    missing: ['-2.5e1', 'NULL'],
    seed: 7,
    testShare: 0.25,
  }
  await expectAlike('odd.csv', csvOf(raw), options)
  const pieces = {
    ...options,
    tokenizer: 'wordpiece',
    vocabularySize: 80,
    maxTokens: 12,
    leastCount: 1,
  } as const
  await expectAlike('odd.tsv.gz', gzipSync(csvOf(raw, { delimiter: '\t', end: '\r\n' })), pieces)
})

test('NDJSON: numbers past float64, absent keys, keys like numbers, lists, truth values', async () => {
  const numbers = [
    '1e22',
    '1.0',
    '1.10',
    '-0',
    '-0.0',
    '1E-7',
    '123456789012345.6',
    '1234567890123456.7',
    '1e400',
    '0.00012345',
  ]
  const whole = ['12345678901234567890', '123456789012345678901234567890', '-5', '9007199254740993']
  const lines = Array.from({ length: 300 }, (_, i) => {
    const parts = [
      `"zone": ${JSON.stringify(['Paris', 'Lyon', '', 'é"\\\n'][i % 4])}`,
      `"10": ${numbers[(3 * i) % numbers.length]}`,
      `"key": ${whole[i % whole.length]}`,
      ...(i % 5 ? [`"seen" :${['true', 'false', 'null'][i % 3]}`] : []),
      ...(i > 200 ? [`"late": "x${i % 2}"`] : []),
      `"tags": ${i % 2 ? '[1, {"a": 2}]' : 'null'}`,
      `"clicked": ${i % 7 < 3}`,
    ]
    return `{${parts.join(', ')}}${i % 9 ? '\n' : '\r\n\n'}`
  }).join('')
  const columns = { '10': { role: 'category' }, key: { role: 'category' } } as const
  await expectAlike('odd.ndjson', lines, { columns, leastCount: 1 })
})

test('Parquet: whole numbers, numbers, texts, lists and what is missing', async () => {
  const n = 400
  const of = (f: (i: number) => unknown) => Array.from({ length: n }, (_, i) => f(i))
  const bytes = await parquetBytes([
    { name: 'key', kind: 'int64', data: of(i => (i % 9 ? 2n ** 60n + BigInt(i % 7) : null)) },
    { name: 'price', kind: 'double', data: of(i => [0.1 * i, Number.NaN, -0, 0, null][i % 5]) },
    { name: 'rate', kind: 'float', data: of(i => Math.fround(i / 3)) },
    { name: 'words', kind: 'string', data: of(i => ['red shoes for you', 'a hat', null, ''][i % 4]) },
    { name: 'ids', kind: 'list<int64>', data: of(i => [i, 2 * i]) },
    { name: 'tags', kind: 'list<string>', data: of(i => [`t${i}`]) },
    { name: 'member', kind: 'boolean', data: of(i => (i % 11 ? i % 2 === 0 : null)) },
    {
      name: 'day',
      kind: 'date',
      data: of(i => (i % 13 ? 37 * i - 4000 : null)),
    },
    {
      name: 'seen',
      kind: 'timestamp[us]',
      data: of(i => (i % 17 ? BigInt(i - 200) * 86_399_987_654n : null)),
    },
    { name: 'clicked', kind: 'int64', data: of(i => Number(i % 3 === 0)) },
  ])
  const { table } = await expectAlike('clicks.parquet', new Uint8Array(bytes), {
    columns: { price: { role: 'number', scale: 'none' }, words: { role: 'text' }, key: { role: 'category' } },
  })
  assert.equal(
    table.columns.map(({ kind }) => kind),
    ['integer', 'number', 'number', 'text', 'nested', 'nested', 'boolean', 'date', 'date', 'integer'],
  )
})

test('tables without a text, of three classes, of one column of features, and without a test', async () => {
  const table = (n: number, row: (i: number) => object) => csvOf(Array.from({ length: n }, (_, i) => row(i)))
  const colours = table(90, i => ({
    size: i % 11,
    kind: 'abc'[i % 3],
    clicked: ['low', 'mid', 'high'][i % 3],
  }))
  await expectAlike('colours.csv', colours, { columns: { kind: { role: 'category' } } })
  await expectAlike(
    'two.csv',
    table(40, i => ({ size: (7 * i) % 13, clicked: i % 2 })),
  )
  await expectAlike(
    'all.csv',
    table(40, i => ({ size: (7 * i) % 13, clicked: i % 2 })),
    { testShare: 0 },
  )
  await expectAlike(
    'half.csv',
    table(41, i => ({ size: (7 * i) % 13, clicked: i % 2 })),
    { testShare: 0.5 },
  )
})

test('the rows that were learned from come to the same bits as raw rows', async () => {
  const { table, inMemory } = await expectAlike('clicks.csv', csvOf(rows))
  const { testRows, test: held, preparation } = inMemory
  assert.ok(preparation instanceof Preparation)
  const again = preparation.apply(rawRows(table, [...testRows]), { labels: 'required' })
  assert.equal({ ...again }, { ...held })
})

test.run()
