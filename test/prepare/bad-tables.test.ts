// Tables that cannot be: file, line or row, column, value, what was expected and the way out are told, and nothing is left behind.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeParquet } from '../../src/data/index.ts'
import { ConfigError, DataError } from '../../src/errors.ts'
import { type PrepareOptions, prepareTable } from '../../src/prepare/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-bad-tables-'))
test.after(() => rmSync(folder, { recursive: true }))
const lines = (of: (i: number) => string, count = 30) =>
  Array.from({ length: count }, (_, i) => of(i)).join('\n')
const table = (names: string, of: (i: number) => string, count?: number) => `${names}\n${lines(of, count)}\n`
const good = table('clicked,price,city', i => `${i % 2},${i * 1.5},Paris${i % 3}`)

let made = 0
async function refusal(
  files: Record<string, string | Uint8Array>,
  options: Partial<PrepareOptions> & Record<string, unknown> = {},
): Promise<Error> {
  const at = join(folder, `${++made}`)
  const output = join(at, 'out')
  mkdirSync(at)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(at, name), text)
  const [first = 'none.csv', ...others] = Object.keys(files)
  const input = others.length ? at : join(at, first)
  try {
    await prepareTable({ input, label: 'clicked', output, ...options })
  } catch (error) {
    assert.equal(existsSync(output) ? readdirSync(output) : [], [], 'what is left behind')
    ;(error as Error).message = (error as Error).message.replaceAll(`${at}/`, '')
    return error as Error
  }
  return assert.unreachable(`expected a refusal of ${first}`) as never
}

