// What training beside a teacher asks of the models: logits, and the loss that follows from them, to the bit.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { noGrad, scope } from '../../src/autograd/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import type { AnyBatch } from '../../src/inputs.ts'
import { createModel, type Model } from '../../src/models/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const encoder = { vocab_size: 20, dim: 8, n_heads: 2, n_layers: 1, hidden_dim: 12, pad_token_id: 19 }
const features = { search: { dtype: 'token_id' }, title: { dtype: 'token_id' } }
const sides = { query: ['search'], ad: ['title'] }
const text = () =>
  collatePadded(
    {
      inputIds: [
        [1, 2, 3],
        [4, 19, 5],
      ],
    },
    { padTokenId: 19, vocabSize: 20 },
  ).text!
const MODELS: [architecture: string, more: object, width: number][] = [
  ['TextTabularModel', {}, 2],
  ['TextTabularModel', { num_labels: 3 }, 3],
  ['DistilBertForSequenceClassification', {}, 2],
  ['TwinModel', { sides }, 1],
  ['TwinModel', { sides, crossing: { type: 'residual' } }, 2],
  ['LateFusionModel', { sides }, 2],
]

for (const [architecture, more, width] of MODELS)
  test(`${architecture} with ${JSON.stringify(more)}`, async () => {
    const config = { architecture, features_config: features, pretrained_model_config: encoder, ...more }
    const model = createModel<Model>(config as never).to(gpu, { seed: 3 })
    model.eval()
    const [one, two] = [text(), text()]
    const given: AnyBatch = {
      size: 2,
      rows: [0, 1],
      text: one,
      query: one,
      ad: two,
      categorical: {},
      numerical: {},
    }
    const batch = { ...given, labels: Uint32Array.of(1, 0) }
    const [logits, loss, again] = await Promise.all(
      scope(() =>
        noGrad(() => {
          const logits = model.logits!(given)
          assert.equal(logits.shape, [2, width])
          return [logits.read(), model.loss(batch).read(), model.lossOf!(logits, batch).read()]
        }),
      ),
    )
    assert.ok(logits!.every(Number.isFinite))
    assert.equal(loss, again)
    assert.throws(
      () => scope(() => model.lossOf!(model.logits!(given), given)),
      new RegExp(`^${architecture}: the batch has no labels, expected a class per row$`),
    )
    model.free()
  })

test.after(() => gpu.close())
test.run()
