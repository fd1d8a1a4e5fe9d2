// Every codec, page version, encoding and kind of value, by the writers people use, against what pyarrow reads
// (tools/make_parquet_golden.py).
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { featureInputs } from '../../src/config/index.ts'
import { streamChunks } from '../../src/data/dataset.ts'
import { openParquet, readColumns } from '../../src/data/parquet.ts'
import { DataError } from '../../src/errors.ts'
import { plain } from '../support/plain.ts'

const FOLDER = 'test/golden/parquet-kinds'
const golden = JSON.parse(readFileSync(`${FOLDER}/values.json`, 'utf8')) as Record<
  string,
  Record<string, unknown[]>
>
assert.ok(Object.keys(golden).length >= 50)

/** pyarrow widens a float32 to say it; both are the same float32. */
const rounded = (value: unknown): unknown =>
  Array.isArray(value) ? value.map(rounded) : typeof value === 'number' ? Math.fround(value) : value

for (const [name, columns] of Object.entries(golden)) {
  test(`as pyarrow reads it: ${name}`, async () => {
    const file = await openParquet(`${FOLDER}/${name}.parquet`)
    for (const [column, expected] of Object.entries(columns)) {
      const read = (await readColumns(file, [column]))[column]!.map(plain)
      const single = /^(f32|half|pairs)/.test(column)
      assert.equal(single ? rounded(read) : read, single ? rounded(expected) : expected, column)
    }
  })
}

for (const name of Object.keys(golden).filter(name => /no_values|empty_groups/.test(name))) {
  test(`pages without values make rows: ${name}`, async () => {
    const file = await openParquet(`${FOLDER}/${name}.parquet`)
    let rows = 0
    const inputs = featureInputs({ empty_lists: { dtype: 'token_id' }, row: { dtype: 'numerical' } })
    for await (const chunk of streamChunks(file, { inputs, trainOnly: 'none', extra: ['text'] })) {
      rows += chunk.length
      assert.is(chunk.lists.empty_lists!.values.length, 0)
      assert.is(chunk.lists.empty_lists!.offsets.length, chunk.length + 1)
      assert.equal(chunk.extra.text, new Array(chunk.length).fill(null))
    }
    assert.is(rows, golden[name]!.row!.length)
  })
}

test('what is nested is refused by what it is', async () => {
  const file = await openParquet(`${FOLDER}/kinds_none.parquet`)
  for (const [name, words] of [
    ['struct', 'a struct of one field, a'],
    ['deep', 'a list of lists'],
  ] as const) {
    try {
      await readColumns(file, [name])
      assert.unreachable()
    } catch (error) {
      assert.instance(error, DataError)
      assert.match((error as Error).message, `column ${name} is nested (${words}`)
    }
  }
})

test.run()
