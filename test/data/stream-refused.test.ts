// Streams that cannot be, and files that change while they are read.
import { copyFileSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { memorySize } from '../../src/config/memory-size.ts'
import { loadDataset } from '../../src/data/dataset.ts'
import { openDataset, type StreamedDataset } from '../../src/data/stream.ts'
import { createStreamLoader } from '../../src/data/stream-loader.ts'
import { windowsOf } from '../../src/data/stream-plan.ts'
import type { WriteColumn } from '../../src/data/write.ts'
import { ArgumentError, ConfigError, DataError } from '../../src/errors.ts'
import type { Inputs } from '../../src/inputs.ts'
import { refused } from '../support/refused.ts'
import {
  COLUMNS,
  INPUTS,
  MEMORY,
  newFolder,
  SIZES,
  someRows,
  streamOf,
  writeFile,
  writeParquetGroups,
  writeParts,
} from '../support/streams.ts'

const folder = await writeParts()
const whole = await loadDataset(folder, { inputs: INPUTS })
const stream = await streamOf(folder)

test('a file that goes or changes in mid-epoch is told, with its row group', async () => {
  const copy = newFolder()
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
      /has changed since it was opened: it (was written to|has)/,
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
  const large = await writeFile(join(newFolder(), 'a.parquet'), [10, 10, 2500, 10])
  await refused(
    () => openDataset(large, { inputs: INPUTS, memory: MEMORY }),
    DataError,
    /a\.parquet: row group 2: its 2500 rows/,
  )
})

test('files that differ, and what is no stream, are refused before an epoch', async () => {
  const odd = newFolder()
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
    { part: { rank: 2, size: 2 } },
    { part: { rank: -1, size: 2 } },
    { part: { rank: 0 } },
    { part: { rank: 0, size: 1, of: 2 } },
    { part: 3 },
  ])
    await refused(make(wrong), ConfigError, /expected/)
  await refused(make({ part: { rank: 0, size: 5000 } }), DataError, /1931 rows for 5000 ranks/)
})

test('a value that cannot be is told with its file and row when its window comes', async () => {
  const bad = newFolder()
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
