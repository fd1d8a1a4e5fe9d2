// The loss of a batch is the mean of its parts' losses by what each is a mean over: so that ranks which share a batch learn from the whole.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { noGrad } from '../../src/autograd/index.ts'
import { collate } from '../../src/data/collate.ts'
import type { Dataset } from '../../src/data/index.ts'
import { randomStream } from '../../src/data/index.ts'
import { createModel, type Model, parseConfiguration } from '../../src/models/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const random = randomStream(7, 0)

/** Lists of 1 to 5 documents, some without a click. */
const sizes = Array.from({ length: 13 }, () => 1 + random.below(5))
const length = sizes.reduce((sum, n) => sum + n, 0)
const drawn = (below: number) => Uint32Array.from({ length }, () => random.below(below))
const data = {
  length,
  rowStart: 0,
  files: [],
  lists: {},
  ids: {
    list: Uint32Array.from(sizes.flatMap((n, list) => Array(n).fill(list))),
    position: Uint32Array.from(sizes.flatMap(n => Array.from({ length: n }, (_, i) => i))),
    city: drawn(6),
    label: drawn(3),
  },
  floats: {
    label: Float32Array.from(drawn(2)),
    weight: Float32Array.from({ length }, () => random.below(4) / 2),
  },
} as unknown as Dataset
const features_config = { city: { dtype: 'categorical', vocab_size: 6, embedding_size: 4 } }

async function assertParts(json: object, cuts: readonly number[]) {
  const config = parseConfiguration(json, 'the test')
  const model: Model = createModel(config)
  const ends = [...cuts, length]
  const parts = ends.map((end, i) =>
    Array.from({ length: end - (ends[i - 1] ?? 0) }, (_, k) => (ends[i - 1] ?? 0) + k),
  )
  const batchOf = (rows: number[]) => collate(data, rows, model.inputs)
  // A model of its own for each: some losses move what they keep.
  const lossOf = async (rows: number[]) => {
    const one: Model = createModel(config).to(gpu, { seed: 3 })
    const [loss] = await noGrad(() => one.loss(batchOf(rows))).read()
    one.free()
    return loss!
  }
  const counts = parts.map(rows => model.lossCount?.(batchOf(rows)) ?? rows.length)
  const whole = await lossOf(parts.flat())
  const all = counts.reduce((sum: number, count) => sum + Number(count), 0)
  let sum = 0
  for (const [i, rows] of parts.entries()) {
    const share = counts[i] === 'sum' ? 1 : Number(counts[i]) / all
    if (share) sum += share * (await lossOf(rows))
  }
  assert.ok(whole > 0)
  assert.ok(Math.abs(sum - whole) <= 2e-6 * whole, `${sum} of the parts, ${whole} of the whole`)
}

const at = (lists: number) => sizes.slice(0, lists).reduce((sum, n) => sum + n, 0)
const position = { column: 'position', rows: 5 }
const propensities = [1, 0.7, 0.5, 0.4, 0.3]
for (const loss of [
  ...['pointwise', 'pointwise_lists', 'pairwise', 'lambdarank', 'listwise', 'listwise_normed', 'listnet'],
  ...['two_tower', 'pbm', 'dla', 'regression_em', 'pair_debias'],
  { name: 'ips_pointwise', propensities },
  { name: 'ips_listwise', propensities },
])
  test(`a ranker’s ${typeof loss === 'string' ? loss : loss.name}`, async () => {
    const clicked = /^(ips|two|pbm|dla|reg|pair_)/.test(typeof loss === 'string' ? loss : loss.name)
    const json = { architecture: 'TabularRanker', features_config, mlp_config: null, lists: ['list'], loss }
    await assertParts(clicked ? { ...json, position } : json, [at(2), at(9)])
  })

for (const label of [
  {},
  { class_weights: [0.5, 2, 3] },
  { weight_column: 'weight' },
  { class_weights: [1, 0, 4], weight_column: 'weight', label_smoothing_factor: 0.1 },
])
  test(`classes with ${JSON.stringify(label)}`, async () => {
    const json = { architecture: 'TabularModel', features_config, mlp_config: null, num_labels: 3, ...label }
    await assertParts(json, [5, 21])
  })

test.run()