const CASES: [string, string | Uint8Array, RegExp, (Partial<PrepareOptions> & Record<string, unknown>)?][] = [
  [
    'no label',
    good.replace('clicked', 'click'),
    /^there is no column 'clicked' for the label; the nearest is 'click'; columns: click, price, city$/,
  ],
  [
    'a label of numbers',
    table('clicked,price', i => `${i / 7},${i}`),
    /^column 'clicked' has numbers such as 0\.14\d+, expected classes such as 0 and 1/,
  ],
  [
    'a label of many values',
    table('clicked,price', i => `${i},${i}`, 200),
    /^column 'clicked' has more than 100 different values, expected classes/,
  ],
  [
    'a label of one value',
    table('clicked,price', i => `1,${i}`),
    /^column 'clicked' has the value '1' alone, expected at least two classes$/,
  ],
  [
    'a missing label',
    table('clicked,price', i => `${i === 7 ? '' : i % 2},${i}`),
    /^x\.csv, row 7, column 'clicked': no label; leave such rows out, it is the only one$/,
  ],
  [
    'an unknown class',
    table('clicked,price', i => `${['no', 'yes', 'maybe'][i % 3]},${i}`),
    /^x\.csv, row 2, column 'clicked': value 'maybe' is none of the classes no, yes/,
    { classes: ['no', 'yes'] },
  ],
  [
    'a class without rows',
    good,
    /^no row of column 'clicked' has the class '2'; there are 0, 1$/,
    { classes: ['0', '1', '2'] },
  ],
  ['an empty file', '', /^x\.csv has no rows: expected names of columns in the first line$/],
  ['no rows', 'clicked,price\n', /^x\.csv has no rows$/],
  [
    'no names',
    lines(i => `${i % 2},${i}`),
    /^x\.csv: the first line has numbers alone, expected the names of columns$/,
  ],
  [
    'a name twice',
    good.replace('city', 'price'),
    /^x\.csv: columns 2 and 3 are both called 'price'; rename one of them$/,
  ],
  [
    'a field too many',
    table('clicked,price,city', i => `${i % 2},${i},${i === 5 ? 'a,b' : '"two\nlines"'}`),
    /^x\.csv, line 12: 4 fields, expected 3 as in the first line; .* stands in quotes$/,
  ],
  [
    'a field too few',
    table('clicked,price,city', i => (i === 5 ? '1,2' : `${i % 2},${i},a`)),
    /^x\.csv, line 7: 2 fields, expected 3/,
  ],
  ['an open quote', 'clicked,city\n1,"a\n0,b\n', /^x\.csv, line 2: a quote opens and is not closed/],
  [
    'bytes that are no UTF-8',
    Buffer.from('clicked,city\n1,caf\xe9\n0,x\n', 'latin1'),
    /^x\.csv, line 2: its bytes are not UTF-8; save the file as UTF-8$/,
  ],
  [
    'a number that is none',
    table('clicked,price', i => `${i % 2},${i === 4 ? 'abc' : i * 1.5}`),
    /^x\.csv, row 4, column 'price': value "abc", where 96% of the values are numbers; correct it, name it as missing \(--missing "abc"\)/,
  ],
  [
    'infinity',
    table('clicked,price', i => `${i % 2},${i === 4 ? 'inf' : i * 1.5}`),
    /^x\.csv, row 4, column 'price': value "inf"/,
  ],
  [
    'a word in most rows of numbers',
    table('clicked,price', i => `${i % 2},${i % 5 ? '-' : i * 1.5}`, 150),
    /^x\.csv, row 1, column 'price': value "-", where 2\d of 2\d different values are numbers; .*--missing "-"/,
  ],
  [
    'classes that are one to people',
    table('clicked,price', i => `${['no', 'yes', 'No '][i % 3]},${i * 1.5}`),
    /^column 'clicked' has the values 'no' and 'No ', which differ by case or space alone; write them alike/,
  ],
  [
    'weights of 0 alone',
    table('clicked,price,w', i => `${i % 2},${i * 1.5},0`),
    /^column 'w' has the weight 0 in all training rows/,
    { weight: 'w' },
  ],
  [
    'a date that is none',
    table('clicked,day', i => `${i % 2},${i === 4 ? '2024-02-30' : `2024-01-${10 + (i % 20)}`}`),
    /^x\.csv, row 4, column 'day': value "2024-02-30", where 96% of the values are dates; .*--role day=category/,
  ],
  [
    'dates either way',
    table('clicked,day', i => `${i % 2},0${1 + (i % 9)}/0${1 + (i % 7)}/2024`),
    /^column 'day' has dates that may be day or month first; say which: --date-format day=dmy or day=mdy$/,
  ],
  [
    'a date in another format',
    table('clicked,day', i => `${i % 2},2024-01-${10 + (i % 20)}`),
    /row \d+, column 'day': value "2024-01-\d+", expected a date as 31\.12\.2024/,
    { columns: { day: { role: 'date', date_format: 'dmy' } } },
  ],
  [
    'text as number',
    good,
    /^x\.csv, row 0, column 'city': value "Paris0", which the role number cannot take: expected a finite number$/,
    { columns: { city: { role: 'number' } } },
  ],
  [
    'text as date',
    good,
    /^x\.csv, row 0, column 'city': value "Paris0", which the role date cannot take: expected a date as 2024-12-31/,
    { columns: { city: { role: 'date' } } },
  ],
  [
    'a role for nothing',
    good,
    /^there is no column 'citi' for the role number; the nearest is 'city'/,
    { columns: { citi: { role: 'number' } } },
  ],
  [
    'two labels',
    good,
    /^columns '\w+' and '\w+' are both to be the label, expected one$/,
    { columns: { price: { role: 'label' } } },
  ],
  [
    'two roles',
    good,
    /^column 'clicked' is to be number and the label; expected one role$/,
    { columns: { clicked: { role: 'number' } } },
  ],
  [
    'a role that is none',
    good,
    /columns: city: role: expected one of 'label', 'category', .*, got "cat"$/,
    { columns: { city: { role: 'cat' } as never } },
  ],
  [
    'a key of another role',
    good,
    /columns: price: unknown key "hash_buckets"; allowed keys: role, scale, impute$/,
    { columns: { price: { role: 'number', hash_buckets: 3 } as never } },
  ],
  [
    'a negative weight',
    table('clicked,w,city', i => `${i % 2},${i - 3},a${i % 3}`),
    /^x\.csv, row 0, column 'w': value '-3', expected a weight: a finite number of at least 0$/,
    { weight: 'w' },
  ],
  [
    'no weight',
    good,
    /^there is no column 'prise' for the weight; the nearest is 'price'/,
    { weight: 'prise' },
  ],
  [
    'nothing to learn from',
    table('clicked,site', i => `${i % 2},5`),
    /^no column is left to learn from: .*'site' left out: it has one value alone/,
  ],
  [
    'one class to train on',
    'clicked,price\n1,2\n0,3\n',
    /^the training rows have the label '[01]' alone, expected at least two classes/,
  ],
  ['one row', 'clicked,price\n1,2\n', /^column 'clicked' has the value '1' alone|^one row cannot be split/],
  [
    'a split by words',
    good,
    /^x\.csv, row 0, column 'city': value "Paris0", expected numbers or dates/,
    { split: { by: 'time', column: 'city' } },
  ],
  [
    'a split by nothing',
    good,
    /^there is no column 'citty' for the split; the nearest is 'city'/,
    { split: { by: 'group', column: 'citty' } },
  ],
  [
    'no tokenizer',
    table('clicked,t', i => `${i % 2},a b c d${i} e`),
    /^cannot read the tokenizer \/nowhere: no such file or folder$/,
    { tokenizer: '/nowhere' },
  ],
  [
    'a misspelt option',
    good,
    /^prepareTable: options: 'lables' is unknown; did you mean 'label'\?/,
    { lables: 'x' },
  ],
  [
    'a share that is none',
    good,
    /^prepareTable: testShare is 1, expected a number in \[0, 1\)$/,
    { testShare: 1 },
  ],
  [
    'a delimiter of two characters',
    good,
    /^prepareTable: delimiter is '::', expected one character$/,
    { delimiter: '::' },
  ],
]
for (const [name, text, message, options] of CASES)
  test(`${name}: refused, with the way out`, async () => {
    const error = await refusal({ 'x.csv': text }, options)
    assert.ok(error instanceof DataError || error instanceof ConfigError, error.stack)
    assert.match(error.message, message)
  })

