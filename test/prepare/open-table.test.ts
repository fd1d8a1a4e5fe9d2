// Files that openTable and learnTable read or refuse as prepareTable does, and what they refuse beyond.
import { rmSync } from 'node:fs'
import { basename } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Database, openDatabase } from '../../src/datasets/database.ts'
import { ArgumentError, ConfigError, DataError } from '../../src/errors.ts'
import {
  inferRoles,
  type LearnOptions,
  learnTable,
  openTable,
  prepareTable,
  rawRows,
} from '../../src/prepare/index.ts'
import { named, readTable } from '../../src/prepare/table.ts'
import { clickRows, csvOf } from './tables.ts'
import { blobOf, type Content, writtenFiles } from './written.ts'

const { folder, write, output: newOutput } = writtenFiles('open')
test.after(() => rmSync(folder, { recursive: true }))

/** What the command line's reader makes of a file. */
async function databaseRows(db: Database, path: string): Promise<unknown[][]> {
  await db.run('DROP TABLE IF EXISTS raw')
  const { columns } = await readTable(db, [path], { folder })
  const rows = await db.run(`SELECT ${columns.map(({ name }) => named(name)).join(', ')} FROM raw`)
  return rows.map(row => Object.values(row))
}

const rows = clickRows(600, 7)

test('records of CSV mean what they mean on the command line, well formed or not', async () => {
  const tails = [
    ...['1,2\n\n3,4\n', '1,2\r\n3,4\r5,6\n', '"x""y",2\n', 'x"y,2\n', '"x"y,2\n', ' "x",2\n', '"x" ,2\n'],
    ...['"",2\n', '1,\n', '1\n', '1,2,\n', '1,2,3\n', '1,2,,\n', '1,2, \n', '1,2,""\n', '"1\n2",3\n', '1,2'],
    ...['"1\r\n2",3\r\n', '"1,2\n3,4\n', '  \n', ',\n1,2\n', 'NULL,null\n', '1,"2"\n"3', '\n\n1,2\n\n\n'],
    ...['1,""""\n', '1,a""b\n', '1,\\"x\n', '1,2\n3\n', '1,"x"\n2,"y"z"\n', '1,"x\ny"z\n', '" x ", y \n'],
    ...['1,"q""\n', '1,  "x"  \n', '1,\t"x"\n', '"x"\t,2\n', '" ""x"" ",2\n', '1,""x""\n', '1,2\r\r\n3,4\n'],
    ...['1,2\n\r3,4\n', '\u00a0"x",2\n', '1,2\n"a\rb",3\n', '1,"p\nq"\n3\n', '\n\n\n1\n', '1,2\u2028\n'],
  ]
  const outcomes = new Set<string>()
  const db = await openDatabase({ folder, memoryMiB: 256, otherwise: '' })
  await db.keepOrder(true)
  for (const head of ['a,b\n', 'a\n'])
    for (const tail of tails) {
      const content = head + tail
      const said = (error: unknown) =>
        (error as Error).message
          .replaceAll(/[^ ]*\/(?=t\.csv)/g, '')
          // The database stops counting at one too many.
          .replace(/(\d+) fields, expected (\d+)/, (all, has, wants) => (+has > +wants ? 'more' : all))
      const disk = await databaseRows(db, write('t.csv', content)).catch(said)
      const memory = await openTable(blobOf(content), { name: 't.csv' })
        .then(table =>
          rawRows(
            table,
            Array.from({ length: table.rows }, (_, i) => i),
          ).map(row => Object.values(row)),
        )
        .catch(said)
      assert.equal(memory, disk, JSON.stringify(content))
      outcomes.add(typeof disk === 'string' ? disk.replaceAll(/\d+/g, '') : 'read')
    }
  db.close()
  assert.is(outcomes.size, 4, [...outcomes].join(' | '))
})

