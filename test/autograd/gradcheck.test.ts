// Every differentiable operation: the tape's gradient against central differences of the float64 oracle.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  add,
  attention,
  concat,
  conv1dMax,
  crossEntropy,
  defineOp,
  dropout,
  embedding,
  firstToken,
  gelu,
  layerNorm,
  linear,
  lstm,
  matmul,
  mean,
  meanPool,
  meanPoolConcat,
  noGrad,
  relu,
  reshape,
  scale,
  softmax,
  sum,
  TableParameter,
  type Tensor,
  takeRows,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, gradcheck } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const input = (seed: number, ...shape: number[]) => ({
  data: seeded(
    shape.reduce((a, b) => a * b, 1),
    seed,
  ),
  shape,
})

interface Case {
  name: string
  fn: (...inputs: Tensor[]) => Tensor
  oracle: (...inputs: Float64Array[]) => ArrayLike<number>
  inputs: { data: ArrayLike<number>; shape: number[] }[]
}

// Packed rows of 5, 1, 0 and 7 tokens; two tokens are no keys, and the row of one token has none.
const cuSeqlens = Uint32Array.from([0, 5, 6, 6, 13])
const keyMask = Uint32Array.from([1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1])
const rowIds = Uint32Array.from([0, 0, 0, 0, 0, 1, 3, 3, 3, 3, 3, 3, 3])
const T = 13
const rows = () => ({
  keyMask: tensor(gpu, keyMask),
  cuSeqlens: tensor(gpu, cuSeqlens),
  rowIds: tensor(gpu, rowIds),
})
const rng = { seed: 5, layer: 2, step: 9 }

