// Rows that are not all in memory: their order and their bytes.
import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { collate } from '../../src/data/collate.ts'
import { loadDataset } from '../../src/data/dataset.ts'
import { createLoader } from '../../src/data/loader.ts'
import { isStreamed, openDataset } from '../../src/data/stream.ts'
import { createStreamLoader } from '../../src/data/stream-loader.ts'
import { cutsOf, orderOf, rowsBetween, windowsOf } from '../../src/data/stream-plan.ts'
import type { AnyBatch } from '../../src/inputs.ts'
import { batchesOf, INPUTS, newFolder, rowsOf, SIZES, streamOf, writeParts } from '../support/streams.ts'

const folder = await writeParts()
const whole = await loadDataset(folder, { inputs: INPUTS })
const stream = await streamOf(folder)

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
  const copy = newFolder()
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
        const part = { rank, size }
        const { count, startOf, rows } = cutsOf(length, batchSize, part)
        const sizes = Array.from({ length: count }, (_, i) => startOf(i + 1) - startOf(i))
        counts.add(count)
        assert.ok(sizes.slice(0, -2).every(n => n === batchSize) && sizes.every(n => n > 0), String(sizes))
        assert.is(startOf(count), rows)
        const how = { shuffle: true, seed: 5, windowBytes, part }
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
    await batchesOf(stream, { part: { rank: 0, size: 2 }, batchSize: 193, epoch: 1 }),
    await batchesOf(stream, { part: { rank: 1, size: 2 }, batchSize: 193, epoch: 1 }),
  ]
  assert.equal(
    [a.map(batch => batch.size), b.map(batch => batch.size)],
    [
      [193, 193, 193, 193, 192, 1],
      [193, 193, 193, 193, 193, 1],
    ],
  )
  assert.is(new Set([...rowsOf(a), ...rowsOf(b)]).size, length)
  assert.equal(await batchesOf(stream, { part: { rank: 0, size: 1 } }), await batchesOf(stream, {}))
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

test.run()
