// Learning rates by hand, and two-stage training against PyTorch.

import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CaseConfig, frozenBatch, modelConfig, readTensors } from '../../bench/parity/frozen.ts'
import { type Parameter, readParameter, scope } from '../../src/autograd/index.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { loadWeights, parameterGroups } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const tiny: { config: CaseConfig } = JSON.parse(readFileSync('test/golden/tiny/case.json', 'utf8'))
const made = modelConfig(tiny.config, 'TextTabularModel')
const rates = { learning_rate: 8e-3, encoder_learning_rate: 1e-3 }

/** Rate and decay of each trained parameter by name; a decay of undefined is the optimizer's. */
function table(model: TextTabularModel, groups: ReturnType<typeof parameterGroups>) {
  const of = new Map<Parameter, [number, number | undefined]>()
  for (const { params, lr, weightDecay } of groups)
    for (const parameter of params) of.set(parameter, [lr, weightDecay])
  return new Map([...model.namedParameters()].map(([name, parameter]) => [name, of.get(parameter)]))
}

test('without more settings there are two groups, the encoder’s first', () => {
  const model = new TextTabularModel(made)
  const groups = parameterGroups(model, rates)
  assert.equal(
    groups.map(({ params, lr, weightDecay }) => [params.length, lr, weightDecay]),
    [
      [36, 1e-3, undefined],
      [13, 8e-3, undefined],
    ],
  )
})

test('layers learn slower the deeper they lie, and chosen parameters do not decay', () => {
  const model = new TextTabularModel(made)
  const groups = parameterGroups(model, {
    ...rates,
    layer_decay: 0.5,
    no_decay: ['*.bias', '*LayerNorm*', 'categorical_embeddings.*'],
    freeze: ['bert.embeddings.position_embeddings.weight', 'head.bias'],
  })
  const got = table(model, groups)
  // Two layers: the upper one at half of the encoder's rate, the lower at a quarter, embeddings at an eighth.
  const expected: [string, [number, number | undefined] | undefined][] = [
    ['bert.embeddings.word_embeddings.weight', [1.25e-4, undefined]],
    ['bert.embeddings.position_embeddings.weight', undefined],
    ['bert.embeddings.LayerNorm.weight', [1.25e-4, 0]],
    ['bert.transformer.layer.0.attention.q_lin.weight', [2.5e-4, undefined]],
    ['bert.transformer.layer.0.attention.q_lin.bias', [2.5e-4, 0]],
    ['bert.transformer.layer.0.sa_layer_norm.weight', [2.5e-4, 0]],
    ['bert.transformer.layer.1.ffn.lin2.weight', [5e-4, undefined]],
    ['bert.transformer.layer.1.ffn.lin2.bias', [5e-4, 0]],
    ['categorical_embeddings.gender_embedding.weight', [8e-3, 0]],
    ['mlp.0.weight', [8e-3, undefined]],
    ['mlp.1.weight', [8e-3, 0]],
    ['head.weight', [8e-3, undefined]],
    ['head.bias', undefined],
  ]
  for (const [name, wanted] of expected) assert.equal(got.get(name), wanted, name)
  assert.is(groups.length, 8, 'three encoder rates and one other, each with and without decay')
  parameterGroups(model, rates)
  assert.not(model.head.bias.requiresGrad, 'without the setting the model stays as it is')
  parameterGroups(model, { ...rates, freeze: [] })
  assert.ok(model.head.bias.requiresGrad)
})

test('what cannot be meant is refused', () => {
  const model = new TextTabularModel(made)
  assert.throws(() => parameterGroups(model, { ...rates, freeze: ['*'] }), /nothing is left to train/)
  assert.throws(
    () => parameterGroups(model, { ...rates, freeze: ['brt.*'] }),
    /^freeze: pattern 'brt\.\*' .* bert\.\*/,
  )
  assert.throws(
    () => parameterGroups(model, { ...rates, freeze: [], no_decay: ['*.biass'] }),
    /^no_decay: pattern/,
  )
})

test('two stages, frozen then free, with layer-wise rates: losses and weights as PyTorch’s', async () => {
  const frozen = JSON.parse(readFileSync('test/golden/transfer/case.json', 'utf8'))
  const [start, batches] = [
    await readTensors('test/golden/tiny/weights.safetensors'),
    await readTensors('test/golden/tiny/batches.safetensors'),
  ]
  const model = new TextTabularModel(made).to(gpu)
  await loadWeights(model, 'test/golden/tiny/weights.safetensors')
  let at = 0
  for (const [number, stage] of frozen.stages.entries()) {
    const groups = parameterGroups(model, { ...frozen, freeze: stage.freeze, layer_decay: stage.layer_decay })
    for (const [name, own] of table(model, groups)) {
      const wanted: [number, number] | undefined = stage.rates[name]
      assert.is(own !== undefined, wanted !== undefined, name)
      if (!own || !wanted) continue
      assert.ok(Math.abs(own[0] / wanted[0] - 1) < 1e-12, `${name}: rate ${own[0]}, PyTorch's ${wanted[0]}`)
      assert.is(own[1] ?? frozen.weight_decay, wanted[1], name)
    }
    const optimizer = new AdamW(gpu, groups, { weightDecay: frozen.weight_decay })
    for (const expected of stage.losses) {
      let loss = 0
      for (let micro = 0; micro < frozen.accumulate; micro++) {
        const value = scope(() => {
          const result = model.forward(frozenBatch(batches, at++, tiny.config, false)).loss!
          result.backward({ scale: 1 / frozen.accumulate })
          return result.item()
        })
        loss += (await value) / frozen.accumulate
      }
      optimizer.step({ maxGradNorm: frozen.max_grad_norm })
      optimizer.zeroGrad()
      assert.ok(Math.abs(loss / expected - 1) < 1e-4, `loss ${loss}, PyTorch's ${expected}`)
    }
    optimizer.synchronize()
    const final = await readTensors(`test/golden/transfer/stage${number}.safetensors`)
    for (const [name, parameter] of model.namedParameters()) {
      const values = await readParameter(parameter)
      const before = start.get(name)!.data
      const wanted = final.get(name)?.data
      if (!wanted) assert.equal(values, Float32Array.from(before), `${name} is frozen`)
      else if (!name.endsWith('k_lin.bias')) assertDrift(name, values, before, wanted)
    }
    optimizer.dispose()
  }
  model.free()
})

/** Root mean square error over the root mean square movement. */
function assertDrift(
  name: string,
  got: Float32Array,
  start: ArrayLike<number>,
  wanted: ArrayLike<number>,
): void {
  let [error, movement] = [0, 0]
  for (const [i, value] of got.entries()) {
    error += (value - wanted[i]!) ** 2
    movement += (wanted[i]! - start[i]!) ** 2
  }
  const drift = Math.sqrt(error / movement)
  assert.ok(drift < 5e-3, `${name}: error ${drift} of the movement`)
}

test.after(() => gpu.close())
test.run()
