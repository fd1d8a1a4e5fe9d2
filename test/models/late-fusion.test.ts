// CTR-BERT's student against frozen values; vectors that are kept stay right while the rest is trained on.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import { checkSidedCase } from '../../bench/parity/sided-case.ts'
import { concat, noGrad, scope, takeRows } from '../../src/autograd/index.ts'
import { readRows } from '../../src/cli/inputs.ts'
import { parseTrainerConfig, type StageConfig } from '../../src/config/index.ts'
import { collate } from '../../src/data/index.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import type { BatchOf } from '../../src/inputs.ts'
import {
  isTwoSided,
  type LateFusionConfig,
  type LateFusionInputs,
  LateFusionModel,
} from '../../src/models/index.ts'
import { towerFingerprint } from '../../src/serve/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { loadModel, predict, saveModel, Trainer } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { bitsOf } from '../support/small-run.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-late-fusion-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

const data = await writeSyntheticKdd({
  folder,
  trainRows: 60,
  testRows: 20,
  vocabSize: 50,
  users: 30,
  seed: 2,
})
const CONFIG: LateFusionConfig = {
  features_config: data.features_config,
  sides: { query: ['tokenized_query'], ad: ['tokenized_title'] },
  mlp_config: [
    { hidden_size: 9, activation_function: 'ReLU', normalization_function: 'LayerNorm', dropout_p: 0.1 },
  ],
  pretrained_model_config: {
    vocab_size: data.vocabSize,
    pad_token_id: data.padTokenId,
    dim: 12,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 20,
    max_position_embeddings: 32,
    dropout: 0.1,
  },
}
const settings = parseTrainerConfig({}, 'the test')
const rows = await readRows([data.train], new LateFusionModel(CONFIG) as never, settings)

test('it equals frozen values: forward, gradients, ten steps with a teacher, and the teacher’s own logits', async () => {
  const path = 'test/golden/distill/student'
  const findings = await checkSidedCase(gpu, path, JSON.parse(readFileSync(`${path}/case.json`, 'utf8')))
  assert.is(findings.length, 6)
  assert.ok(findings.every(passes), findingsTable(findings))
})

for (const tied of [true, false]) {
  test(`${tied ? 'one encoder' : 'two encoders'}: logits of kept vectors are those of the texts; one query goes against many ads`, async () => {
    const model = new LateFusionModel({ ...CONFIG, tied }).to(gpu, { seed: 4 }).eval()
    assert.ok(isTwoSided(model) && !model.bytes && model.vectorSize === 12)
    const names = [...new Set([...model.namedParameters()].map(([name]) => name.split('.')[0]))]
    const towers = tied ? ['bert'] : ['query_bert', 'ad_bert']
    assert.equal(names, [...towers, 'categorical_embeddings', 'mlp', 'head'])
    assert.equal(Object.keys(model.encoders()), towers)
    assert.equal([...new Set(model.tower('ad').map(([name]) => name.split('.')[0]))], [towers.at(-1)])
    const batch = collate(rows, [3, 1, 8, 12, 40], model.inputs) as BatchOf<LateFusionInputs>
    const got = scope(() =>
      noGrad(() => {
        const { query, ad, mlpInput, logits } = model.parts(batch)
        const first = takeRows(query, [0])
        const repeated = takeRows(query, [0, 0, 0, 0, 0])
        return {
          input: mlpInput.read(),
          vectors: concat([query, ad]).read(),
          logits: logits.read(),
          crossed: model
            .cross(model.encode('query', batch.query), model.encode('ad', batch.ad), batch)
            .read(),
          grid: model.cross(first, ad, batch).read(),
          pairs: model.cross(repeated, ad, batch).read(),
        }
      }),
    )
    assert.equal(await got.crossed, await got.logits)
    assert.equal(await got.grid, await got.pairs)
    // [q, d, q * d, …]
    const [input, vectors] = [await got.input, await got.vectors]
    const width = input.length / 5
    for (let b = 0; b < 5; b++) {
      const [q, d] = [vectors.subarray(24 * b, 24 * b + 12), vectors.subarray(24 * b + 12, 24 * b + 24)]
      expectClose(
        input.subarray(width * b, width * b + 36),
        [...q, ...d, ...q.map((x, i) => x * d[i]!)],
        1e-6,
      )
      assert.is(input[width * (b + 1) - 1], batch.numerical.depth![b])
    }
    assert.throws(() => model.cross(null as never, null as never), /LateFusionModel\.cross/)
    const vector = scope(() => takeRows(model.encode('ad', batch.ad), [0, 1]))
    assert.throws(() => model.cross(vector, vector), /no column 'gender'/)
    assert.throws(() => model.cross(vector, vector, batch), /'gender' has 5 ids, expected 2/)
    vector.dispose()
    model.free()
  })

  test(`${tied ? 'one encoder' : 'two encoders'}: a stage that freezes them leaves every bit of what vectors follow from`, async () => {
    const run = async (...stages: StageConfig[]) => {
      const model = new LateFusionModel({ ...CONFIG, tied }).to(gpu, { seed: 4 })
      const config = parseTrainerConfig(
        {
          per_device_train_batch_size: 12,
          max_steps: 2,
          eval_steps: null,
          save_steps: null,
          load_best_model_at_end: false,
          seed: 1,
          stages,
        },
        'the test',
      )
      await new Trainer({ model, config, train: rows }).train()
      return model
    }
    const taught = await run({ learning_rate: 1e-2, encoder_learning_rate: 1e-2 })
    const daily = await run(
      { learning_rate: 1e-2, encoder_learning_rate: 1e-2 },
      { learning_rate: 2e-2, freeze: ['*bert.*'] },
    )
    const [before, after] = [await bitsOf(taught), await bitsOf(daily)]
    const start = new LateFusionModel({ ...CONFIG, tied }).to(gpu, { seed: 4 })
    const fresh = await bitsOf(start)
    start.free()
    const ofTowers = new Set([...daily.tower('query'), ...daily.tower('ad')].map(([name]) => name))
    for (const [name, bits] of Object.entries(after)) {
      if (ofTowers.has(name)) assert.is(bits, before[name], name)
      else assert.is.not(bits, before[name], name)
    }
    assert.is(Object.keys(after).filter(name => name.includes('bert.')).length, ofTowers.size)
    assert.ok([...ofTowers].filter(name => before[name] !== fresh[name]).length > ofTowers.size / 2)
    // Vectors kept from before the second stage are those of the model after it, and a cache of them is known as its own.
    for (const side of ['query', 'ad'] as const)
      assert.is(await towerFingerprint(daily, side), await towerFingerprint(taught, side), side)
    const batch = collate(rows, [5, 6, 7], daily.inputs) as BatchOf<LateFusionInputs>
    const vectors = (model: LateFusionModel) =>
      scope(() => noGrad(() => model.eval().encode('ad', batch.ad).read()))
    assert.equal(await vectors(daily), await vectors(taught))
    taught.free()
    daily.free()
  })
}

test('it is saved, loaded and predicts the same', async () => {
  const model = new LateFusionModel({ ...CONFIG, tied: false }).to(gpu, { seed: 9 })
  await saveModel(model, join(folder, 'saved'))
  const loaded = await loadModel(gpu, join(folder, 'saved'))
  assert.instance(loaded, LateFusionModel)
  const [own, other] = [await predict(model, rows), await predict(loaded, rows)]
  assert.equal(own, other)
  model.free()
  loaded.free()
})

test.run()