const cases: Case[] = [
  {
    name: 'linear',
    fn: (x, w, b) => linear(x, w, b),
    oracle: (x, w, b) => reference.matmul({ a: x!, b: w!, bias: b!, M: 5, N: 3, K: 7, layout: 'NT' }),
    inputs: [input(1, 5, 7), input(2, 3, 7), input(3, 3)],
  },
  {
    name: 'linear with GELU',
    fn: (x, w, b) => linear(x, w, b, { activation: 'gelu' }),
    oracle: (x, w, b) =>
      reference.gelu(reference.matmul({ a: x!, b: w!, bias: b!, M: 5, N: 3, K: 7, layout: 'NT' })),
    inputs: [input(1, 5, 7), input(2, 3, 7), input(3, 3)],
  },
  {
    name: 'matmul',
    fn: (a, b) => matmul(a, b),
    oracle: (a, b) => reference.matmul({ a: a!, b: b!, M: 4, N: 9, K: 6, layout: 'NN' }),
    inputs: [input(4, 4, 6), input(5, 6, 9)],
  },
  { name: 'gelu', fn: x => gelu(x), oracle: x => reference.gelu(x!), inputs: [input(6, 31)] },
  { name: 'relu', fn: x => relu(x), oracle: x => reference.relu(x!), inputs: [input(7, 31)] },
  {
    name: 'softmax',
    fn: x => softmax(x),
    oracle: x => reference.softmax({ x: x!, rows: 4, C: 5 }),
    inputs: [input(8, 4, 5)],
  },
  {
    name: 'layerNorm',
    fn: (x, w, b) => layerNorm(x, w, b, { eps: 1e-5 }),
    oracle: (x, w, b) => reference.layerNorm({ x: x!, weight: w!, bias: b!, rows: 6, H: 9, eps: 1e-5 }).y,
    inputs: [input(9, 6, 9), input(10, 9), input(11, 9)],
  },
  {
    name: 'layerNorm of x + residual',
    fn: (x, w, b, r) => layerNorm(x, w, b, { eps: 1e-12, residual: r }),
    oracle: (x, w, b, r) =>
      reference.layerNorm({ x: x!, residual: r!, weight: w!, bias: b!, rows: 3, H: 8, eps: 1e-12 }).y,
    inputs: [input(12, 3, 8), input(13, 8), input(14, 8), input(15, 3, 8)],
  },
  {
    name: 'layerNorm of dropout(x) + residual',
    fn: (x, w, b, r) => layerNorm(x, w, b, { eps: 1e-5, residual: r, dropout: { p: 0.3, rng } }),
    oracle: (x, w, b, r) => {
      const dropped = reference.dropout({ x: x!, p: 0.3, rng })
      return reference.layerNorm({
        x: dropped,
        residual: r!,
        weight: w!,
        bias: b!,
        rows: 5,
        H: 7,
        eps: 1e-5,
      }).y
    },
    inputs: [input(32, 5, 7), input(33, 7), input(34, 7), input(35, 5, 7)],
  },
  {
    name: 'layerNorm, then dropout',
    fn: (x, w, b) => layerNorm(x, w, b, { eps: 1e-5, outputDropout: { p: 0.4, rng } }),
    oracle: (x, w, b) => {
      const { y } = reference.layerNorm({ x: x!, weight: w!, bias: b!, rows: 5, H: 8, eps: 1e-5 })
      return reference.dropout({ x: y, p: 0.4, rng })
    },
    inputs: [input(36, 5, 8), input(37, 8), input(38, 8)],
  },
  {
    name: 'layerNorm, ReLU, then dropout',
    fn: (x, w, b) => layerNorm(x, w, b, { eps: 1e-5, activation: 'relu', outputDropout: { p: 0.4, rng } }),
    oracle: (x, w, b) => {
      const { y } = reference.layerNorm({ x: x!, weight: w!, bias: b!, rows: 5, H: 12, eps: 1e-5 })
      return reference.dropout({ x: reference.relu(y), p: 0.4, rng })
    },
    inputs: [input(39, 5, 12), input(40, 12), input(41, 12)],
  },
  {
    name: 'dropout',
    fn: x => dropout(x, 0.3, rng),
    oracle: x => reference.dropout({ x: x!, p: 0.3, rng }),
    inputs: [input(16, 41)],
  },
  {
    name: 'attention',
    fn: qkv => attention(qkv, rows(), 2),
    oracle: qkv => reference.attention({ qkv: qkv!, keyMask, cuSeqlens, T, A: 2, D: 3 }).out,
    inputs: [input(17, T, 18)],
  },
  {
    name: 'attention with dropout',
    fn: qkv => attention(qkv, rows(), 3, { p: 0.25, rng }),
    oracle: qkv => reference.attention({ qkv: qkv!, keyMask, cuSeqlens, T, A: 3, D: 4, p: 0.25, rng }).out,
    inputs: [input(18, T, 36)],
  },
  {
    name: 'meanPool',
    fn: x => meanPool(x, rows()),
    oracle: x => reference.meanPool({ x: x!, keyMask, cuSeqlens, B: 4, H: 5 }),
    inputs: [input(19, T, 5)],
  },
  {
    name: 'meanPoolConcat with nine parts',
    fn: (x, ...parts) => meanPoolConcat(x, rows(), parts),
    oracle: (x, ...parts) =>
      reference.concat({
        parts: [reference.meanPool({ x: x!, keyMask, cuSeqlens, B: 4, H: 5 }), ...parts].map(part => ({
          x: part,
          width: part.length / 4,
        })),
        rows: 4,
      }),
    inputs: [
      input(42, T, 5),
      ...[3, 1, 4, 2, 7, 1, 2, 8].map((width, i) => input(43 + i, 4, width)),
      input(51, 4),
    ],
  },
  {
    name: 'firstToken',
    fn: x => firstToken(x, rows()),
    oracle: x => {
      const out = new Float64Array(4 * 5)
      for (let b = 0; b < 4; b++) {
        if (cuSeqlens[b]! < cuSeqlens[b + 1]!)
          out.set(x!.subarray(cuSeqlens[b]! * 5, cuSeqlens[b]! * 5 + 5), b * 5)
      }
      return out
    },
    inputs: [input(20, T, 5)],
  },
  {
    name: 'conv1dMax',
    fn: (x, w, b) => conv1dMax(x, w, b, cuSeqlens),
    oracle: (x, w, b) => reference.conv1dMax({ x: x!, weight: w!, bias: b!, cuSeqlens, I: 3, F: 4, W: 2 }).y,
    inputs: [input(52, T, 3), input(53, 4, 3, 2), input(54, 4)],
  },
  ...[false, true].map(reverse => ({
    name: `lstm${reverse ? ', from the last token on' : ''}`,
    fn: (...[x, w, b]: Tensor[]) => lstm(x!, w!, b!, cuSeqlens, { reverse }),
    oracle: (...[x, w, b]: Float64Array[]) =>
      reference.lstm({ gatesIn: x!, weight: w!, bias: b!, cuSeqlens, H: 3, reverse }).h,
    inputs: [input(55, T, 12), input(56, 12, 3), input(57, 12)],
  })),
  {
    name: 'takeRows',
    fn: x => takeRows(x, Uint32Array.from([2, 0])),
    oracle: x => [...x!.subarray(10, 15), ...x!.subarray(0, 5)],
    inputs: [input(21, T, 5)],
  },
  {
    name: 'concat',
    fn: (a, b, c) => concat([a, b, c]),
    oracle: (a, b, c) =>
      reference.concat({
        parts: [
          { x: a!, width: 3 },
          { x: b!, width: 5 },
          { x: c!, width: 1 },
        ],
        rows: 4,
      }),
    inputs: [input(21, 4, 3), input(22, 4, 5), input(23, 4)],
  },
  {
    name: 'crossEntropy',
    fn: x => crossEntropy(x, tensor(gpu, Uint32Array.from([0, 2, 1, 2, 0]))),
    oracle: x => [reference.crossEntropy({ logits: x!, labels: [0, 2, 1, 2, 0], rows: 5, C: 3 }).loss],
    inputs: [input(24, 5, 3)],
  },
  {
    name: 'add, with one input used twice',
    fn: (a, b) => add(add(a, b), a),
    oracle: (a, b) => a!.map((v, i) => 2 * v + b![i]!),
    inputs: [input(25, 3, 7), input(26, 3, 7)],
  },
  { name: 'scale', fn: x => scale(x, -2.5), oracle: x => x!.map(v => -2.5 * v), inputs: [input(27, 11)] },
  { name: 'sum', fn: x => sum(x), oracle: x => [x!.reduce((a, b) => a + b, 0)], inputs: [input(28, 5, 5)] },
  {
    name: 'mean',
    fn: x => mean(x),
    oracle: x => [x!.reduce((a, b) => a + b, 0) / x!.length],
    inputs: [input(29, 5, 5)],
  },
  {
    name: 'reshape',
    fn: x => softmax(reshape(x, [6, 2])),
    oracle: x => reference.softmax({ x: x!, rows: 6, C: 2 }),
    inputs: [input(30, 3, 4)],
  },
  {
    name: 'a chain in which one result feeds two operations',
    fn: x => {
      const y = gelu(x)
      return add(relu(y), scale(y, 3))
    },
    oracle: x => reference.gelu(x!).map(v => Math.max(v, 0) + 3 * v),
    inputs: [input(31, 19)],
  },
]

