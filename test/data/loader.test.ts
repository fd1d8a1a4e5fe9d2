import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type FeatureBatch,
  type FeatureInputs,
  type FeaturesConfig,
  featureInputs,
} from '../../src/config/index.ts'
import { type CollateOptions, collate } from '../../src/data/collate.ts'
import { type Columns, loadDataset } from '../../src/data/dataset.ts'
import { createLoader } from '../../src/data/loader.ts'
import { randomStream, shuffledOrder } from '../../src/data/shuffle.ts'
import { startThread } from '../../src/data/threads-node.ts'
import { DataError, KernelgradError } from '../../src/errors.ts'

const V = 300
const PAD = V - 1
const SIZES = { padTokenId: PAD, vocabSize: V, maxPositions: 12 }
const FEATURES: FeaturesConfig = {
  title: { dtype: 'token_id' },
  query: { dtype: 'token_id' },
  depth: { dtype: 'numerical' },
  user: { dtype: 'categorical', vocab_size: 70_000 },
  gender: { dtype: 'categorical', vocab_size: 3 },
}
const INPUTS = featureInputs(FEATURES, SIZES)

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
    lists: { title: lists(7), query: lists(4) },
    ids: { user: column(70_000), gender: column(3), label: column(2) },
    floats: { depth: Float32Array.from({ length }, () => random.normal()) },
  }
}

const columns = randomColumns(203, 1)
const order = shuffledOrder(203, 7, 0)

function plain(
  from: Columns,
  rows: Uint32Array,
  batchSize: number,
  inputs: FeatureInputs = INPUTS,
  options: CollateOptions = {},
): FeatureBatch[] {
  const out: FeatureBatch[] = []
  for (let i = 0; i < rows.length; i += batchSize)
    out.push(collate(from, rows.subarray(i, i + batchSize), inputs, options))
  return out
}

async function all(batches: AsyncIterable<FeatureBatch>): Promise<FeatureBatch[]> {
  const out: FeatureBatch[] = []
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
      const loader = createLoader(columns, INPUTS, { batchSize, worker })
      const batches = await all(loader.batches(order))
      assert.equal(batches, plain(columns, order, batchSize))
      assert.equal(Object.keys(batches[0]!.categorical), ['user', 'gender'])
      assert.is(batches.at(-1)!.size, 203 % batchSize || Math.min(batchSize, 203))
      await loader.close()
    })

  test(`${where}: resumed in the middle, at the last batch, and past it`, async () => {
    const loader = createLoader(columns, INPUTS, { batchSize: 10, worker })
    const expected = plain(columns, order, 10)
    for (const first of [3, 20, 21])
      assert.equal(await all(loader.batches(order, { first })), expected.slice(first))
    assert.equal(await all(loader.batches(new Uint32Array(0))), [])
    await loader.close()
  })

  test(`${where}: left in the middle of one order, and two orders by turns`, async () => {
    const loader = createLoader(columns, INPUTS, { batchSize: 16, worker })
    const other = shuffledOrder(203, 7, 1)
    for await (const batch of loader.batches(order)) {
      assert.equal(batch, collate(columns, order.subarray(0, 16), INPUTS))
      break
    }
    const [a, b] = [loader.batches(order), loader.batches(other)]
    for (const [i, expected] of plain(columns, other, 16).entries()) {
      assert.equal((await a.next()).value, collate(columns, order.subarray(16 * i, 16 * i + 16), INPUTS))
      assert.equal((await b.next()).value, expected)
    }
    await loader.close()
  })

  test(`${where}: options reach collate`, async () => {
    const short = featureInputs(FEATURES, { ...SIZES, maxPositions: 4, keepFirst: true })
    const loader = createLoader(columns, short, { batchSize: 50, worker, truncate: true })
    assert.equal(await all(loader.batches(order)), plain(columns, order, 50, short, { truncate: true }))
    await loader.close()
  })

  test(`${where}: an error has its class and message, after the batches before it`, async () => {
    const bad = randomColumns(40, 2)
    bad.ids.gender![33] = 3
    const loader = createLoader(bad, INPUTS, { batchSize: 8, worker })
    const inOrder = Uint32Array.from({ length: 40 }, (_, i) => i)
    const seen: FeatureBatch[] = []
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
    const broken = { ...columns, ids: { gender: columns.ids.gender! } }
    assert.throws(
      () => createLoader(broken, INPUTS, { batchSize: 8, worker }),
      /^createLoader: the data has no column 'user', which the model reads as 'categorical'$/,
    )
  })
}

