import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { benchData, dataTable, INPUTS, writeClicks } from '../../bench/data.ts'
import { loadDataset } from '../../src/data/index.ts'

// An optional dependency: not every platform has it.
function duckDbIsThere(): boolean {
  try {
    createRequire(import.meta.url).resolve('@duckdb/node-api')
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    console.log('skip: bench data: @duckdb/node-api is not installed')
    return false
  }
}
const withDuckDb = duckDbIsThere() ? test : test.skip

withDuckDb(
  'the generated file is the same for a seed, another for another, and looks like clicks',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-'))
    const read = async (name: string, seed: number) => {
      await writeClicks(join(folder, name), 4000, seed)
      return { ...(await loadDataset(join(folder, name), { inputs: INPUTS })), files: [] }
    }
    try {
      const data = await read('a', 1)
      assert.equal(await read('b', 1), data)
      assert.not.equal((await read('c', 2)).ids.label, data.ids.label)
      const share = (values: ArrayLike<number>, of: number) =>
        Array.from(values).filter(value => value === of).length / values.length
      const { tokenized_title: title, tokenized_query: query } = data.lists
      assert.ok(Math.abs(title!.values.length / 4000 - 10) < 0.4)
      assert.ok(Math.abs(query!.values.length / 4000 - 3) < 0.2)
      assert.ok(Math.abs(share(title!.values, 148_597) - 0.1) < 0.01)
      assert.ok(Math.abs(share(data.ids.label!, 1) - 0.04) < 0.015)
      assert.ok(new Set(data.ids.user_id).size > 1000)
      assert.equal(Object.keys(data.ids), ['gender', 'age', 'advertiser_id', 'user_id', 'label'])
      assert.equal([...new Set(data.floats.depth)].sort(), [0, 0.5, 1])
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

withDuckDb('every figure is there, and rates follow from times', async () => {
  const result = await benchData({ rows: 2000 })
  for (const [name, value] of Object.entries(result))
    assert.ok(value > 0 && Number.isFinite(value), `${name} is ${value}`)
  assert.is(result.rows, 2000)
  assert.is(result.decodeRowsPerSecond, 2000 / result.decodeSeconds)
  assert.is(result.rowsPerSecond, 2000 / (result.decodeSeconds + result.collateSeconds))
  assert.match(dataTable(result), /decoding +[\d,]+ rows\/s/)
})

withDuckDb('bench data --json is one object', () => {
  const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url))
  const run = spawnSync(process.execPath, [main, 'data', '--rows', '500', '--json'], { encoding: 'utf8' })
  assert.is(run.stderr, '')
  assert.is(JSON.parse(run.stdout).rows, 500)
})

test.run()
