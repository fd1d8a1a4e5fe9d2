import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Batch } from '../../src/data/batch.ts'
import { type CollateOptions, collate } from '../../src/data/collate.ts'
import { type Columns, loadDataset } from '../../src/data/dataset.ts'
import { createLoader } from '../../src/data/loader.ts'
import { randomStream, shuffledOrder } from '../../src/data/shuffle.ts'
import { startThread } from '../../src/data/threads-node.ts'
import { DataError, KernelgradError } from '../../src/errors.ts'

const V = 300
const PAD = V - 1
const OPTIONS: CollateOptions = { padTokenId: PAD, vocabSize: V, maxPositions: 12 }

/** Rows with titles of 0 to 7 tokens, queries of 0 to 4, padding among them. */
function randomColumns(length: number, seed: number): Columns {
  const random = randomStream(seed)
  const lists = (most: number) => {
    const offsets = new Uint32Array(length + 1)
    for (let row = 0; row < length; row++) offsets[row + 1] = offsets[row]! + random.below(most + 1)
    const values = Uint32Array.from({ length: offsets[length]! }, () =>
      random.below(5) === 0 ? PAD : random.below(V),
    )
    return { values, offsets }
  }
  const column = (below: number) => Uint32Array.from({ length }, () => random.below(below))
  return {
    length,
    rowStart: 1000,
    features: {
      title: { dtype: 'token_id' },
      query: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
      user: { dtype: 'categorical', vocab_size: 70_000 },
      gender: { dtype: 'categorical', vocab_size: 3 },
    },
    lists: { title: lists(7), query: lists(4) },
    categorical: { user: column(70_000), gender: column(3) },
    numerical: { depth: Float32Array.from({ length }, () => random.normal()) },
    labels: column(2),
  }
}

const columns = randomColumns(203, 1)
const order = shuffledOrder(203, 7, 0)

function plain(from: Columns, rows: Uint32Array, batchSize: number, options = OPTIONS): Batch[] {
  const out: Batch[] = []
  for (let i = 0; i < rows.length; i += batchSize)
    out.push(collate(from, rows.subarray(i, i + batchSize), options))
  return out
}

async function all(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const out: Batch[] = []
  for await (const batch of batches) out.push(batch)
  return out
}

async function errorOf(run: () => Promise<unknown>): Promise<Error> {
  try {
    await run()
  } catch (error) {
    return error as Error
  }
  throw new Error('expected an error')
}

for (const worker of [false, true]) {
  const where = worker ? 'in a worker' : 'in the thread'

  for (const batchSize of [1, 7, 64, 203, 500])
    test(`${where}: batches of ${batchSize} are those of collate, the last one in part`, async () => {
      const loader = createLoader(columns, { batchSize, worker, ...OPTIONS })
      const batches = await all(loader.batches(order))
      assert.equal(batches, plain(columns, order, batchSize))
      assert.equal(Object.keys(batches[0]!.categorical), ['user', 'gender'])
      assert.is(batches.at(-1)!.size, 203 % batchSize || Math.min(batchSize, 203))
      await loader.close()
    })

  test(`${where}: resumed in the middle, at the last batch, and past it`, async () => {
    const loader = createLoader(columns, { batchSize: 10, worker, ...OPTIONS })
    const expected = plain(columns, order, 10)
    for (const first of [3, 20, 21])
      assert.equal(await all(loader.batches(order, first)), expected.slice(first))
    assert.equal(await all(loader.batches(new Uint32Array(0))), [])
    await loader.close()
  })

  test(`${where}: left in the middle of one order, and two orders by turns`, async () => {
    const loader = createLoader(columns, { batchSize: 16, worker, ...OPTIONS })
    const other = shuffledOrder(203, 7, 1)
    for await (const batch of loader.batches(order)) {
      assert.equal(batch, collate(columns, order.subarray(0, 16), OPTIONS))
      break
    }
    const [a, b] = [loader.batches(order), loader.batches(other)]
    for (const [i, expected] of plain(columns, other, 16).entries()) {
      assert.equal((await a.next()).value, collate(columns, order.subarray(16 * i, 16 * i + 16), OPTIONS))
      assert.equal((await b.next()).value, expected)
    }
    await loader.close()
  })

  test(`${where}: options reach collate`, async () => {
    const options = { ...OPTIONS, maxPositions: 4, truncate: true, keepFirst: true }
    const loader = createLoader(columns, { batchSize: 50, worker, ...options })
    assert.equal(await all(loader.batches(order)), plain(columns, order, 50, options))
    await loader.close()
  })

  test(`${where}: an error has its class and message, after the batches before it`, async () => {
    const bad = randomColumns(40, 2)
    bad.categorical.gender![33] = 3
    const loader = createLoader(bad, { batchSize: 8, worker, ...OPTIONS })
    const inOrder = Uint32Array.from({ length: 40 }, (_, i) => i)
    const seen: Batch[] = []
    const error = await errorOf(async () => {
      for await (const batch of loader.batches(inOrder)) seen.push(batch)
    })
    assert.instance(error, DataError)
    assert.is(error.name, 'DataError')
    assert.is(error.message, 'feature gender, row 1033: value 3, expected 0 to 2')
    assert.equal(seen, plain(bad, inOrder.subarray(0, 32), 8))
    // What was requested past the batch at fault does not get in the way of what comes next.
    assert.equal(await all(loader.batches(inOrder.subarray(0, 30))), plain(bad, inOrder.subarray(0, 30), 8))
    const outside = await errorOf(() => all(loader.batches(Uint32Array.of(1, 40))))
    assert.is(outside.message, 'row 40 is asked for, the data has rows 0 to 39')
    await loader.close()
    assert.match((await errorOf(() => all(loader.batches(inOrder)))).message, 'the loader is closed')
  })

  test(`${where}: a column that is missing is named where the loader is made`, () => {
    const broken = { ...columns, categorical: { gender: columns.categorical.gender! } }
    assert.throws(
      () => createLoader(broken, { batchSize: 8, worker, ...OPTIONS }),
      /^createLoader: the data has no column 'user', which its features name$/,
    )
  })
}