test('a dataset lies in shared memory, which a worker reads in place', async () => {
  const features = { tokenized_title: { dtype: 'token_id' }, depth: { dtype: 'numerical' } } as const
  const inputs = featureInputs(features, { padTokenId: 148_597 })
  const data = await loadDataset('test/golden/parquet/row_groups_of_50.parquet', { inputs })
  const { values, offsets } = data.lists.tokenized_title!
  for (const array of [values, offsets, data.floats.depth!, data.ids.label!])
    assert.instance(array.buffer, SharedArrayBuffer)
  const loader = createLoader(data, inputs, { batchSize: 32, worker: true })
  const rows = shuffledOrder(data.length, 3, 0)
  assert.equal(await all(loader.batches(rows)), plain(data, rows, 32, inputs))
  // A change here is seen there: nothing was copied.
  data.floats.depth![5] = 123.5
  const { value } = await loader.batches(Uint32Array.of(5)).next()
  assert.is((value as FeatureBatch).numerical.depth![0], 123.5)
  await loader.close()
})

test('a batch is one buffer, handed over whole', async () => {
  const loader = createLoader(columns, INPUTS, { batchSize: 16, worker: true })
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
  const { title, gender, depth } = FEATURES
  const kinds: FeaturesConfig[] = [{}, { gender: gender! }, { depth: depth! }, { title: title! }]
  for (const features of kinds) {
    const inputs = featureInputs(features, SIZES)
    for (const part of [columns, { ...columns, ids: { gender: columns.ids.gender! } }]) {
      const loader = createLoader(part, inputs, { batchSize: 20, worker: true })
      const batches = await all(loader.batches(order))
      assert.equal(batches, plain(part, order, 20, inputs))
      assert.is(batches[0]!.labels !== undefined, part === columns)
      await loader.close()
    }
  }
})

test('closing ends a wait with an error', async () => {
  const loader = createLoader(columns, INPUTS, { batchSize: 16, worker: true })
  const waiting = errorOf(() => loader.batches(order).next())
  await loader.close()
  const error = await waiting
  assert.instance(error, KernelgradError)
  assert.is(error.message, 'the loader was closed while a batch was waited for')
})

test('batch sizes that are none', () => {
  for (const batchSize of [0, -1, 1.5, Number.NaN])
    assert.throws(() => createLoader(columns, INPUTS, { batchSize }), `batchSize is ${batchSize}, expected`)
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
    const loader = createLoader(columns, INPUTS, { batchSize: 16, worker: true })
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
    const columns = { length: 3, rowStart: 0, lists: {}, ids: { a: ids }, floats: {} }
    const inputs = { codes: { kind: 'ids', columns: { a: 4 } } }
    const loader = createLoader(columns, inputs, { batchSize: 2, worker: true })
    for await (const batch of loader.batches(Uint32Array.of(0, 1, 2))) console.log(batch.codes.a.ids.join())
    loader.batches(Uint32Array.of(0, 1, 2)).next()
    const { value } = await loader.batches(Uint32Array.of(1)).next()
    console.log(value.codes.a.ids.join())`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  assert.is(run.stderr, '')
  assert.is(run.stdout, '3,1\n2\n1\n')
  assert.is(run.status, 0)
})

test.run()
