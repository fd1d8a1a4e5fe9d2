import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter } from '../../src/autograd/index.ts'
import { demoModels } from '../../src/cli/demo-models.ts'
import { readRows } from '../../src/cli/inputs.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { createModel } from '../../src/models/index.ts'
import { tune } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'

test('tuning for a model covers its products and leaves it as it was', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-tune-'))
  const data = await writeSyntheticKdd({ folder, trainRows: 40, testRows: 1, seed: 1 })
  const sizes = {
    features_config: data.features_config,
    vocab_size: data.vocabSize,
    pad_token_id: data.padTokenId,
    num_labels: data.numLabels,
  }
  const { trainer, ...given } = demoModels(sizes, { seed: 1 }).text_only
  const small = { dim: 8, n_heads: 2, n_layers: 1, hidden_dim: 12 }
  const config = { ...given, pretrained_model_config: { ...given.pretrained_model_config, ...small } }
  const rows = await readRows([data.train], createModel(config), trainer)
  const gpu = await openTestGpu()
  const model = createModel(config).to(gpu, { seed: 2 })
  const weights = () => Promise.all([...model.parameters()].map(readParameter))
  const [before, { step }] = [await weights(), model.rng]
  const { tuned } = await tune(model, rows, { batchSize: 8 })
  for (const layout of ['NN', 'NT', 'TN'])
    assert.ok(
      tuned.some(({ shapeClass }) => shapeClass.includes(layout)),
      layout,
    )
  assert.equal(await weights(), before)
  assert.is(model.rng.step, step)
  for (const parameter of model.parameters()) assert.not(parameter.hasGrad)
  model.free()
  gpu.close()
  rmSync(folder, { recursive: true })
})

test.run()
