// Fused paths against unfused twins past the first optimizer step, packed rows against padded ones, dropout, and leaks.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  add,
  attention,
  concat,
  crossEntropy,
  embedding,
  gelu,
  linear,
  meanPool,
  noGrad,
  type Parameter,
  readParameter,
  scope,
  type Tensor,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import type { FeatureBatch, ModelConfig } from '../../src/config/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { groupIds } from '../../src/ids.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import type { DistilBertModel, Layer, Module } from '../../src/nn/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { generator, openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()
const PAD = 40

function config(dropout: number, activation = 'GELU'): ModelConfig {
  return {
    features_config: {
      title: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
      user: { dtype: 'categorical', vocab_size: 9, embedding_size: 3 },
    },
    mlp_config: [
      {
        hidden_size: 10,
        dropout_p: dropout,
        activation_function: activation,
        normalization_function: 'LayerNorm',
      },
    ],
    num_labels: 3,
    pretrained_model_config: {
      vocab_size: PAD + 1,
      dim: 15,
      n_heads: 3,
      n_layers: 2,
      hidden_dim: 22,
      max_position_embeddings: 12,
      pad_token_id: PAD,
      dropout,
      attention_dropout: dropout,
    },
  }
}

/** Rows of 0 to 9 tokens with masked holes. */
function batch(seed: number, size = 6): FeatureBatch {
  const next = generator(seed)
  const S = 9
  const inputIds = Array.from({ length: size }, (_, b) => {
    const length = b === 2 ? 0 : 1 + Math.floor(next() * S)
    return Array.from({ length: S }, (_, s) => (s < length && next() > 0.2 ? Math.floor(next() * PAD) : PAD))
  })
  return collatePadded(
    {
      inputIds,
      categorical: { user: seededInts(size, seed, 9) },
      numerical: { depth: Float32Array.from({ length: size }, next) },
      labels: seededInts(size, seed + 1, 3),
    },
    { padTokenId: PAD },
  )
}

function train(model: Module, loss: (batch: FeatureBatch) => Tensor, steps: number): Promise<Float32Array[]> {
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 1e-2 })
  for (let step = 0; step < steps; step++) {
    scope(() => loss(batch(100 + step)).backward())
    optimizer.step({ maxGradNorm: 1 })
    optimizer.zeroGrad()
  }
  optimizer.synchronize()
  const values = Promise.all([...model.parameters()].map(readParameter))
  return values.finally(() => optimizer.dispose())
}

for (const [activation, dropoutP] of [
  ['GELU', 0],
  ['ReLU', 0],
  ['ReLU', 0.2],
] as const) {
  test(`the model trains like its unfused twin: MLP with ${activation}, dropout ${dropoutP}`, async () => {
    const model = new TextTabularModel(config(dropoutP, activation)).to(gpu, { seed: 1 })
    const twin = new TextTabularModel(config(dropoutP, activation)).to(gpu, { seed: 1 })
    const start = await Promise.all([...model.parameters()].map(readParameter))
    const fused = await train(model, b => model.forward(b).loss!, 4)
    const unfused = await train(twin, b => unfusedLoss(twin, b), 4)
    const names = [...model.namedParameters()].map(([name]) => name)
    for (const [i, name] of names.entries()) {
      if (name.endsWith('k_lin.bias')) continue // its true gradient is zero
      const moved = Math.max(...fused[i]!.map((v, j) => Math.abs(v - start[i]![j]!)))
      assert.ok(moved > 1e-4, `${name} moved`)
      expectClose(
        unfused[i]!.map((v, j) => v - start[i]![j]!),
        fused[i]!.map((v, j) => v - start[i]![j]!),
        2e-3,
        { label: name },
      )
    }
    model.free()
    twin.free()
  })
}