test('what is refused is refused in the same words, at the same row', async () => {
  const bad = (name: string, value: string) =>
    csvOf(rows.map((row, i) => (i === 300 ? { ...row, [name]: value } : row)))
  const cases: [string, Content, Partial<LearnOptions>?][] = [
    ['a.csv', csvOf(rows), { label: 'click' }],
    ['a.csv', bad('clicked', '')],
    ['a.csv', bad('clicked', 'No')],
    ['a.csv', bad('visited', 'yesterday')],
    ['a.csv', bad('clicked', 'perhaps'), { classes: ['no', 'yes'] }],
    ['a.csv', csvOf(rows), { classes: ['no', 'yes', 'perhaps'] }],
    ['a.csv', bad('price', 'n.b.')],
    ['a.csv', csvOf(rows), { columns: { city: { role: 'number' } } }],
    ['a.csv', csvOf(rows), { columns: { citty: { role: 'number' } } }],
    ['a.csv', csvOf(rows), { columns: { city: { role: 'weight' } } }],
    ['a.csv', csvOf(rows), { weight: 'clicked' }],
    ['a.csv', csvOf(rows.map(row => ({ ...row, visited: '1/2/2024' })))],
    ['a.csv', csvOf(rows.map(row => ({ ...row, clicked: 'yes' })))],
    ['a.csv', ''],
    ['a.csv', 'a,a\n1,2\n'],
    ['a.csv', 'a,A\n1,2\n'],
    ['a.csv', '1,2\n1,2\n'],
    ['a.csv', 'a,clicked\n'],
    ['a.csv', new Uint8Array([0x61, 0x2c, 0x62, 0x0a, 0x31, 0x2c, 0x32, 0x0a, 0xff, 0x2c, 0x32, 0x0a])],
    ['a.csv', `a,clicked\n1,2\n1,${'x'.repeat(2_000_001)}\n`],
    ['a.ndjson', '{"a":1}\n{"a":\n'],
    ['a.ndjson', '{"a":[1],"clicked":1}\n{"a":2,"clicked":0}\n'],
    ['a.ndjson', '\ufeff{"a":1}\n'],
    ['a.ndjson', '[1]\n'.slice(0, 0)],
    ['a.txt', 'a,b\n1,2\n'],
  ]
  for (const [name, content, options] of cases) {
    const input = write(name, content)
    const how = { label: 'clicked', ...options }
    const words = async (work: Promise<unknown>) => {
      const error = await work.then(
        () => undefined,
        error => error,
      )
      assert.instance(error, Error, `${name} ${JSON.stringify(options)} is refused`)
      assert.ok(error instanceof DataError || error instanceof ConfigError, String(error))
      return error.message.replaceAll(input, basename(input)).replaceAll(/ \(--[^)]*\)/g, '')
    }
    const disk = await words(prepareTable({ input, output: newOutput(), ...how }))
    const memory = await words(openTable(blobOf(content), { name }).then(table => learnTable(table, how)))
    assert.is(memory, disk)
  }
})

