// Rows that are not all in memory: their order, their bytes, and what happens to files meanwhile.
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collate } from '../../src/data/collate.ts'
import { type Dataset, loadDataset } from '../../src/data/dataset.ts'
import { createLoader } from '../../src/data/loader.ts'
import { memorySize } from '../../src/data/memory-size.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import { isStreamed, openDataset, type StreamedDataset } from '../../src/data/stream.ts'
import { createStreamLoader } from '../../src/data/stream-loader.ts'
import { cutsOf, orderOf, rowsBetween, windowsOf } from '../../src/data/stream-plan.ts'
import { type WriteColumn, writeParquetGroups as writeGroups } from '../../src/data/write.ts'
import { ArgumentError, ConfigError, DataError } from '../../src/errors.ts'
import type { AnyBatch, Inputs } from '../../src/inputs.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-stream-'))
test.after(() => rmSync(root, { recursive: true }))

const INPUTS: Inputs = {
  title: {
    kind: 'text',
    columns: [{ name: 'title', dtype: 'token_id' }],
    rows: 50,
    padTokenId: 49,
    maxPositions: 12,
  },
  ids: { kind: 'ids', columns: { user: 100_000, kind: 7 } },
  numbers: { kind: 'floats', columns: ['depth'] },
  label: { kind: 'classes', column: 'label', classes: 2, trainOnly: true },
}

type Rows = Record<string, unknown[]>
const COLUMNS: WriteColumn[] = [
  { name: 'title', kind: 'list<int64>', data: [] },
  { name: 'user', kind: 'int64', data: [] },
  { name: 'kind', kind: 'int64', data: [] },
  { name: 'depth', kind: 'double', data: [] },
  { name: 'label', kind: 'int64', data: [] },
]

async function writeParquetGroups(path: string, columns: WriteColumn[], groups: Rows[]): Promise<void> {
  async function* each() {
    yield* groups
  }
  await writeGroups(path, columns, each())
}

const random = randomStream(11)
let user = 0
/** Rows that are told apart by their user. */
function someRows(n: number): Rows {
  const make = (value: () => unknown) => Array.from({ length: n }, value)
  return {
    title: make(() => Array.from({ length: random.below(6) }, () => random.below(49))),
    user: make(() => user++),
    kind: make(() => random.below(7)),
    depth: make(() => random.normal()),
    label: make(() => random.below(2)),
  }
}

async function writeFile(path: string, groups: number[], columns = COLUMNS): Promise<string> {
  await writeParquetGroups(path, columns, groups.map(someRows))
  return path
}

/** Groups of several files: odd sizes, one of a single row, one file without rows. */
const SIZES = [
  [97, 120, 60, 80, 70, 110],
  [],
  [41],
  [1, 133, 88, 99, 121],
  [200, 64, 90, 150, 77],
  [140, 30, 160],
]
const folder = mkdtempSync(join(root, 'rows-'))
const MEMORY = 60_000
let whole: Dataset
let stream: StreamedDataset

test.before(async () => {
  for (const [i, groups] of SIZES.entries()) await writeFile(join(folder, `part-${i}.parquet`), groups)
  whole = await loadDataset(folder, { inputs: INPUTS })
  stream = await streamOf(folder)
})

async function streamOf(path: string, memory = MEMORY, inputs = INPUTS): Promise<StreamedDataset> {
  const data = await openDataset(path, { inputs, memory })
  if (!isStreamed(data)) throw new Error('expected a stream')
  return data
}

interface How {
  batchSize?: number
  seed?: number
  shuffle?: boolean
  ranks?: { rank: number; size: number }
  worker?: boolean
  epoch?: number
  first?: number
}

async function batchesOf(data: StreamedDataset, { epoch, first, ...how }: How): Promise<AnyBatch[]> {
  const loader = createStreamLoader(data, INPUTS, { batchSize: 32, seed: 5, ...how })
  try {
    const out: AnyBatch[] = []
    for await (const batch of loader.batches({ epoch, first })) out.push(batch as AnyBatch)
    return out
  } finally {
    await loader.close()
  }
}

const rowsOf = (batches: AnyBatch[]): number[] => batches.flatMap(({ rows }) => [...rows])

async function refused(
  run: () => Promise<unknown>,
  kind: new (message: string) => Error,
  ...words: RegExp[]
) {
  const error = await run().then(
    () => undefined,
    error => error,
  )
  assert.instance(error, kind, String(error))
  for (const word of words) assert.match(error.message, word)
}

