import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type FeaturesConfig, featureInputs } from '../../src/config/index.ts'
import { loadDataset, streamChunks } from '../../src/data/dataset.ts'
import { openParquet, readColumns } from '../../src/data/parquet.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import { DataError } from '../../src/errors.ts'

const FOLDER = 'test/golden/parquet'
const golden = JSON.parse(readFileSync(`${FOLDER}/case.json`, 'utf8')) as {
  rows: number
  same_content: string[]
  bad: Record<string, string>
  features: FeaturesConfig
  label: number[]
  tokenized_title: number[][]
  depth: number[]
  gender: number[]
  display_url: string[]
  title: string[]
}
const { features } = golden
const inputs = featureInputs(features)
const path = (name: string) => `${FOLDER}/${name}.parquet`

/** The DataError that `run` ends with. */
async function errorOf(run: () => Promise<unknown>): Promise<DataError> {
  try {
    await run()
  } catch (error) {
    assert.instance(error, DataError)
    return error as DataError
  }
  throw new Error('expected a DataError')
}

assert.is(golden.same_content.length, 20)
assert.is(Object.keys(golden.bad).length, 13)

for (const name of golden.same_content.filter(name => name !== 'no_rows')) {
  test(`same content: ${name}`, async () => {
    const data = await loadDataset(path(name), { inputs })
    assert.is(data.length, golden.rows)
    assert.equal([...data.ids.label!], golden.label)
    assert.equal([...data.ids.gender!], golden.gender)
    assert.equal(data.floats.depth, Float32Array.from(golden.depth))
    const { values, offsets } = data.lists.tokenized_title!
    const lists = golden.tokenized_title.map((_, row) => [...values.subarray(offsets[row], offsets[row + 1])])
    assert.equal(lists, golden.tokenized_title)
    const passed = await readColumns(path(name), ['display_url', 'title', 'tokenized_title'])
    assert.equal(passed.display_url!.map(String), golden.display_url)
    assert.equal(passed.title, golden.title)
    assert.equal(
      (passed.tokenized_title as unknown[][]).map(list => list.map(Number)),
      golden.tokenized_title,
    )
  })
}

test('a file without rows opens and streams nothing, a dataset of it is an error', async () => {
  const file = await openParquet(path('no_rows'))
  assert.is(file.rows, 0)
  for await (const _ of streamChunks(file, { inputs })) assert.unreachable()
  const error = await errorOf(() => loadDataset(path('no_rows'), { inputs }))
  assert.match(error.message, 'no_rows.parquet has no rows')
})

test('row groups stream one at a time, with their first row', async () => {
  const starts: number[] = []
  for await (const chunk of streamChunks(path('row_groups_of_50'), { inputs, extra: ['title'] })) {
    starts.push(chunk.rowStart)
    assert.equal(chunk.extra.title, golden.title.slice(chunk.rowStart, chunk.rowStart + chunk.length))
    assert.equal([...chunk.ids.label!], golden.label.slice(chunk.rowStart, chunk.rowStart + chunk.length))
  }
  assert.equal(starts, [0, 50, 100, 150, 200, 250])
})

test('a range of rows across row groups', async () => {
  const { title } = await readColumns(path('row_groups_of_50'), ['title'], { rowStart: 48, rowEnd: 103 })
  assert.equal(title, golden.title.slice(48, 103))
})

test('several files become one dataset', async () => {
  const data = await loadDataset([path('codec_zstd'), path('no_rows'), path('row_groups_of_50')], {
    inputs,
  })
  assert.is(data.length, 2 * golden.rows)
  assert.equal([...data.ids.label!], [...golden.label, ...golden.label])
  const { values, offsets } = data.lists.tokenized_title!
  assert.is(offsets[2 * golden.rows], values.length)
  assert.equal([...values], [...golden.tokenized_title.flat(), ...golden.tokenized_title.flat()])
})

const FAULTS: Record<string, string[]> = {
  null_label: ['column label, row 100: null'],
  null_list: ['column tokenized_title, row 7: null, expected a list'],
  null_in_list: ['column tokenized_title, row 9: null element'],
  nan_depth: ['column depth, row 11: value NaN'],
  inf_depth: ['column depth, row 12: value Infinity'],
  negative_id: ['column tokenized_title, row 5: value -1, expected 0 to 148597'],
  huge_id: ['column tokenized_title, row 6: value 9007199254740993'],
  fraction_category: ['column gender, row 3: value 1.5'],
  category_out_of_range: ['column gender, row 200: value 4, expected 0 to 3'],
  label_out_of_range: ['column label, row 250: value 2, expected 0 to 1'],
  text_depth: ['column depth is text, a number is expected'],
  truncated: ['not a whole Parquet file'],
}

for (const [name, parts] of Object.entries(FAULTS)) {
  test(`faulty: ${name} (${golden.bad[name]})`, async () => {
    const { message } = await errorOf(() => loadDataset(path(`bad_${name}`), { inputs }))
    assert.match(message, `bad_${name}.parquet`)
    for (const part of parts) assert.ok(message.includes(part), message)
  })
}

test('faulty: flipped_byte ends in an error or other values', async () => {
  try {
    const data = await loadDataset(path('bad_flipped_byte'), { inputs })
    const { values } = data.lists.tokenized_title!
    assert.not.equal([[...values], [...data.ids.label!]], [golden.tokenized_title.flat(), golden.label])
  } catch (error) {
    assert.instance(error, DataError)
  }
})