test('what only memory refuses: a file that is too large, a packed one that grows or is cut off, wrong arguments', async () => {
  const refuses = async (
    work: () => Promise<unknown>,
    kind: new (message: string) => Error,
    message: RegExp,
  ) => {
    const error = await work().then(
      () => undefined,
      error => error,
    )
    assert.instance(error, kind)
    assert.match(error.message, message)
  }
  const large = { size: 65_000_000, arrayBuffer: () => assert.unreachable('it is not read') }
  const blob = Object.assign(Object.create(new Blob([])), {})
  Object.defineProperty(blob, 'size', { value: large.size })
  const command = /npx kernelgrad prepare big\.csv --label COLUMN --out prepared$/
  await refuses(
    () => openTable(blob, { name: 'big.csv' }),
    DataError,
    /^big\.csv has 65 MB, more than the 64 MB/,
  )
  await refuses(() => openTable(blob, { name: 'big.csv' }), DataError, command)
  const grows = gzipSync(Buffer.alloc(65_000_000, 'a,b\n'))
  assert.ok(grows.length < 1_000_000)
  await refuses(() => openTable(blobOf(grows), { name: 'b.csv.gz' }), DataError, /64 MB once it is unpacked/)
  const cut = gzipSync(csvOf(rows)).subarray(0, 2000)
  await refuses(() => openTable(blobOf(cut), { name: 'b.csv.gz' }), DataError, /^cannot read b\.csv\.gz: /)
  const wide = `${Array.from({ length: 20_001 }, (_, i) => `c${i}`).join()}\n${`${','.repeat(20_000)}\n`.repeat(1000)}`
  await refuses(
    () => openTable(blobOf(wide), { name: 'w.csv' }),
    DataError,
    /of 20001 columns, more than the 20,000,000 values/,
  )
  await refuses(() => openTable('a.csv' as never), ArgumentError, /file is 'a\.csv', expected a Blob/)
  await refuses(
    () => openTable(blobOf('a'), {}),
    ArgumentError,
    /name is undefined, expected the file's name/,
  )
  await refuses(() => openTable(blobOf('a'), { nmae: 'a.csv' } as never), ConfigError, /nmae/)
  await refuses(() => learnTable({} as never, { label: 'x' }), ArgumentError, /expected what openTable gives/)
  const table = await openTable(blobOf(csvOf(rows)), { name: 'a.csv' })
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ label: undefined }, /learnTable: label is undefined/],
    [{ label: 'clicked', input: 'x' }, /input/],
    [{ label: 'clicked', split: { by: 'time' } }, /split/],
    [{ label: 'clicked', testShare: 1 }, /testShare is 1/],
    [{ label: 'clicked', seed: -1 }, /seed is -1/],
    [{ label: 'clicked', tokenizer: 'folder' }, /tokenizer is 'folder', expected 'word' or 'wordpiece'/],
  ]
  for (const [options, message] of wrong) {
    await refuses(() => learnTable(table, options as never), Error, message)
    const other = new RegExp(message.source.replace('learnTable', 'inferRoles'))
    await refuses(() => inferRoles(table, options as never), Error, other)
  }
})

test('a line of NDJSON that is no row is told alike by both readers, whether its values would be missing or not', async () => {
  const row = '{"a":1,"clicked":1}'
  const cases: [line: string, message: RegExp][] = [
    ['{"a":"\\ud83d","clicked":1}', /^x\.ndjson, line 3, column 'a': half of a surrogate pair/],
    ['{"a":1,"a":2}', /^x\.ndjson, line 3: key 'a' stands twice/],
    ['{"a":1,"\\u0061":1,"clicked":0}', /^x\.ndjson, line 3: key 'a' stands twice/],
    ['5', /^x\.ndjson, line 3: 5, expected an object/],
    ['-1.5e3', /^x\.ndjson, line 3: -1\.5e3, expected an object/],
    ['true', /^x\.ndjson, line 3: true, expected an object/],
    ['"x"', /^x\.ndjson, line 3: "x", expected an object/],
    ['[1]', /^x\.ndjson, line 3: \[1\], expected an object/],
    ['[]', /^x\.ndjson, line 3: \[\], expected an object/],
    [`[${row}]`, /^x\.ndjson, line 3: \[\{"a":1,"clicked":1\}\], expected an object/],
    ['null', /^x\.ndjson, line 3: null, expected an object/],
    ['  null ', /^x\.ndjson, line 3: null, expected an object/],
    ['{"a":NaN,"clicked":1}', /^x\.ndjson, line 3: NaN is no JSON; a value that is missing is null/],
    ['{"a":"NaN","clicked":-Infinity}', /^x\.ndjson, line 3: -Infinity is no JSON/],
    ['{"a":1,"":2,"clicked":1}', /^x\.ndjson: column 2 has an empty name; give it one/],
  ]
  for (const [line, message] of cases)
    for (const text of [`${row}\n\n${line}\n${row}\n`, `${row}\n${row}\n${line}`]) {
      const input = write('x.ndjson', text)
      const memory = openTable(blobOf(text), { name: 'x.ndjson' })
      const disk = prepareTable({ input, label: 'clicked', output: newOutput() })
      for (const work of [memory, disk])
        await work.then(
          () => assert.unreachable(line),
          error => {
            assert.instance(error, DataError, `${line}: ${error}`)
            assert.match(error.message.replaceAll(input, 'x.ndjson'), message)
          },
        )
    }
})

test.run()