test('without shuffling, batches are those of rows in memory, to the byte', async () => {
  for (const worker of [false, true])
    for (const batchSize of worker ? [64] : [1, 64, 700, 5000]) {
      const loader = createLoader(whole, INPUTS, { batchSize, worker: false })
      const expected: unknown[] = []
      const order = Uint32Array.from({ length: whole.length }, (_, i) => i)
      for await (const batch of loader.batches(order)) expected.push(batch)
      const got = await batchesOf(stream, { batchSize, shuffle: false, worker })
      assert.equal(got, expected)
    }
})

test('an epoch has every row once, in an order that seed and epoch decide, and each batch holds its rows', async () => {
  assert.ok(
    windowsOf(stream.groups, 0, { shuffle: true, seed: 5, windowBytes: stream.windowBytes }).length > 3,
  )
  const seen = new Set<string>()
  for (const seed of [5, 6])
    for (const epoch of [0, 1]) {
      const batches = await batchesOf(stream, { seed, epoch })
      assert.equal(
        batches.map(({ size }) => size),
        [...Array(60).fill(32), 11],
      )
      const rows = rowsOf(batches)
      assert.equal(
        rows.slice().sort((a, b) => a - b),
        Array.from({ length: whole.length }, (_, i) => i),
      )
      seen.add(rows.join())
      for (const batch of batches) assert.equal(batch, collate(whole, batch.rows, INPUTS) as AnyBatch)
      if (epoch) assert.equal(await batchesOf(stream, { seed, epoch, worker: true }), batches)
    }
  assert.is(seen.size, 4)
})

test('an epoch goes on from any of its batches, and the next one follows', async () => {
  const all = await batchesOf(stream, { epoch: 3 })
  for (const worker of [false, true]) {
    const loader = createStreamLoader(stream, INPUTS, { batchSize: 32, seed: 5, worker })
    for (const first of [0, 1, 5, 13, 31, 59, 60, 61, 90]) {
      const out: unknown[] = []
      for await (const batch of loader.batches({ epoch: 3, first })) out.push(batch)
      assert.equal(out, all.slice(first))
    }
    await loader.close()
  }
  const loader = createStreamLoader(stream, INPUTS, { batchSize: 32, seed: 5 })
  const rows = async (options: { epoch: number; first?: number }) => {
    const out: AnyBatch[] = []
    for await (const batch of loader.batches(options)) out.push(batch as AnyBatch)
    return out
  }
  assert.equal(await rows({ epoch: 2, first: 40 }), (await batchesOf(stream, { epoch: 2 })).slice(40))
  assert.equal(await rows({ epoch: 3 }), all)
  // Not the one that was read ahead.
  assert.equal(await rows({ epoch: 3, first: 2 }), all.slice(2))
  await loader.close()
})

test('row groups that are used up are not read', async () => {
  const copy = mkdtempSync(join(root, 'used-'))
  for (const i of SIZES.keys())
    copyFileSync(join(folder, `part-${i}.parquet`), join(copy, `part-${i}.parquet`))
  const data = await streamOf(copy)
  const all = await batchesOf(data, { epoch: 0 })
  const how = { shuffle: true, seed: 5, windowBytes: data.windowBytes }
  const plan = windowsOf(data.groups, 0, how)
  // The window from which on a file is not met any more, in this epoch and at the start of the next.
  const filesFrom = (w: number) =>
    new Set(
      [...plan.slice(w), windowsOf(data.groups, 1, how)[0]!].flatMap(({ spans }) =>
        spans.map(s => s.group.file),
      ),
    )
  const from = plan.findIndex((_, w) => filesFrom(w).size < 5)
  assert.ok(from > 0, 'a file is used up before the last window')
  for (const i of [0, 2, 3, 4, 5]) if (!filesFrom(from).has(i)) rmSync(join(copy, `part-${i}.parquet`))
  const first = Math.ceil(plan[from]!.start / 32)
  assert.equal(await batchesOf(data, { epoch: 0, first }), all.slice(first))
})

