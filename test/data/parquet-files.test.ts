// Folders and patterns of Parquet files, as Spark and DuckDB write them, and the columns that stand in paths.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadDataset } from '../../src/data/dataset.ts'
import { openParquet, readColumns } from '../../src/data/parquet.ts'
import { parquetFiles, partitionOf } from '../../src/data/parquet-files.ts'
import { writeParquet } from '../../src/data/write.ts'
import { ArgumentError, DataError } from '../../src/errors.ts'
import type { Inputs } from '../../src/inputs.ts'
import { refused } from '../support/refused.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-files-'))
test.after(() => rmSync(root, { recursive: true }))

/** Files that hold their own names, below a new folder. */
function folderOf(...names: string[]): string {
  const folder = mkdtempSync(join(root, 'f-'))
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), name)
  }
  return folder
}

async function found(folder: string, ...sources: string[]): Promise<string[]> {
  const paths = await parquetFiles(sources.map(source => join(folder, source)))
  return paths.map(path => path.slice(folder.length + 1))
}

const SPARK = [
  '_SUCCESS',
  '._SUCCESS.crc',
  '_metadata',
  '_common_metadata',
  '.part-00000-af.snappy.parquet.crc',
  'part-00010-af.snappy.parquet',
  'part-00002-af.snappy.parquet',
  '_temporary/0/part-00003.parquet',
  '.hidden/part-1.parquet',
  'notes.txt',
]

test('a folder stands for its part files, in the order of their names, whatever else writers leave there', async () => {
  const folder = folderOf(...SPARK)
  assert.equal(await found(folder, ''), ['part-00002-af.snappy.parquet', 'part-00010-af.snappy.parquet'])
  const deep = folderOf('b/1.parquet', 'a/2.PARQUET', 'a/_x=1/3.pq', 'Z.parq', 'ä.parquet')
  assert.equal(await found(deep, ''), ['Z.parq', 'a/2.PARQUET', 'a/_x=1/3.pq', 'b/1.parquet', 'ä.parquet'])
})

test('patterns match files and folders; what is there as it stands is no pattern', async () => {
  const folder = folderOf(
    ...['day=1/a.parquet', 'day=2/b.parquet', 'day=12/c.parquet', 'other/d.parquet', 'other/deep/e.parquet'],
    ...['x1.parquet', 'x2.parquet', 'x3.parquet', '_x4.parquet', 'x[1].parquet', 'x5.csv', 'data'],
  )
  const expected: [string, string[]][] = [
    ['x?.parquet', ['x1.parquet', 'x2.parquet', 'x3.parquet']],
    ['x[12].parquet', ['x1.parquet', 'x2.parquet']],
    ['x[!12].parquet', ['x3.parquet']],
    ['x[1-2].parquet', ['x1.parquet', 'x2.parquet']],
    ['x[1].parquet', ['x[1].parquet']],
    ['{x3,x1}.parquet', ['x1.parquet', 'x3.parquet']],
    ['day=*', ['day=1/a.parquet', 'day=12/c.parquet', 'day=2/b.parquet']],
    ['day={1,2}/*.parquet', ['day=1/a.parquet', 'day=2/b.parquet']],
    ['other/**', ['other/d.parquet', 'other/deep/e.parquet']],
    ['**/e.parquet', ['other/deep/e.parquet']],
    ['o*/*.parquet', ['other/d.parquet']],
    ['x5*', []],
    ['x5.*', ['x5.csv']],
    ['dat?', []],
  ]
  for (const [pattern, names] of expected)
    if (names.length) assert.equal(await found(folder, pattern), names, pattern)
    else await refused(() => found(folder, pattern), DataError, /no file matches the pattern/)
})

test('sources stand in the order given, and a file is not taken twice by them', async () => {
  const folder = folderOf('b/1.parquet', 'a/2.parquet')
  assert.equal(await found(folder, 'b', 'a'), ['b/1.parquet', 'a/2.parquet'])
  // By name, twice is what was asked for.
  assert.equal(await found(folder, 'a/2.parquet', 'a/2.parquet'), ['a/2.parquet', 'a/2.parquet'])
  await refused(
    () => found(folder, 'b', 'b/1.parquet'),
    DataError,
    /1\.parquet is named by .*b and by .*b\/1\.parquet/,
  )
  await refused(() => found(folder, '*', 'a'), DataError, /expected each file once/)
  symlinkSync(join(folder, 'a', '2.parquet'), join(folder, 'a', '3.parquet'))
  await refused(() => found(folder, 'a'), DataError, /found twice in .*by a link/)
  symlinkSync(folder, join(folder, 'b', 'up'))
  await refused(() => found(folder, 'b'), DataError, /named by|found twice|a link to a folder that it is in/)
})

