// Frozen parameters: chosen by name, without gradients, updates, decay or memory in the optimizer.
// Waits for CI: it trains in pairs

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { layerNorm, readParameter, scope, sum, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { FeatureBatch, ModelConfig } from '../../src/config/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { denseParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()
const PAD = 30

const config: ModelConfig = {
  features_config: {
    title: { dtype: 'token_id' },
    user: { dtype: 'categorical', vocab_size: 7, embedding_size: 3 },
  },
  mlp_config: [{ hidden_size: 6, normalization_function: 'LayerNorm', activation_function: 'ReLU' }],
  pretrained_model_config: {
    vocab_size: PAD + 1,
    dim: 14,
    n_heads: 2,
    n_layers: 2,
    hidden_dim: 20,
    max_position_embeddings: 9,
    pad_token_id: PAD,
    dropout: 0.1,
    attention_dropout: 0.1,
  },
}
const build = () => new TextTabularModel(config).to(gpu, { seed: 3 })

function batch(seed: number): FeatureBatch {
  const ids = seededInts(5 * 8, seed, PAD)
  return collatePadded(
    {
      inputIds: Array.from({ length: 5 }, (_, b) => Array.from(ids.subarray(8 * b, 8 * b + 3 + b))).map(
        row => [...row, ...Array<number>(8 - row.length).fill(PAD)],
      ),
      categorical: { user: seededInts(5, seed, 7) },
      labels: seededInts(5, seed + 1, 2),
    },
    { padTokenId: PAD },
  )
}

/** Launches of one forward and backward pass, and the gradients by name. */
async function gradients(model: TextTabularModel) {
  // Launches are counted once their kernels are compiled.
  scope(() => model.forward(batch(1)).loss!.backward())
  model.zeroGrad()
  model.rng.step = 0
  await gpu.done()
  const before = gpu.counts.launches
  scope(() => model.forward(batch(1)).loss!.backward())
  await gpu.done()
  const launches = gpu.counts.launches - before
  const grads = new Map<string, Float32Array>()
  for (const [name, parameter] of model.namedParameters())
    if (parameter.hasGrad) grads.set(name, await parameter.readGrad())
  model.zeroGrad()
  model.rng.step = 0
  return { launches, grads }
}

test('patterns choose parameters as a shell chooses files, and one that matches nothing names what is near', () => {
  const model = new TextTabularModel(config)
  assert.equal(model.freeze('bert.embeddings.*', 'head.bias'), [
    'bert.embeddings.word_embeddings.weight',
    'bert.embeddings.position_embeddings.weight',
    'bert.embeddings.LayerNorm.weight',
    'bert.embeddings.LayerNorm.bias',
    'head.bias',
  ])
  assert.is(model.freeze('*layer_norm*').length, 8)
  assert.is(model.unfreeze('*').length, [...model.parameters()].length)
  assert.throws(
    () => model.freeze('head.*', 'bert.embedding.*'),
    /^freeze: pattern 'bert\.embedding\.\*' matches no parameter; near it: bert\.embeddings\.\*, /,
  )
  assert.throws(() => model.freeze('*.q_lin.weight'), /q_lin\.weight and \S+k_lin\.weight lie side by side/)
  assert.ok(
    [...model.parameters()].every(({ requiresGrad }) => requiresGrad),
    'a refused call changes nothing',
  )
})

for (const [name, patterns] of Object.entries({
  'the whole encoder': ['bert.*'],
  'the lower layers': ['bert.embeddings.*', 'bert.transformer.layer.0.*'],
  'an upper layer, with trained ones below': ['bert.transformer.layer.1.*'],
  'every LayerNorm weight': ['*orm.weight', 'mlp.1.weight'],
  'every bias': ['*.bias'],
  'the word table alone': ['bert.embeddings.word_embeddings.weight'],
})) {
  test(`frozen: ${name}: the other gradients stay, to the bit, and the work shrinks`, async () => {
    const model = build()
    const all = await gradients(model)
    const frozen = new Set(model.freeze(...patterns))
    const some = await gradients(model)
    assert.equal(
      [...some.grads.keys()],
      [...all.grads.keys()].filter(key => !frozen.has(key)),
    )
    for (const [key, grad] of some.grads) assert.equal(grad, all.grads.get(key), key)
    assert.ok(some.launches <= all.launches, `${some.launches} launches of ${all.launches}`)
    if (patterns[0] === 'bert.*')
      assert.ok(some.launches < 0.6 * all.launches, `${some.launches} of ${all.launches}`)
    model.free()
  })
}

test('LayerNorm: weight and bias are frozen one by one, and their gradients add up', async () => {
  const [rows, H] = [5, 7]
  const [x, w, b] = [seeded(rows * H, 1), seeded(H, 2), seeded(H, 3)]
  const run = async (uses: [boolean, boolean][]) => {
    const [weight, bias] = [denseParameter(gpu, w, [H]), denseParameter(gpu, b, [H])]
    let dx: Float32Array | undefined
    for (const [trainWeight, trainBias] of uses) {
      weight.requiresGrad = trainWeight
      bias.requiresGrad = trainBias
      const input = tensor(gpu, x, [rows, H], { requiresGrad: true })
      scope(() => sum(square(layerNorm(input, weight, bias))).backward())
      dx = await input.grad!.read()
      input.dispose()
    }
    return { dw: await weight.readGrad(), db: await bias.readGrad(), dx: dx! }
  }
  const square = (y: Tensor) =>
    layerNorm(y, denseParameter(gpu, seeded(H, 4), [H]), denseParameter(gpu, w, [H]))
  const both = await run([[true, true]])
  const none = await run([[false, false]])
  assert.equal([none.dw, none.db], [new Float32Array(H), new Float32Array(H)])
  // Without sums over rows, another form of the kernel runs: equal but for the last bit.
  expectClose(none.dx, both.dx, 1e-6)
  const weightAlone = await run([[true, false]])
  assert.equal([weightAlone.dw, weightAlone.db], [both.dw, new Float32Array(H)])
  const biasFirst = await run([
    [false, true],
    [true, true],
  ])
  expectClose(biasFirst.dw, both.dw, 1e-6)
  expectClose(
    biasFirst.db,
    both.db.map(value => 2 * value),
    1e-6,
  )
})

test('frozen parameters are left as they are, decay included, and take no room in the optimizer', async () => {
  const wide: ModelConfig = {
    ...config,
    pretrained_model_config: { ...config.pretrained_model_config, dim: 128, hidden_dim: 256 },
  }
  const model = new TextTabularModel(wide).to(gpu, { seed: 3 })
  const bytesOf = (optimizer: AdamW, before: number) => {
    const bytes = gpu.memory.inUse - before
    optimizer.dispose()
    return bytes
  }
  const measure = () => {
    const before = gpu.memory.inUse
    return bytesOf(new AdamW(gpu, [{ params: model.parameters() }]), before)
  }
  const whole = measure()
  const frozen = model.freeze('bert.*')
  const small = measure()
  const trained = [...model.namedParameters()].filter(([name]) => !name.startsWith('bert.'))
  const values = trained.reduce((bytes, [, { size }]) => bytes + Math.ceil(size / 64) * 256, 0)
  // Two moments each, and the history that every optimizer has.
  const overhead = whole - small
  const encoder = frozen.reduce((sum, name) => sum + new Map(model.namedParameters()).get(name)!.size * 4, 0)
  assert.ok(overhead >= 2 * encoder, `${overhead} bytes saved, the encoder's moments are ${2 * encoder}`)
  assert.ok(small < 2 * values + 300_000, `${small} bytes for ${values} bytes of parameters`)

  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 1e-2, weightDecay: 0.5 })
  const start = new Map<string, Float32Array>()
  for (const [name, parameter] of model.namedParameters()) start.set(name, await readParameter(parameter))
  for (let step = 0; step < 3; step++) {
    scope(() => model.forward(batch(step)).loss!.backward())
    optimizer.step({ maxGradNorm: 1 })
    optimizer.zeroGrad()
  }
  optimizer.synchronize()
  for (const [name, parameter] of model.namedParameters()) {
    const same = (await readParameter(parameter)).every((value, i) => value === start.get(name)![i])
    assert.is(same, frozen.includes(name), name)
  }
  const word = model.bert.embeddings.word_embeddings.weight
  let refusal = ''
  await optimizer.readState(word).catch((error: Error) => (refusal = error.message))
  assert.match(refusal, /belongs to no group/)
  model.unfreeze('*')
  assert.throws(() => optimizer.step(), /was unfrozen that this optimizer left out/)
  optimizer.dispose()
  model.free()
})

test.after(() => gpu.close())
test.run()