test('ranks share the rows: each comes once, and all have as many batches', async () => {
  const { groups, windowBytes, length } = stream
  for (const size of [2, 3, 5, 7])
    for (const batchSize of [1, 5, 32, 193, 400, 3000]) {
      if (batchSize === 1) {
        assert.throws(() => cutsOf(length, batchSize, { rank: 0, size }), /batches of one are not as many/)
        continue
      }
      const all: number[] = []
      const counts = new Set<number>()
      for (let rank = 0; rank < size; rank++) {
        const ranks = { rank, size }
        const { count, startOf, rows } = cutsOf(length, batchSize, ranks)
        const sizes = Array.from({ length: count }, (_, i) => startOf(i + 1) - startOf(i))
        counts.add(count)
        assert.ok(sizes.slice(0, -2).every(n => n === batchSize) && sizes.every(n => n > 0), String(sizes))
        assert.is(startOf(count), rows)
        const how = { shuffle: true, seed: 5, windowBytes, ranks }
        all.push(...rowsBetween(windowsOf(groups, 1, how), 1, how, [0, rows]))
      }
      assert.is(counts.size, 1)
      assert.equal(
        all.sort((a, b) => a - b),
        Array.from({ length }, (_, i) => i),
      )
    }
  // A row less than others, where that would be a batch less.
  const sizes = (rank: number) => {
    const { count, startOf } = cutsOf(17, 4, { rank, size: 2 })
    return Array.from({ length: count }, (_, i) => startOf(i + 1) - startOf(i))
  }
  assert.equal(
    [sizes(0), sizes(1)],
    [
      [4, 3, 1],
      [4, 4, 1],
    ],
  )
  const [a, b] = [
    await batchesOf(stream, { ranks: { rank: 0, size: 2 }, batchSize: 193, epoch: 1 }),
    await batchesOf(stream, { ranks: { rank: 1, size: 2 }, batchSize: 193, epoch: 1 }),
  ]
  assert.equal(
    [a.map(batch => batch.size), b.map(batch => batch.size)],
    [
      [193, 193, 193, 193, 192, 1],
      [193, 193, 193, 193, 193, 1],
    ],
  )
  assert.is(new Set([...rowsOf(a), ...rowsOf(b)]).size, length)
  assert.equal(await batchesOf(stream, { ranks: { rank: 0, size: 1 } }), await batchesOf(stream, {}))
})

test('windows are as large as they may be, and rows between two places are known without reading', async () => {
  const how = { shuffle: true, seed: 5, windowBytes: stream.windowBytes }
  const plan = windowsOf(stream.groups, 2, how)
  const bytes = plan.map(({ spans }) => spans.reduce((sum, { group }) => sum + group.bytes, 0))
  for (const [i, size] of bytes.entries()) {
    assert.ok(size <= stream.windowBytes)
    if (i + 1 < plan.length) assert.ok(size + plan[i + 1]!.spans[0]!.group.bytes > stream.windowBytes)
  }
  const rows = rowsOf(await batchesOf(stream, { epoch: 2 }))
  assert.equal([...rowsBetween(plan, 2, how, [0, rows.length])], rows)
  assert.equal([...rowsBetween(plan, 2, how, [350, 920])], rows.slice(350, 920))
  const order = [...orderOf({ index: 1, rows: 50 }, 0, how)]
  assert.equal(
    order.slice().sort((a, b) => a - b),
    [...Array(50).keys()],
  )
})

test('rows that fit are in memory, exactly as without a bound', async () => {
  const data = await openDataset(folder, { inputs: INPUTS, memory: '1MB' })
  assert.not(isStreamed(data))
  assert.equal(data, whole)
  assert.is(stream.length, whole.length)
  assert.equal(stream.files, whole.files)
})

test('a file that goes or changes in mid-epoch is told, with its row group', async () => {
  const copy = mkdtempSync(join(root, 'changed-'))
  const path = (i: number) => join(copy, `part-${i}.parquet`)
  const restore = () => {
    for (const i of SIZES.keys()) copyFileSync(join(folder, `part-${i}.parquet`), path(i))
  }
  const changes: [(file: string) => void, RegExp][] = [
    [file => rmSync(file), /no such file or folder; it was there when it was opened \(\d+ bytes\)/],
    [file => truncateSync(file, 300), /has changed since it was opened: it has 300 bytes, and had \d+/],
    [file => writeFileSync(file, ''), /it has 0 bytes, and had/],
    [
      file => {
        const bytes = readFileSync(file)
        bytes[40]! ^= 1
        writeFileSync(file, bytes)
        utimesSync(file, 1, 1)
      },
      /it was written to, \d+ bytes as before/,
    ],
    [file => writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.alloc(9)])), /has changed/],
  ]
  for (const [change, says] of changes) {
    restore()
    const data = await streamOf(copy)
    const loader = createStreamLoader(data, INPUTS, { batchSize: 32, seed: 5 })
    const plan = windowsOf(data.groups, 0, { shuffle: true, seed: 5, windowBytes: data.windowBytes })
    const batches = loader.batches({ epoch: 0 })
    const first = await batches.next()
    assert.is(first.value!.size, 32)
    // A file of the last window, which is not read yet.
    const { group } = plan.at(-1)!.spans[0]!
    change(path(group.file))
    const place = new RegExp(`part-${group.file}\\.parquet: row group \\d+: `)
    await refused(
      async () => {
        for await (const _ of batches);
      },
      DataError,
      place,
      says,
    )
    await loader.close()
  }
})

