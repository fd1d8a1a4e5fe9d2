// Raw track-2 files to tables: equal to what pandas and scikit-learn make of them, and to plain loops over odd files.
// Waits for CI: it joins 130,000 raw rows
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeRawKdd } from '../../bench/raw-kdd.ts'
import { openParquet } from '../../src/data/index.ts'
import { type PreprocessResult, preprocessKdd } from '../../src/datasets/kdd/index.ts'
import { expectedTable, type Row, tableRows, writeOddRaw } from './kdd-oracle.ts'

const GOLDEN = 'test/golden/kdd'
const root = mkdtempSync(join(tmpdir(), 'kernelgrad-kdd-'))
test.after(() => rmSync(root, { recursive: true }))

const split = async ({ train, test }: PreprocessResult) => ({
  train: await tableRows(train),
  test: await tableRows(test),
})

/** Whether two tables are one, cut in two with both parts in order. */
function isSplitOf(whole: Row[], { train, test }: { train: Row[]; test: Row[] }): void {
  assert.is(train.length + test.length, whole.length)
  let [i, j] = [0, 0]
  for (const [row, text] of whole.entries()) {
    // Equal rows on both sides could be told apart only by trying both; the data has hashes that make that rare.
    if (train[i] === text && test[j] !== text) i++
    else if (test[j] === text && train[i] !== text) j++
    else if (train[i] === text) i++
    else assert.unreachable(`row ${row} is next in neither file:\n${text}\n${train[i]}\n${test[j]}`)
  }
}

test('the golden files give the table that pandas and scikit-learn make', async () => {
  const record = JSON.parse(readFileSync(join(GOLDEN, 'case.json'), 'utf8'))
  const made = await preprocessKdd({ input: GOLDEN, output: join(root, 'golden'), rows: record.limit })
  const expected = await openParquet(join(GOLDEN, 'expected.parquet'))
  const types = ({ metadata }: typeof expected) =>
    metadata.schema.slice(1).map(({ name, type, repetition_type }) => [name, type, repetition_type])
  for (const path of [made.train, made.test]) {
    const file = await openParquet(path)
    assert.equal(file.columns, expected.columns)
    assert.equal(types(file), types(expected))
  }
  const whole = await tableRows(expected.name)
  assert.is(whole.length, record.rows)
  isSplitOf(whole, await split(made))
  const { features } = made
  assert.is(features.vocab_size, record.vocab_size_without_padding + 1)
  assert.is(features.pad_token_id, record.pad_token_id)
  for (const [name, size] of Object.entries(record.categories))
    assert.is(features.features_config[name]!.vocab_size, size, name)
  assert.equal(features.rows, {
    read: 5000,
    train: whole.length - features.rows.test,
    test: features.rows.test,
  })
  assert.is(features.clicks.train + features.clicks.test, record.clicks)
  assert.equal(JSON.parse(readFileSync(made.featuresFile, 'utf8')), features)
  assert.equal(readdirSync(join(root, 'golden')).sort(), ['features.json', 'test.parquet', 'train.parquet'])
})

for (const seed of [1, 2, 3, 4, 5]) {
  test(`odd files of seed ${seed} give what plain loops give`, async () => {
    const input = join(root, `odd-${seed}`)
    const rows = 700 + 13 * seed
    writeOddRaw(input, seed, rows + 40)
    const { table, words, sizes } = expectedTable(input, rows)
    const made = await preprocessKdd({ input, output: join(input, 'out'), rows, seed, testShare: 0.3 })
    isSplitOf(table, await split(made))
    assert.is(made.features.pad_token_id, words)
    for (const [name, size] of Object.entries(sizes))
      assert.is(made.features.features_config[name]!.vocab_size, size, name)
  })
}

test('the split keeps the share of each label, by seed', async () => {
  const make = (seed: number, name: string) =>
    preprocessKdd({ input: GOLDEN, output: join(root, name), rows: 5000, seed })
  const [a, b, c] = [await make(7, 'a'), await make(7, 'b'), await make(8, 'c')]
  const bytes = ({ train, test }: PreprocessResult) => [readFileSync(train), readFileSync(test)]
  assert.equal(bytes(a), bytes(b))
  assert.not.equal(bytes(a), bytes(c))
  for (const { features } of [a, c]) {
    assert.is(features.rows.test, Math.ceil((features.rows.test + features.rows.train) * 0.1))
    assert.is(features.clicks.test, Math.round((features.clicks.test + features.clicks.train) * 0.1))
  }
  const shared = new Set((await split(a)).test)
  const both = (await split(c)).test.filter(row => shared.has(row)).length
  assert.ok(
    both > 10 && both < 120,
    `${both} of 480 test rows are test rows under another seed, 48 are expected`,
  )
})

test('what does not fit in memory is spilled, and comes out the same', async () => {
  const [input, output] = [join(root, 'many'), join(root, 'small-memory')]
  const rows = 130_000
  await writeRawKdd(input, rows)
  const spill = () =>
    readdirSync(output)
      .filter(name => name.startsWith('.preprocess-'))
      .some(
        name =>
          existsSync(join(output, name, 'spill')) && readdirSync(join(output, name, 'spill')).length > 0,
      )
  let spilled = false
  const timer = setInterval(() => {
    spilled ||= existsSync(output) && spill()
  }, 5)
  const small = await preprocessKdd({ input, output, rows, memoryMiB: 64 }).finally(() =>
    clearInterval(timer),
  )
  assert.ok(spilled, 'nothing was spilled')
  const large = await preprocessKdd({ input, output: join(root, 'large-memory'), rows })
  assert.equal(readFileSync(small.train), readFileSync(large.train))
  assert.equal(readFileSync(small.test), readFileSync(large.test))
  const { table, sizes } = expectedTable(input, rows)
  assert.is(sizes.user_id, large.features.features_config.user_id!.vocab_size)
  isSplitOf(table, await split(large))
  const { groups } = await openParquet(large.train)
  assert.ok(
    groups.length > 1 && groups.every(group => group.rows <= 50_000),
    'row groups of tens of thousands',
  )
})

test('an aborted run leaves the older result and nothing else', async () => {
  const output = join(root, 'kept')
  mkdirSync(output)
  for (const name of ['train.parquet', 'test.parquet', 'features.json'])
    copyFileSync('package.json', join(output, name))
  for (const at of ['check training.txt', 'join', 'write test.parquet']) {
    const abort = new AbortController()
    const stages: string[] = []
    const onStage = (name: string) => {
      stages.push(name)
      if (name === at) abort.abort(new Error('enough'))
      return { update() {}, done() {} }
    }
    let failed: unknown
    await preprocessKdd({ input: GOLDEN, output, rows: 5000, signal: abort.signal, onStage }).catch(error => {
      failed = error
    })
    assert.is((failed as Error | undefined)?.message, 'enough', `stopped at ${at}`)
    assert.is(stages.at(-1), at)
    assert.equal(readdirSync(output).sort(), ['features.json', 'test.parquet', 'train.parquet'])
    for (const name of readdirSync(output))
      assert.equal(readFileSync(join(output, name)), readFileSync('package.json'))
  }
})

test.run()