const day = (i: number) => 1 + (i % 28)
const LOOKS: [kind: string, of: (i: number) => string][] = [
  ['number', i => `"1,${100 + i}.50"`],
  ['number', i => `"${i},5"`],
  ['number', i => `$${i}`],
  ['number', i => `${i} %`],
  ['number', i => `-1 ${100 + i}`],
  ['number', i => (i % 2 ? `${i}` : `"1,${100 + i}"`)],
  ['date', i => `${day(i)} Jan 2024`],
  ['date', i => `"March ${day(i)}, 2024"`],
  ['date', i => `"06 ${day(i)}, 2024"`],
  ['date', i => `"Mon, ${day(i)} Apr 2024 10:00:00 GMT"`],
  ['date', i => `${day(i)}-Feb-24`],
  ['date', i => `${day(i)}/5/24`],
  ['date', i => `12/${day(i)}/2024 8:30 PM`],
  ['date', i => `2024-12-${10 + (i % 20)} 8:${10 + i}:00 Europe/Paris`],
]
test('numbers and dates that only people read are told, and a role takes them', async () => {
  for (const [kind, of] of LOOKS) {
    const text = table('clicked,v', i => `${(i * 7) % 3 ? 1 : 0},${of(i)}`, 60)
    const { message } = await refusal({ 'x.csv': text })
    assert.match(message, /^x\.csv, row 0, column 'v': value ".*--role v=category\)$/, text.slice(0, 60))
    assert.ok(message.includes(` looks like a ${kind}; ${kind}s are read as `), message)
  }
  const at = join(folder, 'looks')
  mkdirSync(at)
  for (const [name, of] of Object.entries({
    few: (i: number) => `${i % 4}0%`,
    addresses: (i: number) => `10.0.${i % 7}.${i % 8}`,
    spans: (i: number) => `${i}-${i + 5}`,
    times: (i: number) => `10:${10 + (i % 50)}`,
    versions: (i: number) => `1.${i % 7}.${i % 8}`,
  })) {
    const input = join(at, `${name}.csv`)
    writeFileSync(
      input,
      table('clicked,v', i => `${(i * 7) % 3 ? 1 : 0},${of(i % 56)}`, 120),
    )
    const { columns } = await prepareTable({ input, label: 'clicked', output: join(at, name) })
    assert.is(columns.find(column => column.name === 'v')?.role, 'category', name)
  }
})

test('other files that cannot be: unknown endings, broken ones, several that differ', async () => {
  const told = async (...given: Parameters<typeof refusal>) => (await refusal(...given)).message
  assert.match(await told({}), /^cannot read none\.csv: no such file or folder$/)
  assert.match(
    await told({ 'x.xlsx': 'a' }),
    /^x\.xlsx: what it is shows by no ending, expected csv, tsv, ndjson/,
  )
  assert.match(await told({ 'x.parquet': 'PAR1' }), /^cannot read x\.parquet: /)
  assert.is(
    await told({ 'x.csv': gzipSync(good) }),
    'x.csv is no text: its first line is not UTF-8; it is packed by gzip, so its name has to end in .gz',
  )
  assert.is(
    await told({ 'x.csv': Buffer.from('PAR1\xff\xfe', 'latin1') }),
    'x.csv is no text: its first line is not UTF-8; it is a Parquet file, so its name has to end in .parquet',
  )
  assert.is(
    await told({ 'x.csv': Buffer.from(`\ufeff${good}`, 'utf16le') }),
    'x.csv is no text: its first line is not UTF-8; save the file as UTF-8',
  )
  assert.match(await told({ 'x.csv.gz': good }), /^cannot read x\.csv\.gz: incorrect header check$/)
  assert.match(
    await told({ 'x.ndjson': '{"clicked":1}\n{"clicked":\n' }),
    /^x\.ndjson, line 2: Unexpected end of JSON input$/,
  )
  const packed = gzipSync(good)
  for (const kept of [packed.length - 1, packed.length - 9, packed.length >> 1])
    assert.is(
      await told({ 'x.csv.gz': packed.subarray(0, kept) }),
      'cannot read x.csv.gz: unexpected end of file',
    )
  assert.match(
    await told({ 'x.ndjson': '\ufeff{"clicked":1}\n{"clicked":0}\n' }),
    /^x\.ndjson, line 1: a byte order mark stands there, .*save the file as UTF-8 without it$/,
  )
  assert.is(
    await told({ 'x.csv': `clicked,t\n0,a\n1,${'a word '.repeat(400_000)}\n` }),
    'x.csv, line 3: a row of 2800002 bytes, expected 2000000 at most',
  )
  assert.match(
    await told({ 'x.ndjson': '[1]\n[0]\n' }),
    /^x\.ndjson, line 1: \[1\], expected an object of values$/,
  )
  assert.match(
    await told({ 'a.csv': good, 'b.csv': good.replace('city', 'citty') }),
    /^a\.csv has column 'city', b\.csv has none \(the nearest is 'citty'\); expected the same columns of all files$/,
  )
  const two = join(folder, 'two')
  mkdirSync(two)
  await writeParquet(join(two, 'a.parquet'), [{ name: 'clicked', kind: 'int64', data: [0, 1] }])
  await writeParquet(join(two, 'b.parquet'), [{ name: 'clicked', kind: 'string', data: ['0', '1'] }])
  assert.match(
    await told({}, { input: two }),
    /^column 'clicked' is BIGINT in .*a\.parquet and VARCHAR in .*b\.parquet/,
  )
  assert.match(await told({}, { input: join(two, '*.csv') }), /\*\.csv has no files to read, expected csv/)
})

test('lines that end two ways are read as they are meant', async () => {
  const at = join(folder, 'ends')
  mkdirSync(at)
  writeFileSync(join(at, 'x.csv'), good.replaceAll(/(Paris1)\n/g, '$1\r\n'))
  const { rows, columns } = await prepareTable({
    input: join(at, 'x.csv'),
    label: 'clicked',
    output: join(at, 'out'),
  })
  assert.equal(
    [rows.read, columns.find(({ name }) => name === 'city')!.says],
    [30, 'string, 3 codes and unknown'],
  )
})

test.run()