/** The same function from the smallest operations, its dropout masks drawn in the model's order. */
function unfusedLoss(model: TextTabularModel, input: FeatureBatch): Tensor {
  const { text } = input
  const { embeddings, transformer } = model.bert as DistilBertModel
  const rows = {
    keyMask: tensor(gpu, text!.keyMask),
    cuSeqlens: tensor(gpu, text!.cuSeqlens),
    rowIds: tensor(gpu, text!.rowIds),
  }
  // As in the model, the tabular features come first.
  const user = model.categorical_embeddings.get('user_embedding').forward(input.categorical.user!)
  const depth = tensor(gpu, input.numerical.depth!, [input.size, 1])
  let x = add(
    embedding(embeddings.word_embeddings.weight, text!.inputIds),
    embedding(embeddings.position_embeddings.weight, text!.positionIds),
  )
  x = embeddings.dropout.forward(embeddings.LayerNorm.forward(x))
  for (const { attention: self, sa_layer_norm, ffn, output_layer_norm } of transformer.layer) {
    const { weight, bias } = self.q_lin
    const qkv = linear(x, weight.parent!, bias.parent!)
    const attended = self.out_lin.forward(attention(qkv, rows, 3, self.dropout.draw()))
    x = sa_layer_norm.forward(add(attended, x))
    const inner = gelu(ffn.lin1.forward(x))
    x = output_layer_norm.forward(add(ffn.dropout.forward(ffn.lin2.forward(inner)), x))
  }
  let y = joined(input, meanPool(x, rows), user, depth)
  for (const [, layer] of model.mlp!.namedChildren()) y = (layer as Layer).forward(y)
  return crossEntropy(model.head.forward(y), tensor(gpu, input.labels!))
}

/** concat as a product with 0/1 matrices, summed. */
function joined(input: FeatureBatch, pooled: Tensor, user: Tensor, depth: Tensor): Tensor {
  const width = 15 + 3 + 1
  const place = (part: Tensor, at: number) => {
    const columns = part.shape[1]!
    const matrix = new Float32Array(width * columns)
    for (let c = 0; c < columns; c++) matrix[(at + c) * columns + c] = 1
    return linear(part, tensor(gpu, matrix, [width, columns]))
  }
  assert.is(input.size, pooled.shape[0])
  return add(add(place(pooled, 0), place(user, 15)), place(depth, 18))
}

test('the projection of q, k and v in one product is that of three', async () => {
  const given = config(0)
  given.pretrained_model_config.dim = 16 // a part of the pack can be bound by itself
  given.pretrained_model_config.n_heads = 2
  const model = new TextTabularModel(given).to(gpu, { seed: 4 })
  const [block] = [...(model.bert as DistilBertModel).transformer.layer]
  const { q_lin, k_lin, v_lin } = block!.attention
  const rows = 7
  const [x, together, apart] = scope(() => {
    const x = tensor(gpu, seeded(rows * 16, 5), [rows, 16])
    const run = () => [
      linear(x, q_lin.weight.parent!, q_lin.bias.parent!),
      concat([q_lin, k_lin, v_lin].map(part => linear(x, part.weight))),
    ]
    return [x, ...noGrad(run)] as const
  })
  const [a, b] = [await together!.read(), await apart!.read()]
  assert.is(a.length, rows * 48)
  expectClose(a, b, 1e-6) // the biases start at 0
  for (const made of [x, together!, apart!]) made.dispose()
  model.free()
})

test('packed rows give what padded rows give at every kept position', async () => {
  const model = new TextTabularModel(config(0)).to(gpu, { seed: 3 }).eval()
  const packed = batch(7)
  const S = 9
  const ids = new Uint32Array(6 * S).fill(PAD)
  const keyMask = new Uint32Array(6 * S)
  const { inputIds, positionIds, rowIds, tokens } = packed.text!
  const at = Array.from({ length: tokens }, (_, t) => rowIds[t]! * S + positionIds.ids[t]!)
  for (const [t, index] of at.entries()) {
    ids[index] = inputIds.ids[t]!
    keyMask[index] = 1
  }
  const padded = {
    ...packed,
    text: {
      tokens: 6 * S,
      inputIds: groupIds(ids, PAD),
      positionIds: groupIds(Uint32Array.from({ length: 6 * S }, (_, i) => i % S)),
      keyMask,
      cuSeqlens: Uint32Array.from({ length: 7 }, (_, b) => b * S),
      rowIds: Uint32Array.from({ length: 6 * S }, (_, i) => Math.floor(i / S)),
    },
  }
  const run = (input: Parameters<TextTabularModel['parts']>[0]) =>
    scope(() => {
      const { hidden, logits } = noGrad(() => model.parts(input))
      return Promise.all([hidden.read(), logits.read()])
    })
  const [[hidden, logits], [paddedHidden, paddedLogits]] = [await run(packed), await run(padded)]
  const kept = new Float32Array(tokens * 15)
  for (const [t, index] of at.entries()) kept.set(paddedHidden.subarray(index * 15, index * 15 + 15), t * 15)
  expectClose(hidden, kept, 1e-6)
  expectClose(logits, paddedLogits, 1e-6)
  model.free()
})

