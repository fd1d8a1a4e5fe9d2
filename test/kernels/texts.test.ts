// The texts of kernels as a compiler gets them, of every family and of a whole training step. Nothing is compiled, so nothing runs.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FAMILIES } from '../../bench/rows/index.ts'
import { SIZES } from '../../bench/size.ts'
import { autocast, scope } from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { openRecordingGpu } from '../support/recording-gpu.ts'
import { smallModel } from '../support/small-model.ts'

const HALVES = /\b(un)?pack(2x16float|4)\b/
const FORMS = ['hardware', 'system', 'embedded']

/** The texts that `record` asks for, by kernel. */
async function textsOf(forms: string, record: (gpu: Gpu) => void): Promise<[name: string, text: string][]> {
  const { gpu, seen } = openRecordingGpu({ forms, subgroups: { least: 8, most: 8 } })
  record(gpu)
  await gpu.done()
  gpu.close()
  return seen.modules.map(({ label, code }) => [label, code])
}

const withHalves = (texts: [string, string][]) =>
  texts.flatMap(([name, text]) => (HALVES.test(text) ? [name] : []))

for (const forms of FORMS) {
  test(`only kernels over halves unpack them: rows of every family, forms of ${forms} adapters`, async () => {
    const rows = Object.entries(FAMILIES).flatMap(([family, rowsOf]) =>
      family === 'cast' ? [] : rowsOf(SIZES.quick),
    )
    const [halves, plain] = [true, false].map(want => rows.filter(({ name }) => / f16$/.test(name) === want))
    const texts = await textsOf(forms, gpu => {
      for (const row of plain!) row.setup(gpu).run()
    })
    assert.ok(texts.length > 80, `${texts.length} kernels`)
    assert.equal(withHalves(texts), [])
    const others = await textsOf(forms, gpu => {
      for (const row of halves!) row.setup(gpu).run()
    })
    assert.ok(withHalves(others).length > 1)
  })

  test(`only a step in f16 has halves, forms of ${forms} adapters`, async () => {
    const step = (dtype: 'f32' | 'f16') => (gpu: Gpu) => {
      const { model, batch } = smallModel(gpu)
      const optimizer = new AdamW(gpu, [{ params: model.parameters() }])
      scope(() => autocast(dtype, () => model.forward(batch)).loss!.backward())
      optimizer.step({ maxGradNorm: 1 })
    }
    const [plain, halves] = [await textsOf(forms, step('f32')), await textsOf(forms, step('f16'))]
    assert.ok(plain.length > 30, `${plain.length} kernels`)
    assert.equal(withHalves(plain), [])
    assert.ok(withHalves(halves).length > 10)
  })
}

test.run()
