// From a table of one's own to raw rows scored: what prepare learned is applied to them, with the bits of kernelgrad predict on the raw file.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readColumns } from '../../src/data/index.ts'
import { RowError } from '../../src/errors.ts'
import { Scorer } from '../../src/serve/index.ts'
import { kernelgrad } from '../cli/capture.ts'
import { clickRows, csvOf } from '../prepare/tables.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-raw-rows-'))
test.after(() => rmSync(root, { recursive: true }))
const at = (name: string) => join(root, name)

async function done(...args: string[]): Promise<void> {
  const told = await kernelgrad(...args)
  assert.is(told.code, 0, told.err)
}

test('raw rows one by one have the bits of predict on their file', async () => {
  const rows = clickRows(120, 4).map(({ age, ...row }) => ({ ...row, "client's age": age }))
  writeFileSync(at('clicks.csv'), csvOf(rows))
  await done('prepare', at('clicks.csv'), '--label', 'clicked', '--out', at('prepared'))
  const config = JSON.parse(readFileSync(join(at('prepared'), 'model.json'), 'utf8'))
  config.trainer = { ...config.trainer, max_steps: 1 }
  writeFileSync(at('model.json'), JSON.stringify(config))
  await done('train', at('prepared'), '--config', at('model.json'), '--out', at('run'))
  await done('predict', '--model', at('run'), '--data', at('clicks.csv'), '--out', at('p.parquet'))
  const expected = (await readColumns(at('p.parquet'), ['probability'])).probability as number[]
  const scorer = await Scorer.open(at('run'))
  const asked = rows.slice(0, 20).map(({ clicked: _, ...row }) => row)
  const calls = await Promise.all(asked.map(row => scorer.predictRows([row])))
  assert.equal(
    calls.map(([scores]) => scores!.probability),
    expected.slice(0, 20),
  )
  assert.is((await scorer.predictRows([scorer.example])).length, 1)
  for (const [bad, field] of [
    [{ ...asked[1], price: 'cheap' }, 'price'],
    [{ ...asked[1], city: { name: 'Paris' } }, 'city'],
    [{ ...asked[1], "client's age": 'old' }, "client's age"],
    [{ ...asked[1], city: 2 ** 60 }, 'city'],
    [{ sity: 'Paris' }, 'sity'],
    [{}, undefined],
  ] as const) {
    const error = await scorer.predictRows([asked[0]!, bad]).catch(error => error)
    assert.instance(error, RowError)
    assert.is(error.row, 1)
    assert.is(error.field, field, error.message)
    assert.match(error.message, /^predictRows: row 1/)
  }
  await scorer.close()
  // A checkpoint of the run goes by what the run keeps.
  const checkpoint = join(at('run'), 'checkpoint-1')
  const last = await Scorer.open(checkpoint)
  assert.equal(await last.predictRows(asked), calls.flat())
  await last.close()
  await done('predict', '--model', checkpoint, '--data', at('clicks.csv'), '--out', at('q.parquet'))
  assert.equal((await readColumns(at('q.parquet'), ['probability'])).probability, expected)
})

test.run()