test('a batch without any token trains', async () => {
  const model = new TextTabularModel(config(0.1)).to(gpu, { seed: 3 })
  const empty = collatePadded(
    {
      inputIds: [
        [PAD, PAD],
        [PAD, PAD],
      ],
      categorical: { user: [1, 2] },
      numerical: { depth: [0.5, 1] },
      labels: [0, 1],
    },
    { padTokenId: PAD },
  )
  const values = await train(model, () => model.forward(empty).loss!, 2)
  for (const parameter of values) assert.ok(parameter.every(Number.isFinite))
  model.free()
})

test('same seed, same weights, to the bit; another seed, other weights', async () => {
  const run = async (seed: number) => {
    const model = new TextTabularModel(config(0.2)).to(gpu, { seed })
    const values = await train(model, b => model.forward(b).loss!, 5)
    model.free()
    return values
  }
  const [a, b, c] = [await run(11), await run(11), await run(12)]
  for (const [i, values] of a.entries())
    assert.equal(new Uint32Array(values.buffer), new Uint32Array(b[i]!.buffer))
  assert.ok(a.some((values, i) => values.some((v, j) => v !== c[i]![j])))
})

test('dropout acts while training only, with another mask every time', async () => {
  const model = new TextTabularModel(config(0.3)).to(gpu, { seed: 3 })
  const logits = () => scope(() => noGrad(() => model.forward(batch(5)).logits).read())
  const [first, second] = [await logits(), await logits()]
  assert.not.equal(first, second)
  model.eval()
  assert.equal(await logits(), await logits())
  model.train()
  assert.not.equal(await logits(), first)
  model.free()
})

test('starting values follow PyTorch’s distributions', async () => {
  const model = new TextTabularModel({
    ...config(0),
    mlp_config: [{ hidden_size: 400 }],
    pretrained_model_config: {
      vocab_size: 2000,
      dim: 60,
      n_heads: 3,
      n_layers: 1,
      hidden_dim: 120,
      pad_token_id: 1999,
    },
  }).to(gpu, { seed: 3 })
  const stats = async (parameter: Parameter) => {
    const values = await readParameter(parameter)
    const mean = values.reduce((a, b) => a + b, 0) / values.length
    const std = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length)
    return { mean, std, largest: Math.max(...values.map(Math.abs)), values }
  }
  const word = await stats(model.bert.embeddings.word_embeddings.weight)
  assert.ok(Math.abs(word.std - 0.02) < 5e-4 && Math.abs(word.mean) < 3e-4)
  assert.ok(
    word.values.subarray(1999 * 60).every(v => v === 0),
    'the padding row is zero',
  )
  const q = await stats(
    (model.bert as DistilBertModel).transformer.layer[Symbol.iterator]().next().value!.attention.q_lin.weight,
  )
  assert.ok(Math.abs(q.std - 0.02) < 2e-3)
  const mlp = await stats((model.mlp as unknown as { 0: { weight: Parameter } })[0].weight)
  const bound = 1 / Math.sqrt(64)
  assert.ok(
    mlp.largest <= bound && mlp.largest > 0.99 * bound && Math.abs(mlp.std - bound / Math.sqrt(3)) < 0.003,
  )
  const user = await stats(model.categorical_embeddings.get('user_embedding').weight)
  assert.ok(user.std > 0.6 && user.std < 1.4)
  model.free()
})

test('a training step leaks no buffer and, once warm, makes none', async () => {
  const model = new TextTabularModel(config(0.1)).to(gpu, { seed: 1 })
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }])
  const step = () => {
    for (let micro = 0; micro < 2; micro++)
      scope(() => model.forward(batch(3 + micro)).loss!.backward({ scale: 0.5 }))
    optimizer.step({ maxGradNorm: 1 })
    optimizer.zeroGrad()
  }
  step()
  await gpu.done() // every kernel is compiled
  const { buffers } = gpu.memory
  step()
  const { created } = gpu.memory
  for (let i = 0; i < 3; i++) step()
  assert.is(gpu.memory.buffers, buffers)
  assert.is(gpu.memory.created, created)
  optimizer.dispose()
  model.free()
  await gpu.done()
})

test('weights written can be read back through every kind of parameter', async () => {
  const model = new TextTabularModel(config(0)).to(gpu)
  for (const [i, parameter] of [...model.parameters()].entries()) {
    const values = Float32Array.from({ length: parameter.size }, (_, j) => i + j / 1000)
    writeParameter(parameter, values)
    assert.equal(await readParameter(parameter), values)
  }
  model.free()
})

test.after(() => gpu.close())
test.run()
