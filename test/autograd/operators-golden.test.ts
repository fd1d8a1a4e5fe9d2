// Operators against values frozen from PyTorch (tools/make_operator_golden.py): results and gradients.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/autograd/index.ts'
import { scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { nn } from '../../src/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { readSafetensors } from '../support/read-safetensors.ts'

const gpu = await openTestGpu()
const golden = readSafetensors('test/golden/operators/operators.safetensors')
const STARTS = Uint32Array.of(0, 4, 5, 9)
const ids = async (x: Tensor) => gpu.readUints({ ...x.view, size: x.bytes })

type Golden = (x: Tensor, ...rest: Uint32Array[]) => Tensor
const all = kg as unknown as Record<string, Golden>
const same = (...names: string[]) => Object.fromEntries(names.map(name => [name, all[name]!]))

/** Functions of the float inputs; those of whole numbers stand behind them. */
const OPS: Record<string, Golden> = {
  ...same(
    'neg',
    'abs',
    'square',
    'exp',
    'expm1',
    'sigmoid',
    'tanh',
    'log',
    'log1p',
    'sqrt',
    'rsqrt',
    'reciprocal',
  ),
  ...same(
    'silu',
    'softplus',
    'add',
    'sub',
    'mul',
    'div',
    'maximum',
    'minimum',
    'pow',
    'softmax',
    'logSoftmax',
  ),
  ...same('matmul', 'normalize', 'cosineSimilarity', 'mse', 'bceWithLogits'),
  leakyRelu: x => kg.leakyRelu(x, 0.2),
  elu: x => kg.elu(x, 0.7),
  clamp: x => kg.clamp(x, -1, 0.5),
  'softplus.wide': kg.softplus,
  'sigmoid.wide': kg.sigmoid,
  'tanh.wide': kg.tanh,
  'silu.wide': kg.silu,
  'elu.wide': x => kg.elu(x),
  'log.near one': kg.log,
  'maximum.ties': kg.maximum as never,
  'pow.number': x => kg.pow(x, 3),
  'pow.zero': x => kg.pow(x, 0),
  where: ((a: Tensor, b: Tensor) => kg.where(kg.gt(a, 0), kg.mul(a, 2), b)) as never,
  sum: x => kg.sum(x, [0, 2]),
  mean: x => kg.mean(x, 1, { keepdim: true }),
  max: x => kg.max(x, 1),
  min: x => kg.min(x, [0, 1]),
  variance: x => kg.variance(x, [0, 2]),
  std: x => kg.std(x, 1, { correction: 0 }),
  logSumExp: x => kg.logSumExp(x, [0, 1]),
  'logSumExp.wide': x => kg.logSumExp(x, 1),
  transpose: x => kg.transpose(x, 0, 2),
  permute: x => kg.permute(x, [1, 2, 0]),
  slice: x => kg.slice(kg.slice(x, 1, { start: 1 }), 2, { step: 3 }),
  concat: ((a: Tensor, b: Tensor) => kg.concat([a, b, a], 1)) as never,
  stack: ((a: Tensor, b: Tensor) => kg.stack([a, b], 1)) as never,
  expand: x => kg.expand(x, [2, 3, 4]),
  takeRows: (x, rows) => kg.takeRows(x, rows as Uint32Array),
  indexSelect: (x, places) => kg.indexSelect(x, 1, places as Uint32Array),
  gather: (x, places) => kg.gather(x, 1, tensor(gpu, places as Uint32Array, [3, 4])),
  topK: x => kg.topK(x, 3, 1).values,
  segmentSum: x => kg.segmentSum(x, STARTS),
  segmentMax: x => kg.segmentMax(x, STARTS),
  segmentLogSumExp: x => kg.segmentLogSumExp(x, STARTS),
  segmentSoftmax: x => kg.segmentSoftmax(x, STARTS),
  crossEntropy: (x, y) => kg.crossEntropy(x, y as Uint32Array),
  'crossEntropy.weight': ((x: Tensor, weight: Tensor, y: Uint32Array) =>
    kg.crossEntropy(x, y, { weight })) as never,
  'crossEntropy.smoothing': (x, y) => kg.crossEntropy(x, y as Uint32Array, { labelSmoothing: 0.2 }),
  'crossEntropy.ignore': (x, y) => kg.crossEntropy(x, y as Uint32Array, { ignoreIndex: 2 }),
  'crossEntropy.all': ((x: Tensor, weight: Tensor, y: Uint32Array) =>
    kg.crossEntropy(x, y, { weight, ignoreIndex: 2, labelSmoothing: 0.1 })) as never,
  'crossEntropy.soft': ((x: Tensor, t: Tensor) => kg.crossEntropy(x, t)) as never,
  'crossEntropy.soft weight': ((x: Tensor, t: Tensor, weight: Tensor) =>
    kg.crossEntropy(x, t, { weight: kg.detach(weight), labelSmoothing: 0.1 })) as never,
  'bceWithLogits.weights': ((x: Tensor, y: Tensor, weight: Tensor, posWeight: Tensor) =>
    kg.bceWithLogits(x, y, {
      weight: kg.detach(weight),
      posWeight: kg.detach(posWeight),
      reduction: 'sum',
    })) as never,
  klDiv: ((x: Tensor, t: Tensor) => kg.klDiv(kg.logSoftmax(x), t)) as never,
  'klDiv.log': ((x: Tensor, t: Tensor) => kg.klDiv(x, t, { logTarget: true, reduction: 'mean' })) as never,
  marginRanking: ((a: Tensor, b: Tensor, y: Uint32Array) =>
    kg.marginRanking(a, b, tensor(gpu, Float32Array.from(Int32Array.from(y)), [3, 5]), {
      margin: 0.3,
    })) as never,
  // [heads, tokens, D] in PyTorch, [tokens, heads D] here.
  'causal attention': ((...qkv: Tensor[]) => {
    const [q, k, v] = qkv.map(x => kg.reshape(kg.transpose(x, 0, 1), [6, 8]))
    const rows = { cuSeqlens: tensor(gpu, Uint32Array.of(0, 6)) }
    const y = kg.crossAttention(q!, k!, v!, { queries: rows, keys: rows, heads: 2, causal: true })
    return kg.transpose(kg.reshape(y, [6, 2, 4]), 0, 1)
  }) as never,
  'cross attention': ((q: Tensor, ...kv: Tensor[]) => {
    const [k, v] = kv.map(x => kg.reshape(kg.transpose(x, 0, 1), [5, 8]))
    const [queries, keys] = [3, 5].map(n => ({ cuSeqlens: tensor(gpu, Uint32Array.of(0, n)) }))
    const tokens = kg.reshape(kg.transpose(q, 0, 1), [3, 8])
    const y = kg.crossAttention(tokens, k!, v!, { queries: queries!, keys: keys!, heads: 2 })
    return kg.transpose(kg.reshape(y, [3, 2, 4]), 0, 1)
  }) as never,
  RMSNorm: x => new nn.RMSNorm(5, { eps: 1e-3 }).to(gpu, { seed: 1 }).forward(x),
  BatchNorm1d: x => new nn.BatchNorm1d(5).to(gpu, { seed: 1 }).forward(x),
}

const names = [...new Set([...golden.keys()].map(key => key.slice(0, key.lastIndexOf('.'))))]
for (const name of names) {
  test(`${name}: as PyTorch has it`, async () => {
    const op = OPS[name] as (...inputs: unknown[]) => Tensor
    assert.ok(op, `a function for ${name}`)
    const inputs: (Tensor | Uint32Array)[] = []
    for (let i = 0; golden.has(`${name}.x${i}`); i++) {
      const { dtype, shape, data } = golden.get(`${name}.x${i}`)!
      inputs.push(
        dtype === 'I32'
          ? Uint32Array.from(data as Int32Array)
          : tensor(gpu, data as Float32Array, shape, { requiresGrad: true }),
      )
    }
    const expected = (what: string) => golden.get(`${name}.${what}`)!.data
    const dy = expected('dy')
    const y = scope(() => {
      const y = op(...inputs).keep()
      y.backward({ seed: tensor(gpu, dy as Float32Array, y.shape) })
      return y
    })
    const { shape } = golden.get(`${name}.y`)!
    if (shape.length) assert.equal(y.shape, shape)
    expectClose(await y.read(), expected('y'), 1e-5, { label: name })
    for (const [i, input] of inputs.entries()) {
      if (input instanceof Uint32Array) continue
      const grad = golden.get(`${name}.dx${i}`)
      if (grad) expectClose(await input.grad!.read(), grad.data, 1e-5, { label: `gradient of input ${i}` })
    }
    for (const made of [y, ...inputs]) if (!(made instanceof Uint32Array)) made.dispose()
  })
}

test('where the largest values are, as PyTorch has it', async () => {
  const x = golden.get('topK.x0')!
  const { values, indices } = scope(() => kg.topK(tensor(gpu, x.data as Float32Array, x.shape), 1))
  const best = scope(() => kg.argmax(tensor(gpu, x.data as Float32Array, x.shape), 1))
  assert.equal(await ids(indices), await ids(best))
  for (const made of [values, indices, best]) made.dispose()
})

test.after(() => gpu.close())
test.run()