test('memory that cannot be is refused, and so is a row group that it does not hold', async () => {
  assert.equal(
    ['2GB', '512MiB', '1.5 kB', '7B', 12].map(size => memorySize('memory', size)),
    [2e9, 2 ** 29, 1500, 7, 12],
  )
  for (const memory of [
    undefined,
    null,
    '',
    '2',
    'GB',
    '-1GB',
    '2 GX',
    Number.NaN,
    0,
    -5,
    1.5,
    Infinity,
    {},
    '0MB',
    true,
  ])
    await refused(
      () => openDataset(folder, { inputs: INPUTS, memory } as never),
      ConfigError,
      /memory is .*expected/,
    )
  await refused(
    () => openDataset(folder, { inputs: INPUTS, memory: 6000 }),
    DataError,
    /part-0\.parquet: row group 0: its 97 rows need memory of [\d.]+ kB, and memory is 6 kB; expected more memory, or files of smaller row groups/,
  )
  const large = await writeFile(join(mkdtempSync(join(root, 'large-')), 'a.parquet'), [10, 10, 2500, 10])
  await refused(
    () => openDataset(large, { inputs: INPUTS, memory: MEMORY }),
    DataError,
    /a\.parquet: row group 2: its 2500 rows/,
  )
})

test('files that differ, and what is no stream, are refused before an epoch', async () => {
  const odd = mkdtempSync(join(root, 'odd-'))
  copyFileSync(join(folder, 'part-0.parquet'), join(odd, 'a.parquet'))
  const write = (columns: WriteColumn[]) => writeFile(join(odd, 'b.parquet'), [30], columns)
  await write(COLUMNS.filter(({ name }) => name !== 'kind'))
  const open = (more: object = {}) => openDataset(odd, { inputs: INPUTS, memory: MEMORY, ...more })
  await refused(open, DataError, /b\.parquet has no column kind/)
  await write(COLUMNS.filter(({ name }) => name !== 'label'))
  await refused(
    () => open({ trainOnly: 'optional' }),
    DataError,
    /a\.parquet has column label, .*b\.parquet has none/,
  )
  await writeParquetGroups(
    join(odd, 'b.parquet'),
    COLUMNS.map(column => (column.name === 'user' ? { ...column, kind: 'string' as const } : column)),
    [{ ...someRows(3), user: ['a', 'b', 'c'] }],
  )
  await refused(open, DataError, /b\.parquet: column user is text, a number is expected/)
  writeFileSync(join(odd, 'b.parquet'), '')
  await refused(open, DataError, /b\.parquet is empty/)
  rmSync(join(odd, 'a.parquet'))
  await writeFile(join(odd, 'b.parquet'), [])
  await refused(open, DataError, /b\.parquet has no rows/)
  const list: Inputs = { ...INPUTS, list: { kind: 'list', columns: ['kind'] } as Inputs[string] }
  await refused(
    () => openDataset(folder, { inputs: list, memory: MEMORY }),
    DataError,
    /rows of lists \('list'\) may stand anywhere and are not streamed; expected memory of/,
  )
  const make =
    (given: object, data: unknown = stream) =>
    async () =>
      createStreamLoader(data as StreamedDataset, INPUTS, { batchSize: 4, ...given })
  await refused(make({}, whole), ArgumentError, /expected a stream from openDataset/)
  for (const wrong of [
    { batchSize: 0 },
    { batchsize: 3 },
    { seed: -1 },
    { shuffle: 1 },
    { ranks: { rank: 2, size: 2 } },
    { ranks: { rank: -1, size: 2 } },
    { ranks: { rank: 0 } },
    { ranks: { rank: 0, size: 1, of: 2 } },
    { ranks: 3 },
  ])
    await refused(make(wrong), ConfigError, /expected/)
  await refused(make({ ranks: { rank: 0, size: 5000 } }), DataError, /1931 rows for 5000 ranks/)
})

test('a value that cannot be is told with its file and row when its window comes', async () => {
  const bad = mkdtempSync(join(root, 'value-'))
  copyFileSync(join(folder, 'part-4.parquet'), join(bad, 'a.parquet'))
  const rows = someRows(90)
  rows.kind![77] = 7
  await writeParquetGroups(join(bad, 'b.parquet'), COLUMNS, [someRows(90), rows, someRows(40)])
  await refused(
    () => streamOf(bad, 40_000),
    DataError,
    /b\.parquet: row group 1.*column kind, row 167: value 7, expected 0 to 6/,
  )
})

test.run()
