// Vectors from the command line: embed, and predict with what it wrote.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readColumns } from '../../src/data/index.ts'
import { readVectors } from '../../src/serve/index.ts'
import { saveModel } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { twin, writeAds, writeClicks } from '../support/two-sided.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-embed-'))
test.after(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const ads = await writeAds(folder, 'ads', 30, 1)
const clicks = await writeClicks(folder, ads, 20, 2)
const gpu = await openTestGpu()
await saveModel(twin(gpu), at('twin'))
await saveModel(twin(gpu, { seed: 2 }), at('other'))
await saveModel(twin(gpu, { downscale: null }), at('plain'))
gpu.close()

const embed = (...more: string[]) =>
  kernelgrad('embed', '--side', 'ad', '--data', ads.path, '--out', at('v.parquet'), ...more)

test('embed writes vectors that predict takes by id; those of other weights are refused', async () => {
  const told = await embed('--model', at('twin'), '--id', 'ad_id', '--json')
  assert.is(told.code, 0, told.err)
  assert.equal(JSON.parse(told.out), {
    out: at('v.parquet'),
    side: 'ad',
    rows: 30,
    size: 10,
    storage: 'float32',
  })
  assert.equal((await readVectors(at('v.parquet'))).ids, ads.ids)
  const predict = (model: string, out: string, ...more: string[]) =>
    kernelgrad('predict', '--model', at(model), '--data', clicks.path, '--out', at(out), ...more)
  for (const one of [
    await predict('twin', 'whole.parquet'),
    await predict('twin', 'kept.parquet', '--vectors', at('v.parquet')),
  ])
    assert.is(one.code, 0, one.err)
  const [whole, kept] = await Promise.all(
    ['whole', 'kept'].map(
      async name => (await readColumns(at(`${name}.parquet`), ['probability'])).probability as number[],
    ),
  )
  assert.is(kept!.length, 20)
  assert.ok(kept!.every((p, i) => Math.abs(p - whole![i]!) < 2e-6))
  for (const columns of ['logits', 'probability,logits', 'features,probability']) {
    const both = await predict('twin', 'none.parquet', '--vectors', at('v.parquet'), '--columns', columns)
    assert.is(both.code, 2)
    assert.match(both.err, /--columns (logits|features) and --vectors: expected one of them/)
    assert.not(existsSync(at('none.parquet')))
  }
  const other = await predict('other', 'none.parquet', '--vectors', at('v.parquet'))
  assert.is(other.code, 1)
  assert.match(other.err, /the vectors are of other weights/)
  assert.not(existsSync(at('none.parquet')))
})

test('bytes of vectors that no tanh ends, and a side that is none, are one error', async () => {
  const bytes = await embed('--model', at('plain'), '--storage', 'bytes', '--out', at('b.parquet'))
  assert.is(bytes.code, 1)
  assert.match(bytes.err, /storage is 'bytes', which holds numbers in \[-1, 1\]/)
  assert.not(existsSync(at('b.parquet')))
  assert.is((await embed('--model', at('twin'), '--side', 'left')).code, 2)
})

test.run()