test('damaged bytes anywhere end in a DataError or other values', async () => {
  const random = randomStream(5)
  for (const name of [
    'codec_snappy',
    'codec_none',
    'page_v2',
    'delta',
    'codec_zstd',
    'codec_gzip',
    'codec_lz4',
    'codec_brotli',
  ]) {
    const whole = readFileSync(path(name))
    for (let run = 0; run < 60; run++) {
      const bytes = new Uint8Array(whole)
      // Every other flip goes into the footer, where lengths and offsets stand.
      const at = run % 2 ? random.below(bytes.length) : bytes.length - 1 - random.below(2000)
      bytes[at]! ^= 1 + random.below(255)
      try {
        const file = await openParquet(bytes.buffer, { name: `${name} at ${at}` })
        for await (const chunk of streamChunks(file, { inputs, extra: ['title'] }))
          assert.ok(chunk.length >= 0)
      } catch (error) {
        if (!(error instanceof DataError)) throw new Error(`${name}, byte ${at}: ${(error as Error).stack}`)
      }
    }
  }
})

test('a negative number of children in the schema is refused, not looped over', async () => {
  const bytes = new Uint8Array(readFileSync(path('codec_brotli')))
  bytes[9072]! ^= 1
  const { message } = await errorOf(() => openParquet(bytes.buffer, { name: 'x.parquet' }))
  assert.is(message, 'x.parquet: the footer cannot be decoded: column tokenized_title has -2 children')
})

test('missing columns, files and labels', async () => {
  const missing = await errorOf(() =>
    loadDataset(path('pandas'), { inputs: { age: { kind: 'floats', columns: ['age'] } } }),
  )
  assert.match(missing.message, 'has no column age; its columns are label, tokenized_title, depth, gender')
  assert.match(
    (await errorOf(() => openParquet('nowhere/x.parquet'))).message,
    'nowhere/x.parquet: no such file',
  )
  assert.match((await errorOf(() => openParquet(FOLDER))).message, 'is a folder')
  const empty = await errorOf(() => openParquet(new ArrayBuffer(0), { name: 'a.parquet' }))
  assert.is(empty.message, 'a.parquet is empty, a Parquet file is expected')
  assert.match((await errorOf(() => openParquet(`${FOLDER}/case.json`))).message, 'is not a Parquet file')
  assert.match(
    (
      await errorOf(() =>
        loadDataset(path('pandas'), { inputs: featureInputs(features, { label: 'clicked' }) }),
      )
    ).message,
    'no column clicked',
  )
  const other = { inputs: featureInputs(features, { label: 'clicked' }), trainOnly: 'optional' } as const
  const unlabelled = await loadDataset(path('pandas'), other)
  assert.equal(Object.keys(unlabelled.ids), Object.keys(inputs.categorical.columns))
})

test('features and a label say what to read as inputs do', async () => {
  const read = (options: object) => loadDataset(path('pandas'), { features, ...options })
  assert.equal(await read({ label: null }), await loadDataset(path('pandas'), { inputs, trainOnly: 'none' }))
  assert.equal(await read({}), await loadDataset(path('pandas'), { inputs }))
  const unlabelled = await read({ label: 'clicked', requireLabels: false })
  assert.equal(Object.keys(unlabelled.ids), Object.keys(inputs.categorical.columns))
  const messageOf = (options: object) =>
    read(options).then(
      () => 'read',
      (error: Error) => error.message,
    )
  assert.match(await messageOf({ label: 'clicked' }), 'no column clicked')
  assert.match(await messageOf({ numLabels: 1.5 }), 'loadDataset: numLabels is 1.5')
  assert.match(await messageOf({ vocabSize: 0 }), 'loadDataset: vocabSize is 0')
  assert.match(await messageOf({ label: 3 }), 'loadDataset: label is 3')
  assert.match(await messageOf({ features: [] }), 'loadDataset: features is an array of 0')
  assert.match(await messageOf({ vocabSize: 2 }), 'expected 0 to 1')
  assert.match(await messageOf({ inputs }), 'inputs')
})

test('kinds that do not fit', async () => {
  const read = (name: string, feature: FeaturesConfig[string]) =>
    errorOf(() => loadDataset(path('pandas'), { inputs: featureInputs({ [name]: feature }) })).then(
      error => error.message,
    )
  assert.match(await read('tokenized_title', { dtype: 'numerical' }), 'is a list, a number is expected')
  assert.match(await read('depth', { dtype: 'token_id' }), 'is a number, a list of integers is expected')
  assert.match(await read('depth', { dtype: 'text' }), 'is a number, text is expected')
  assert.match(await read('title', { dtype: 'categorical', vocab_size: 3 }), 'is text, a number is expected')
})

test('text features are joined by a space and tokenized', async () => {
  const seen: string[] = []
  const tokenize = (text: string) => {
    seen.push(text)
    return [1, text.length]
  }
  const both: FeaturesConfig = { title: { dtype: 'text' } }
  const data = await loadDataset(path('duckdb'), {
    inputs: featureInputs(both, { vocabSize: 100 }),
    tokenize,
  })
  assert.equal(seen, golden.title)
  assert.equal([...data.lists.title!.values.subarray(2, 4)], [1, golden.title[1]!.length])
  assert.is(data.lists.title!.offsets[golden.rows], 2 * golden.rows)
})

test.run()