test('a dataset lies in shared memory, which a worker reads in place', async () => {
  const features = { tokenized_title: { dtype: 'token_id' }, depth: { dtype: 'numerical' } } as const
  const data = await loadDataset('test/golden/parquet/row_groups_of_50.parquet', { features })
  const { values, offsets } = data.lists.tokenized_title!
  for (const array of [values, offsets, data.numerical.depth!, data.labels!])
    assert.instance(array.buffer, SharedArrayBuffer)
  const options = { padTokenId: 148_597 }
  const loader = createLoader(data, { batchSize: 32, worker: true, ...options })
  const rows = shuffledOrder(data.length, 3, 0)
  assert.equal(await all(loader.batches(rows)), plain(data, rows, 32, options))
  // A change here is seen there: nothing was copied.
  data.numerical.depth![5] = 123.5
  const { value } = await loader.batches(Uint32Array.of(5)).next()
  assert.is((value as Batch).numerical.depth![0], 123.5)
  await loader.close()
})

test('a batch is one buffer, handed over whole', async () => {
  const loader = createLoader(columns, { batchSize: 16, worker: true, ...OPTIONS })
  for await (const { text, categorical, numerical, labels } of loader.batches(order)) {
    const { inputIds, positionIds, keyMask, cuSeqlens, rowIds } = text!
    const groups = [inputIds, positionIds, ...Object.values(categorical)]
    const arrays = [keyMask, cuSeqlens, rowIds, labels!, ...Object.values(numerical)]
    arrays.push(...groups.flatMap(({ ids, rows, offsets, positions }) => [ids, rows, offsets, positions]))
    for (const array of arrays) assert.is(array.buffer, keyMask.buffer)
  }
  await loader.close()
})

test('columns of one kind alone', async () => {
  const { features, lists, categorical, numerical, ...rest } = columns
  const alone: Columns[] = [
    { ...rest, features: {}, lists: {}, categorical: {}, numerical: {} },
    {
      ...rest,
      features: { gender: features.gender! },
      lists: {},
      categorical: { gender: categorical.gender! },
      numerical: {},
    },
    { ...rest, features: { depth: features.depth! }, lists: {}, categorical: {}, numerical },
    {
      ...rest,
      features: { title: features.title! },
      lists: { title: lists.title! },
      categorical: {},
      numerical: {},
    },
  ]
  for (const part of [...alone, ...alone.map(part => ({ ...part, labels: undefined }))]) {
    const loader = createLoader(part, { batchSize: 20, worker: true, ...OPTIONS })
    assert.equal(await all(loader.batches(order)), plain(part, order, 20))
    await loader.close()
  }
})

test('closing ends a wait with an error', async () => {
  const loader = createLoader(columns, { batchSize: 16, worker: true, ...OPTIONS })
  const waiting = errorOf(() => loader.batches(order).next())
  await loader.close()
  const error = await waiting
  assert.instance(error, KernelgradError)
  assert.is(error.message, 'the loader was closed while a batch was waited for')
})

test('batch sizes that are none', () => {
  for (const batchSize of [0, -1, 1.5, Number.NaN])
    assert.throws(
      () => createLoader(columns, { batchSize, ...OPTIONS }),
      `batchSize is ${batchSize}, expected`,
    )
})

test('a worker that ends says so', async () => {
  const ended: Error[] = []
  const thread = startThread(
    () => {},
    error => ended.push(error),
  )
  thread.hold(true)
  await thread.terminate()
  assert.match(ended[0]!.message, /^the loader's worker ended with exit code \d$/)
})

const threads = () => readdirSync('/proc/self/task').length
const onLinux = process.platform === 'linux' ? test : test.skip

onLinux('closed loaders leave no thread behind', async () => {
  const once = async () => {
    const loader = createLoader(columns, { batchSize: 16, worker: true, ...OPTIONS })
    await loader.batches(order).next()
    const open = threads()
    await loader.close()
    return open
  }
  await once()
  const before = threads()
  for (let i = 0; i < 5; i++) assert.ok((await once()) > before)
  assert.is(threads(), before)
})

test('a process ends with a loader left open, and not before the batch it waits for', () => {
  const script = `
    const { createLoader } = await import(${JSON.stringify(new URL('../../src/data/index.js', import.meta.url).href)})
    const ids = Uint32Array.of(3, 1, 2)
    const columns = { length: 3, rowStart: 0, features: { a: { dtype: 'categorical', vocab_size: 4 } },
      lists: {}, categorical: { a: ids }, numerical: {} }
    const loader = createLoader(columns, { batchSize: 2, padTokenId: 0, worker: true })
    for await (const batch of loader.batches(Uint32Array.of(0, 1, 2))) console.log(batch.categorical.a.ids.join())
    loader.batches(Uint32Array.of(0, 1, 2)).next()
    const { value } = await loader.batches(Uint32Array.of(1)).next()
    console.log(value.categorical.a.ids.join())`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.is(run.stderr, '')
  assert.is(run.stdout, '3,1\n2\n1\n')
  assert.is(run.status, 0)
})

test.run()