for (const { name, fn, oracle, inputs } of cases) {
  test(`${name}: gradients agree with differences`, async () => {
    const buffers = gpu.memory.buffers
    const error = await gradcheck(gpu, fn, oracle, inputs)
    assert.ok(error < 2e-4)
    assert.is(gpu.memory.buffers, buffers, 'every buffer came back')
  })
}

test('gradcheck notices a wrong gradient', async () => {
  const wrong = defineOp({
    name: 'wrong',
    inputs: ['x'],
    dtypes: { x: ['f32'] },
    forward: ({ gpu, x, out }) => gpu.copy(x.view, out.view, x.bytes),
    backward: ({ dout }) => ({ x: noGrad(() => scale(dout, 1.01)) }),
  })
  try {
    await gradcheck(gpu, wrong, x => x!, [input(1, 6)])
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /input 0 element \d: the backward step says/)
  }
})

test('embedding: word and position gradients are segmented sums', async () => {
  const [V, P, H] = [11, 6, 5]
  const [word, position] = [new TableParameter([V, H], zero, 10), new TableParameter([P, H], zero)]
  for (const table of [word, position]) {
    table.allocate(gpu)
    writeParameter(table, seeded(table.size, table.shape[0]!))
  }
  const ids = Uint32Array.from([3, 10, 3, 0, 9, 3, 10])
  const positions = Uint32Array.from([0, 1, 2, 0, 1, 5, 0])
  const dy = seeded(7 * H, 5)
  const y = embedding(word, ids, { table: position, ids: positions })
  const out = await y.keep().read()
  y.backward({ seed: tensor(gpu, dy, [7, H]) })
  const expected = new Float64Array(7 * H)
  const [dword, dposition] = [new Float64Array(V * H), new Float64Array(P * H)]
  const [w, p] = [seeded(V * H, V), seeded(P * H, P)]
  for (let i = 0; i < 7; i++) {
    for (let h = 0; h < H; h++) {
      expected[i * H + h] = w[ids[i]! * H + h]! + p[positions[i]! * H + h]!
      if (ids[i] !== 10) dword[ids[i]! * H + h]! += dy[i * H + h]!
      dposition[positions[i]! * H + h]! += dy[i * H + h]!
    }
  }
  expectClose(out, expected, 1e-6)
  expectClose(await word.readGrad(), dword, 1e-6)
  expectClose(await position.readGrad(), dposition, 1e-6)
  assert.equal(word.grads[0]!.rows, Uint32Array.from([0, 3, 9]), 'the padding row gets no gradient')
  assert.throws(() => embedding(word, Uint32Array.from([1, 11])), /id 11 at position 1 is out of range/)
})

const zero = { kind: 'constant', value: 0 } as const

test.after(() => gpu.close())
test.run()
