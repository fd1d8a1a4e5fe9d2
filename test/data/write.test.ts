import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { featureInputs } from '../../src/config/index.ts'
import { loadDataset } from '../../src/data/dataset.ts'
import { openParquet, readColumns, readStored } from '../../src/data/parquet.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import { writeParquet, writeParquetGroups } from '../../src/data/write.ts'
import { DataError } from '../../src/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-write-'))
test.after(() => rmSync(folder, { recursive: true }))

async function messageOf(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => undefined,
    error => error,
  )
  assert.instance(error, DataError)
  return (error as DataError).message
}

test('round trip of every kind, over several row groups', async () => {
  const random = randomStream(1)
  const n = 1003
  const id = Array.from({ length: n }, () => random.bits() * 2 ** 20)
  const url = id.map(value => BigInt(value) * 1000n + 7n)
  const p = Float64Array.from({ length: n }, () => random.normal())
  const f = Float32Array.from({ length: n }, () => random.normal())
  const title = id.map((value, i) => (i % 11 === 0 ? null : `naïve ☕ ${value % 50}`))
  const ids = id.map((_, i) =>
    Uint32Array.from({ length: random.below(7) }, () => random.below(90)).subarray(i % 2),
  )
  const path = join(folder, 'round.parquet')
  await writeParquet(
    path,
    [
      { name: 'id', kind: 'int64', data: id },
      { name: 'url', kind: 'int64', data: url },
      { name: 'p', kind: 'double', data: p },
      { name: 'f', kind: 'float', data: f },
      { name: 'title', kind: 'string', data: title },
      { name: 'ids', kind: 'list<int64>', data: ids },
    ],
    { rowGroupSize: 300 },
  )
  assert.is((await openParquet(path)).groups.length, 4)
  const back = await readColumns(path, ['id', 'url', 'p', 'f', 'title', 'ids'])
  assert.equal(back.id!.map(Number), id)
  assert.equal(back.url, url)
  assert.equal(back.p, [...p])
  assert.equal(back.f, [...f])
  assert.equal(back.title, title)
  assert.equal(
    (back.ids as bigint[][]).map(list => list.map(Number)),
    ids.map(list => [...list]),
  )
  const features = { ids: { dtype: 'token_id', vocab_size: 90 }, p: { dtype: 'numerical' } } as const
  const data = await loadDataset(path, { inputs: featureInputs(features), trainOnly: 'none' })
  assert.equal(
    [...data.lists.ids!.values],
    ids.flatMap(list => [...list]),
  )
  assert.equal(data.floats.p, Float32Array.from(p))
})

test('flags, dates, timestamps and lists of other values; what does not fit them is refused', async () => {
  const path = join(folder, 'others.parquet')
  // More microseconds than a Date tells apart.
  const seen = [1_700_000_000_123_457n, null, -1n]
  const columns = [
    { name: 'flag', kind: 'boolean' as const, data: [true, false, null] },
    { name: 'day', kind: 'date' as const, data: [0, -1, 19_000] },
    { name: 'seen', kind: 'timestamp[us, UTC]' as const, data: seen },
    { name: 'local', kind: 'timestamp[ms]' as const, data: [5, -7, null] },
    { name: 'numbers', kind: 'list<double>' as const, data: [[0.1, null], [], null] },
    { name: 'words', kind: 'list<string>' as const, data: [['é', ''], [], null] },
    { name: 'flags', kind: 'list<boolean>' as const, data: [[true, null], [false], []] },
  ]
  await writeParquet(path, columns)
  const file = await openParquet(path)
  const {
    day,
    seen: stored,
    local,
  } = await readStored(file, ['day', 'seen', 'local'], { rowStart: 0, rowEnd: 3 })
  assert.equal([day, stored, local], [[0, -1, 19_000], seen, [5n, -7n, null]])
  const back = await readColumns(file, file.columns)
  for (const name of ['flag', 'numbers', 'words', 'flags'])
    assert.equal(back[name], [...columns.find(one => one.name === name)!.data], name)
  assert.equal(back.day, [new Date(0), new Date(-86_400_000), new Date(19_000 * 86_400_000)])
  assert.equal(back.local, [new Date(5), new Date(-7), null])
  for (const [kind, value] of [
    ['boolean', 1],
    ['date', 0.5],
    ['date', 2 ** 31],
    ['date', new Date(0)],
    ['timestamp[ns]', 0.5],
    ['timestamp[ns]', new Date(0)],
    ['list<double>', ['1']],
    ['list<string>', [1]],
    ['list<boolean>', [0]],
  ] as const)
    assert.match(
      await messageOf(writeParquet(path, [{ name: 'x', kind, data: [value] }])),
      new RegExp(`column x, row 0: value .*, expected ${kind.replace(/[[\]<>]/g, '\\$&')}`),
    )
})

test('row groups are written as they come; no rows make a readable file', async () => {
  async function* groups(n: number) {
    for (let g = 0; g < n; g++) yield { id: [g, g + 1] }
  }
  const path = join(folder, 'groups.parquet')
  await writeParquetGroups(path, [{ name: 'id', kind: 'int64' }], groups(3))
  assert.equal((await readColumns(path, ['id'])).id, [0n, 1n, 1n, 2n, 2n, 3n])
  await writeParquetGroups(path, [{ name: 'id', kind: 'int64' }], groups(0))
  assert.is((await openParquet(path)).rows, 0)
  assert.equal((await openParquet(path)).columns, ['id'])
})

test('a failed write names the fault and leaves the old file alone', async () => {
  const sub = join(folder, 'kept')
  mkdirSync(sub)
  const path = join(sub, 'out.parquet')
  await writeParquet(path, [{ name: 'id', kind: 'int64', data: [1, 2] }])
  const before = readFileSync(path)
  const bad = await messageOf(
    writeParquet(path, [{ name: 'id', kind: 'int64', data: [1, 1.5] }], { rowGroupSize: 1 }),
  )
  assert.is(bad, `${path}: column id, row 1: value 1.5, expected int64`)
  const uneven = writeParquet(path, [
    { name: 'id', kind: 'int64', data: [1, 2] },
    { name: 'p', kind: 'double', data: [1] },
  ])
  assert.match(await messageOf(uneven), 'column p has 1 rows, column id has 2')
  assert.equal(readFileSync(path), before)
  assert.equal(readdirSync(sub), ['out.parquet'], 'no temporary file stays')
})

test('a folder that cannot be written to', async () => {
  const column = { name: 'id', kind: 'int64', data: [1] } as const
  const missing = join(folder, 'nowhere', 'out.parquet')
  assert.is(
    await messageOf(writeParquet(missing, [column])),
    `cannot write ${missing}: no such file or folder`,
  )
  const file = join(folder, 'file')
  writeFileSync(file, '')
  const below = join(file, 'out.parquet')
  assert.match(await messageOf(writeParquet(below, [column])), `cannot write ${below}: `)
  assert.not.ok(existsSync(missing))
})

test.run()
