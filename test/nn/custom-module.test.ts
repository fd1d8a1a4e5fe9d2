// Modules of one's own: parameters by name, training and evaluation mode, values moved between models by name.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  add,
  crossEntropy,
  DenseParameter,
  linear,
  scope,
  type Tensor,
  tensor,
} from '../../src/autograd/index.ts'
import { parseSafetensors, serializeSafetensors } from '../../src/data/index.ts'
import { CheckpointError } from '../../src/errors.ts'
import { Dropout, Embedding, LayerNorm, Linear, Module, ModuleList } from '../../src/nn/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { ids, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

class Residual extends Module {
  readonly norm = new LayerNorm(6)
  readonly out = new Linear(6, 6)
  readonly dropout = new Dropout(0.5)

  forward(x: Tensor): Tensor {
    return add(x, this.dropout.forward(this.out.forward(this.norm.forward(x))))
  }
}

/** A module with a parameter of its own, a table, blocks in a list, and a table used twice. */
class Tagger extends Module {
  readonly words = new Embedding(11, 6)
  readonly same = this.words
  readonly blocks = new ModuleList([new Residual(), new Residual()])
  readonly scores = new DenseParameter([3, 6], { kind: 'uniform', bound: 0.4 })

  forward(ids: Uint32Array): Tensor {
    let x = this.words.forward(ids)
    for (const block of this.blocks) x = block.forward(x)
    return linear(x, this.scores)
  }
}

const block = (i: number) => [
  `blocks.${i}.norm.weight`,
  `blocks.${i}.norm.bias`,
  `blocks.${i}.out.weight`,
  `blocks.${i}.out.bias`,
]
const NAMES = ['scores', 'words.weight', ...block(0), ...block(1)]

test('parameters have PyTorch’s names, a shared one once', () => {
  const model = new Tagger()
  assert.equal(
    [...model.namedParameters()].map(([name]) => name),
    NAMES,
  )
  assert.is(model.numParameters(), 18 + 66 + 2 * (6 + 6 + 36 + 6))
})

test('it trains; evaluation mode turns dropout off below it, whatever depth', async () => {
  const model = new Tagger().to(gpu, { seed: 2 })
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 2e-2 })
  const [words, labels] = [ids(64, 1, 10), Uint32Array.from(ids(64, 1, 10), id => id % 3)]
  const losses: Promise<number>[] = []
  for (let step = 0; step < 40; step++) {
    scope(() => {
      const loss = crossEntropy(model.forward(words), tensor(gpu, labels))
      losses.push(loss.item())
      loss.backward()
    })
    optimizer.step()
    optimizer.zeroGrad()
  }
  const values = await Promise.all(losses)
  assert.ok(values[0]! > 0.9 && values.at(-1)! < 0.4, `${values[0]} to ${values.at(-1)}`)
  const twice = () => Promise.all([0, 1].map(() => scope(() => model.forward(words)).read()))
  const [a, b] = await twice()
  assert.not.equal(a, b)
  model.eval()
  assert.ok([...model.namedModules()].every(([, module]) => !module.training))
  const [c, d] = await twice()
  assert.equal(c, d)
  model.train()
  assert.ok([...model.namedModules()].every(([, module]) => module.training))
  optimizer.dispose()
  model.free()
})

test('a state dict moves values from model to model, also through safetensors', async () => {
  const [first, second] = [new Tagger().to(gpu, { seed: 1 }), new Tagger().to(gpu, { seed: 2 })]
  const state = await first.stateDict()
  assert.equal([...state.keys()], NAMES)
  assert.equal(state.get('scores')!.shape, [3, 6])
  assert.not.equal(await second.stateDict(), state)
  assert.equal(second.loadStateDict(state), { missingKeys: [], unexpectedKeys: [] })
  assert.equal(await second.stateDict(), state)
  const bytes = serializeSafetensors(
    [...state].map(([name, { shape, data }]) => ({ name, shape: [...shape], data })),
  )
  const third = new Tagger().to(gpu, { seed: 3 })
  third.loadStateDict(parseSafetensors(bytes, 'memory').tensors)
  assert.equal(await third.stateDict(), state)
  for (const model of [first, second, third]) model.free()
})

test('what does not fit is named, and nothing is set', async () => {
  const model = new Tagger().to(gpu, { seed: 1 })
  const before = await model.stateDict()
  const state = new Map(before)
  state.delete('scores')
  state.set('head.weight', { shape: [1], data: Float32Array.of(1) })
  state.set('words.weight', { shape: [11, 6], data: uniform(66, 9) })
  const thrown = (body: () => unknown): Error => {
    try {
      body()
    } catch (error) {
      return error as Error
    }
    throw new Error('nothing was thrown')
  }
  const error = thrown(() => model.loadStateDict(state))
  assert.instance(error, CheckpointError)
  assert.is(
    error.message,
    'the state dict has no values for scores; values for head.weight, which the module has not',
  )
  const wrong = new Map([...state, ['blocks.1.out.bias', { shape: [5], data: uniform(5, 1) }] as const])
  assert.match(
    thrown(() => model.loadStateDict(wrong, { strict: false })).message,
    /^the state dict's 'blocks\.1\.out\.bias' has shape \[5\], expected \[6\]$/,
  )
  const short = new Map([['scores', { shape: [3, 6], data: uniform(17, 1) }]])
  assert.match(
    thrown(() => model.loadStateDict(short, { strict: false })).message,
    /'scores' has 17 numbers, expected 18 floating-point numbers/,
  )
  assert.equal(await model.stateDict(), before)
  assert.equal(model.loadStateDict(state, { strict: false }), {
    missingKeys: ['scores'],
    unexpectedKeys: ['head.weight'],
  })
  const after = await model.stateDict()
  assert.equal(after.get('words.weight')!.data, uniform(66, 9))
  assert.equal(after.get('scores'), before.get('scores'))
  model.free()
})

test.after(() => gpu.close())
test.run()