test('what names no file says what was looked for', async () => {
  const folder = folderOf('_SUCCESS', 'notes.txt', '_temporary/part.parquet')
  await refused(
    () => parquetFiles(folder),
    DataError,
    /is a folder without Parquet files, expected names that end in/,
  )
  await refused(() => parquetFiles(join(folder, 'none')), DataError, /none: no such file or folder/)
  await refused(
    () => parquetFiles(join(folder, 'none', '*.parquet')),
    DataError,
    /no file matches the pattern/,
  )
  await refused(() => parquetFiles(join(folder, '[ab')), DataError, /'\[' is not closed/)
  await refused(() => parquetFiles(join(folder, '{a,b')), DataError, /'\{' is not closed/)
  await refused(() => parquetFiles(join(folder, '[z-a].parquet')), DataError, /no pattern that can be read/)
  for (const wrong of [undefined, null, 3, {}, [1], [''], '', ['a', null]])
    await refused(() => parquetFiles(wrong as string), ArgumentError, /expected/)
  await refused(() => loadDataset(folder, { inputs: INPUTS }), DataError, /without Parquet files/)
})

const INPUTS: Inputs = {
  places: { kind: 'ids', columns: { city: 10, day: 40 } },
  label: { kind: 'classes', column: 'label', classes: 2, trainOnly: true },
}

async function rows(
  path: string,
  city: number[],
  more: { name: string; data: number[] }[] = [],
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  await writeParquet(path, [
    { name: 'city', kind: 'int64', data: city },
    { name: 'label', kind: 'int64', data: city.map(c => c % 2) },
    ...more.map(column => ({ ...column, kind: 'int64' as const })),
  ])
}

test('folders named key=value are columns', async () => {
  const folder = mkdtempSync(join(root, 'hive-'))
  await rows(join(folder, 'day=3', 'part-0.parquet'), [1, 2])
  await rows(join(folder, 'day=12', 'part-0.parquet'), [3])
  await rows(join(folder, 'day=12', 'part-1.parquet'), []) // writers leave files without rows
  const data = await loadDataset(folder, { inputs: INPUTS })
  assert.equal([...data.ids.city!], [3, 1, 2])
  assert.equal([...data.ids.day!], [12, 3, 3])
  assert.equal(
    data.files.map(file => file.rows),
    [1, 0, 2],
  )
  assert.equal(await readColumns(join(folder, 'day=3', 'part-0.parquet'), ['day']), { day: [3, 3] })
  // A model that reads no such column does not mind it.
  const { day: _, ...ids } = data.ids
  const inputs: Inputs = { ...INPUTS, places: { kind: 'ids', columns: { city: 10 } } }
  assert.equal((await loadDataset(folder, { inputs })).ids, ids)
})

test("a file's own column counts before that of its path; values are text, number or none", async () => {
  const folder = mkdtempSync(join(root, 'own-'))
  const path = join(
    folder,
    'day=7',
    'site=a%2Fb c',
    'k%3D=__HIVE_DEFAULT_PARTITION__',
    'size=1.5e1',
    'x.parquet',
  )
  await rows(path, [4, 5], [{ name: 'day', data: [8, 9] }])
  const file = await openParquet(path)
  assert.equal({ ...file.partition }, { site: 'a/b c', 'k=': null, size: '1.5e1' })
  assert.equal(await readColumns(file, ['day', 'site', 'k=', 'size']), {
    day: [8n, 9n],
    site: ['a/b c', 'a/b c'],
    'k=': [null, null],
    size: [15, 15],
  })
  assert.equal({ ...partitionOf('a=1/=2/b=/100%=x%zz%ff/c.parquet') }, { a: '1', b: '', '100%': 'x%zz%ff' })
})

test('a value in a path that cannot be is refused with its file', async () => {
  const folder = mkdtempSync(join(root, 'bad-'))
  for (const [value, says] of [
    ['40', /day=40.*column day, row 0: value 40, expected 0 to 39/],
    ['monday', /day=monday.*column day is text, a number is expected/],
    ['-1', /value -1/],
    ['2.5', /value 2.5/],
    ['__HIVE_DEFAULT_PARTITION__', /null, expected 0 to 39/],
    ['', /column day is text/],
  ] as const) {
    const path = join(folder, `day=${value}`, 'x.parquet')
    await rows(path, [1])
    await refused(() => loadDataset(path, { inputs: INPUTS }), DataError, says)
  }
  await rows(join(folder, 'mixed', 'day=1', 'x.parquet'), [1])
  await rows(join(folder, 'mixed', 'y.parquet'), [1])
  await refused(
    () => loadDataset(join(folder, 'mixed'), { inputs: INPUTS }),
    DataError,
    /y\.parquet has no column day/,
  )
})

test('a file that is no Parquet file is named among many', async () => {
  const folder = mkdtempSync(join(root, 'broken-'))
  await rows(join(folder, 'day=1', 'a.parquet'), [1])
  writeFileSync(join(folder, 'day=1', 'b.parquet'), '')
  await refused(
    () => loadDataset(folder, { inputs: INPUTS }),
    DataError,
    /b\.parquet is empty, a Parquet file is expected/,
  )
  await rows(join(folder, 'day=1', 'b.parquet'), [])
  assert.is((await loadDataset(folder, { inputs: INPUTS })).length, 1)
  await rows(join(folder, 'day=1', 'a.parquet'), [])
  await refused(
    () => loadDataset(folder, { inputs: INPUTS }),
    DataError,
    /a\.parquet, .*b\.parquet has no rows/,
  )
})

test.run()
