// Columns by names that a database, an object or another row has a meaning for, and what holds more than one value a row.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readColumns } from '../../src/data/index.ts'
import { type AskedColumn, Preparation, type PrepareOptions, prepareTable } from '../../src/prepare/index.ts'
import { numbersFrom } from './tables.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-odd-names-'))
test.after(() => rmSync(folder, { recursive: true }))
let made = 0
async function prepared(name: string, text: string, options: Partial<PrepareOptions> = {}) {
  const at = join(folder, `${++made}`)
  writeFileSync(join(folder, name), text)
  const result = await prepareTable({ input: join(folder, name), label: 'y', output: at, ...options })
  return { ...result, preparation: await Preparation.read(at) }
}
const refusal = (name: string, text: string) =>
  prepared(name, text).then(
    () => assert.unreachable(`expected a refusal of ${text}`) as never,
    (error: Error) => error.message.replaceAll(`${folder}/`, ''),
  )

const draw = numbersFrom(4)
const NAMES = [
  'rowid',
  'constructor',
  'toString',
  '__proto__',
  'raw',
  'role',
  'label',
  'weight',
  'row',
  'a.b "c"',
]
const rows = Array.from({ length: 90 }, (_, i) => ({
  values: NAMES.map((_, c) => (c % 2 ? draw().toFixed(6) : ['u', 'v', 'w'][Math.floor(draw() * 3)]!)),
  y: i % 2,
}))
const csv = `${NAMES.map(name => `"${name.replaceAll('"', '""')}"`).join(',')},y\n${rows
  .map(({ values, y }) => [...values, y].join(','))
  .join('\n')}\n`

test('a name may be any: roles, rows kept apart and values are those of another name', async () => {
  const plain = csv.replace(/^.*\n/, `${NAMES.map((_, c) => `c${c}`).join(',')},y\n`)
  const [odd, same] = [await prepared('odd.csv', csv), await prepared('plain.csv', plain)]
  assert.equal(
    odd.columns.map(({ name }) => name),
    [...NAMES, 'y'],
  )
  assert.equal(
    odd.columns.map(({ role, says, distinct }) => [role, says, distinct]),
    same.columns.map(({ role, says, distinct }) => [role, says, distinct]),
  )
  assert.equal(odd.rows, { read: 90, train: 81, test: 9 })
  const of = odd.preparation.prepared.map(({ name }) => name)
  assert.is(new Set(of).size, NAMES.length)
  const plainly = same.preparation.prepared.map(({ name }) => name)
  const [a, b] = [await readColumns(odd.test!, of), await readColumns(same.test!, plainly)]
  for (const [i, name] of plainly.entries()) assert.equal(a[of[i]!], b[name], name)
})

test('a role, a weight and a row go by such names too', async () => {
  const columns: PrepareOptions['columns'] = Object.fromEntries<AskedColumn>([
    ['rowid', { role: 'ignore' }],
    ['constructor', { role: 'category' }],
    ['__proto__', { role: 'weight' }],
  ])
  const { preparation, columns: shown } = await prepared('asked.csv', csv, { columns })
  assert.equal(
    shown.slice(0, 4).map(({ role }) => role),
    ['ignore', 'category', 'category', 'weight'],
  )
  const row = Object.fromEntries(NAMES.map((name, c) => [name, rows[0]!.values[c]!]))
  assert.is(preparation.apply([row]).length, 1)
})

test('names that differ by case alone are told, of every kind of file', async () => {
  assert.is(
    await refusal('case.csv', 'X,x,y\n1,2,0\n2,3,1\n'),
    "case.csv: columns 'X' and 'x' differ by case alone; rename one of them",
  )
  assert.is(
    await refusal('case.ndjson', '{"x":1,"X":2,"y":0}\n{"x":1,"y":1}\n'),
    "case.ndjson: columns 'x' and 'X' differ by case alone; rename one of them",
  )
})

test('lists and objects of NDJSON are left out as those of Parquet; among single values they are refused with the line', async () => {
  const line = (i: number, tags: string) =>
    `{"x":${draw()},"tags":${tags},"of":{"a":${i % 3}},"y":${i % 2}}\n`
  const { columns } = await prepared(
    'nested.ndjson',
    Array.from({ length: 40 }, (_, i) => line(i, i % 4 ? '["a"]' : 'null')).join(''),
  )
  assert.equal(
    columns.map(({ name, role, says }) => [name, role, says]).slice(1, 3),
    ['tags', 'of'].map(name => [name, 'ignore', 'left out: it holds lists or objects']),
  )
  assert.is(
    await refusal(
      'mixed.ndjson',
      Array.from({ length: 40 }, (_, i) => line(i, i === 7 ? '["a"]' : '"a"')).join(''),
    ),
    'mixed.ndjson, line 8, column \'tags\': value ["a"], expected one value a row, as 39 rows have',
  )
})

test('a line that is no JSON is named by its number', async () => {
  const good = '{"x":1,"y":0}\n'
  assert.match(
    await refusal('bad.ndjson', `${good}\n{"x":1,"y":\n${good}`),
    /^bad\.ndjson, line 3: Unexpected end of JSON/,
  )
  assert.match(
    await refusal('worse.ndjson', `${good}${good}{x:1}\n${good}`),
    /^worse\.ndjson, line 3: Expected property name/,
  )
})

test.run()
