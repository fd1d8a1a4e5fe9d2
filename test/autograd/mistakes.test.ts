// Calls that cannot be right, as JavaScript lets them through: each is refused by a class of this library whose message names the
// operation and the argument, and leaves the device as it was.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as autograd from '../../src/autograd/index.ts'
import { KernelgradError } from '../../src/errors.ts'
import * as nn from '../../src/nn/index.ts'
import { AdamW, GradScaler, schedule } from '../../src/optim/index.ts'
import { openTestGpu } from '../support/gpu.ts'

// biome-ignore lint/suspicious/noExplicitAny: wrong calls have no types
type Any = any
const { tensor, scope, noGrad, autocast } = autograd
const ops = autograd as Any
const gpu = await openTestGpu()
const other = await openTestGpu()

const x = tensor(gpu, [1, 2, 3, 4, 5, 6], [2, 3])
const u = tensor(gpu, Uint32Array.of(0, 1))
const elsewhere = tensor(other, [1, 2, 3, 4, 5, 6], [2, 3])
const freed = tensor(gpu, [1, 2, 3, 4, 5, 6], [2, 3])
freed.dispose()
const ids = (...values: number[]) => tensor(gpu, Uint32Array.from(values))
const rows = (cu: number[], mask = [1, 1], row = [0, 1]) => ({
  keyMask: ids(...mask),
  cuSeqlens: ids(...cu),
  rowIds: ids(...row),
})

const refused = (call: () => unknown, ...words: RegExp[]) => {
  let error: unknown
  try {
    call()
  } catch (thrown) {
    error = thrown
  }
  assert.instance(error, KernelgradError, `${call} threw ${error}`)
  for (const word of words) assert.match((error as Error).message, word, `${call}`)
}

/** In place of the first tensor of each operation; the others are right. */
const FIRST: Record<string, (x: Any) => unknown> = {
  gelu: x => ops.gelu(x),
  relu: x => ops.relu(x),
  softmax: x => ops.softmax(x),
  scale: x => ops.scale(x, 2),
  sum: x => ops.sum(x),
  mean: x => ops.mean(x),
  matmul: x => ops.matmul(x, tensor(gpu, [1, 2, 3], [3, 1])),
  linear: x => ops.linear(x, tensor(gpu, [1, 2, 3], [1, 3])),
  layerNorm: x => ops.layerNorm(x, tensor(gpu, [1, 1, 1]), tensor(gpu, [0, 0, 0])),
  dropout: x => ops.dropout(x, 0.5, { seed: 1, layer: 0, step: 0 }),
  cast: x => ops.cast(x, 'f16'),
  takeRows: x => ops.takeRows(x, Uint32Array.of(1)),
  attention: x => ops.attention(x, rows([0, 1, 2]), 1),
  meanPool: x => ops.meanPool(x, rows([0, 1, 2])),
  firstToken: x => ops.firstToken(x, rows([0, 1, 2])),
  meanPoolConcat: x => ops.meanPoolConcat(x, rows([0, 1, 2]), []),
  reshape: x => ops.reshape(x, [3, 2]),
}
const NO_TENSORS = [undefined, null, 'x', 3, [1, 2], Float32Array.of(1), new nn.ReLU(), {}]

for (const [name, call] of Object.entries(FIRST)) {
  test(`${name}: what is no tensor, is freed, or holds ids`, () => {
    for (const wrong of NO_TENSORS) refused(() => scope(() => call(wrong)), new RegExp(`^${name}`))
    refused(() => scope(() => call(freed)), new RegExp(`^${name}: \\w+.* used after its memory was freed`))
    if (name !== 'reshape') refused(() => scope(() => call(u)), new RegExp(`^${name}: \\w+ is u32`))
  })
}

/** Operations that move, choose, reduce and compare: in place of their first tensor. */
const OTHERS: Record<string, (x: Any) => unknown> = {
  permute: x => ops.permute(x, [1, 0]),
  transpose: x => ops.transpose(x),
  slice: x => ops.slice(x, 0),
  select: x => ops.select(x, 0, 0),
  split: x => ops.split(x, 1),
  expand: x => ops.expand(x, [2, 3]),
  concat: x => ops.concat([x], 0),
  stack: x => ops.stack([x]),
  unsqueeze: x => ops.unsqueeze(x, 0),
  squeeze: x => ops.squeeze(x, 0),
  indexSelect: x => ops.indexSelect(x, 0, Uint32Array.of(1)),
  max: x => ops.max(x),
  min: x => ops.min(x, 0),
  logSumExp: x => ops.logSumExp(x),
  variance: x => ops.variance(x),
  std: x => ops.std(x),
  causalAttention: x => ops.causalAttention(x, rows([0, 1, 2]), 1),
  detach: x => ops.detach(x),
  where: x => ops.where(x, 1, tensor(gpu, [1])),
  neg: x => ops.neg(x),
}
for (const [name, call] of Object.entries(OTHERS)) {
  test(`${name}: what is no tensor`, () => {
    for (const wrong of NO_TENSORS)
      if (typeof wrong !== 'number' || name !== 'neg') refused(() => scope(() => call(wrong)))
    scope(() =>
      refused(() => call(undefined), new RegExp(`${name === 'std' ? 'variance' : name}: .* is undefined`)),
    )
    refused(() => scope(() => call(freed)), /freed/)
  })
}

test('operands, dimensions, places and options', () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => ops.add(x, '3'), /^add: operand b is '3', expected a tensor or a number$/],
    [() => ops.mul(undefined, x), /^mul: operand a is undefined/],
    [() => ops.sub(x, [1]), /^sub: operand b is an array of 1/],
    [() => ops.sum(x, '0'), /^sum: dimensions are '0', expected a number, or an array of numbers$/],
    [() => ops.max(x, null, null), /^max: options is null/],
    [() => ops.mean(x, [0.5]), /^mean: dimension 0.5 of shape \[2, 3\]/],
    [() => ops.sum(x, 0, { keepDim: true }), /^sum: options: 'keepDim' is unknown; did you mean 'keepdim'/],
    [() => ops.sum(x, 0, { keepdim: 1 }), /^sum: keepdim is 1, expected true or false$/],
    [() => ops.variance(x, 0, { ddof: 0 }), /^variance: options: 'ddof' is unknown/],
    [() => ops.variance(x, 0, { correction: '1' }), /^variance: correction is '1'/],
    [() => ops.slice(x, 0, { stop: 1 }), /^slice: options: 'stop' is unknown/],
    [() => ops.argmax(x, 0, { keepDim: true }), /^argmax: options: 'keepDim' is unknown/],
    [() => ops.permute(x, 1), /^permute: order is 1, expected an array/],
    [() => ops.expand(x, 6), /^expand: shape is 6, expected an array/],
    [() => ops.split(x, '1'), /^split: sizes are '1'/],
    [() => ops.concat(x, 0), /^concat: parts are a f32 tensor/],
    [() => ops.stack([x, 1]), /^stack: part 1 is 1/],
    [() => ops.indexSelect(x, 0, [-1]), /^indexSelect: ids: element 0 is -1/],
    [() => ops.indexSelect(x, 0, u), /^indexSelect: ids is a u32 tensor/],
    [() => ops.gather(x, 0, undefined), /^gather: indices is undefined/],
    [() => ops.segmentSum(x, [0, 2]), /^segmentSum: starts is an array of 2/],
    [() => ops.mse(x, x, { reduce: 'sum' }), /^mse: options: 'reduce' is unknown/],
    [() => ops.klDiv(x, x, { logtarget: true }), /^klDiv: options: 'logtarget' is unknown/],
    [() => ops.bceWithLogits(x, x, { pos_weight: x }), /^bceWithLogits: options: 'pos_weight' is unknown/],
    [() => ops.marginRanking(x, x, x, { Margin: 1 }), /^marginRanking: options: 'Margin' is unknown/],
    [() => ops.crossAttention(x, x, x, { heads: 1 }), /^crossAttention: queries.cuSeqlens is undefined/],
  ]
  for (const [call, words] of wrong) refused(() => scope(call), words)
})

test('tensors of two devices are named with both', () => {
  refused(() => ops.matmul(x, elsewhere), /^matmul: b is on another device than a: device \d.* and device \d/)
  refused(() => ops.linear(x, elsewhere), /^linear: weight is on another device than x/)
  refused(() => ops.add(x, elsewhere), /^add/)
})

test('labels and offsets that are known on the host', () => {
  const label =
    (...values: number[]) =>
    () =>
      scope(() => ops.crossEntropy(x, ids(...values)))
  refused(label(0, 7), /^crossEntropy: label 7 at position 1 is out of range, expected 0 to 2/)
  refused(label(0), /^crossEntropy: labels has shape/)
  refused(() => ops.crossEntropy(x, tensor(gpu, [0, 1])), /^crossEntropy/)
  const pool =
    (...given: Parameters<typeof rows>) =>
    () =>
      scope(() => ops.meanPool(x, rows(...given)))
  refused(pool([1, 2, 2]), /cuSeqlens starts at 1, expected 0/)
  refused(pool([0, 3, 2]), /cuSeqlens is 3 at position 1, past the end of 2 tokens/)
  refused(pool([0, 2, 1]), /cuSeqlens decreases from 2 to 1/)
  refused(pool([0, 1, 1]), /cuSeqlens ends at 1, expected 2/)
  refused(pool([0, 1, 2], [1, 2]), /keyMask is 2 at token 1/)
  refused(pool([0, 1, 2], [1, 1], [0, 0]), /rowIds is 0 at token 1, expected 1/)
  refused(() => scope(() => ops.takeRows(x, [0, 2])), /^takeRows: row 2/)
  refused(() => scope(() => ops.takeRows(x, [0.5])), /^takeRows: rows: element 0 is 0.5/)
})

test('data for tensor()', () => {
  for (const data of [
    undefined,
    null,
    3,
    'abc',
    Int32Array.of(1),
    Float64Array.of(1),
    [1, '2'],
    new Array(2),
    [1n],
    [1e39],
  ])
    refused(() => tensor(gpu, data as Any), /^tensor: data/)
  refused(() => tensor(gpu, [1, 2], [3]), /needs 3 values, got 2/)
  refused(() => tensor(gpu, [1, 2], [-2] as Any), /^tensor: shape/)
  refused(() => tensor(gpu, [0.5], [1], { dtype: 'u32' }), /^tensor: data: element 0 is 0.5/)
  refused(() => tensor(gpu, [1], [1], { requireGrad: true } as Any), /did you mean 'requiresGrad'/)
  refused(() => tensor({} as Any, [1]), /^tensor: gpu/)
  assert.is(
    scope(() => tensor(gpu, [3, 4], [2], { dtype: 'u32' }).dtype),
    'u32',
  )
})

test('async functions are refused by scope, noGrad and autocast, before they run', () => {
  let ran = false
  const body = async () => {
    ran = true
  }
  for (const [name, call] of Object.entries({
    scope: () => scope(body),
    noGrad: () => noGrad(body),
    autocast: () => autocast('f16', body),
  }))
    refused(call, new RegExp(`^${name}: body is an async function.*[Aa]wait`))
  assert.not(ran)
  refused(() => noGrad(() => Promise.resolve(1)), /^noGrad: body returned a promise/)
})

test('backward() says why it cannot start', () => {
  refused(() => autograd.backward(x), /^backward\(\) starts at one element.*\[2,3\]/)
  const leaf = tensor(gpu, [1, 2], [2], { requiresGrad: true })
  const loss = autograd.sum(leaf)
  loss.backward()
  refused(() => loss.backward(), /consumed already/)
  refused(() => autograd.sum(x).backward(), /none was/)
  refused(() => autograd.sum(leaf).backward({ scale: Number.NaN }), /^backward: scale is NaN/)
  refused(() => autograd.sum(leaf).backward({ sead: x } as Any), /did you mean 'seed'/)
})

const BAD_SIZES = [0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY, '3', null, undefined]
const SIZED: Record<string, (size: Any) => unknown> = {
  'Linear: inFeatures': size => new nn.Linear(size, 2),
  'Linear: outFeatures': size => new nn.Linear(2, size),
  'LayerNorm: hidden': size => new nn.LayerNorm(size),
  'Embedding: rows': size => new nn.Embedding(size, 3),
  'Embedding: width': size => new nn.Embedding(3, size),
}
for (const [where, make] of Object.entries(SIZED)) {
  test(`${where} is a whole number of at least 1`, () => {
    for (const size of BAD_SIZES)
      refused(() => make(size), new RegExp(`^${where} is .*, expected a whole number`))
  })
}

test('modules: layers, probabilities, fields, devices', () => {
  for (const layer of [3, null, undefined, x, () => {}, {}])
    refused(() => new nn.Sequential([layer as Any]), /^Sequential: layers\[0\] is/)
  refused(() => new nn.ModuleList([x as Any]), /^ModuleList: modules\[0\]/)
  refused(() => new nn.ModuleDict({ training: new nn.ReLU() }), /^ModuleDict: 'training'/)
  for (const p of [1, 1.5, -0.1, Number.NaN, '0.1']) refused(() => new nn.Dropout(p as Any), /^Dropout: p/)
  refused(() => new nn.Linear(3, 2).forward(x), /has no memory yet; call model.to\(gpu\) first/)
  refused(() => new nn.Linear(3, 2).to(gpu, { seed: 1.5 }), /^to: seed is 1.5/)
  class Hidden extends nn.Module {
    readonly layers = [new nn.Linear(2, 2)]
  }
  refused(() => new Hidden().to(gpu), /^to: Hidden.layers is an array of 1 with a Linear inside/)
  const outer = new nn.Sequential([new nn.Linear(7, 3)]).to(gpu)
  refused(
    () => outer.forward(x),
    /^Linear: input has 3 features in its last dimension.*expected 7 \(in_features\)/,
  )
  refused(() => [...outer.namedChildren()][0]![1].free(), /^free: Linear is a part of Sequential/)
  refused(() => outer.loadStateDict({} as Any), /^loadStateDict: state/)
  outer.free()
  refused(() => outer.forward(tensor(gpu, [1, 2, 3, 4, 5, 6, 7], [1, 7])), /no memory yet/)
})

test('optimizers, scalers and schedules', () => {
  const model = new nn.Linear(3, 2).to(gpu)
  const group = [{ params: [...model.parameters()] }]
  const make = (options: object) => () => new AdamW(gpu, group, options)
  for (const lr of ['x', Number.NaN, -1, Number.POSITIVE_INFINITY]) refused(make({ lr }), /^AdamW: .*lr is/)
  for (const betas of [[1, 0.9], [0.9, Number.NaN], [0.9], 3]) refused(make({ betas }), /^AdamW: .*betas?/)
  refused(make({ eps: 0 }), /eps is 0/)
  refused(make({ weightDecay: -0.1 }), /weightDecay is -0.1/)
  refused(make({ learningRate: 1e-3 }), /^AdamW has no option 'learningRate'; did you mean 'lr'\?/)
  refused(() => new AdamW(gpu, []), /^AdamW: groups is empty/)
  refused(() => new AdamW(gpu, [{ params: [] }]), /^AdamW: groups\[0\]: params is empty/)
  refused(() => new AdamW(gpu, [...group, ...group]), /two parameter groups/)
  refused(() => new AdamW(gpu, [{ params: new nn.Linear(2, 2).parameters() }]), /call model.to\(gpu\) before/)
  refused(() => new AdamW(other, group), /on another device/)
  const optimizer = new AdamW(gpu, group)
  for (const maxGradNorm of [Number.NaN, -1, 'x'])
    refused(() => optimizer.step({ maxGradNorm } as Any), /maxGradNorm is/)
  optimizer.groups[0]!.lr = Number.NaN
  refused(() => optimizer.step(), /^AdamW: .*lr is NaN/)
  optimizer.dispose()
  refused(() => optimizer.step(), /was disposed/)
  model.free()
  for (const options of [
    { initScale: 0 },
    { growthFactor: 1 },
    { backoffFactor: 2 },
    { growthInterval: 0.5 },
    { scale: 1 },
  ])
    refused(() => new GradScaler(gpu, options as Any), /^GradScaler/)
  refused(() => schedule('linear', { totalSteps: 2.5 }), /^schedule: totalSteps is 2.5/)
  refused(() => schedule('lineer', { totalSteps: 2 }), /'lineer'/)
})

test('a loop that forgets scope, or noGrad, is told once', async () => {
  const heard: string[] = []
  const before = autograd.onMemoryGrowth(message => heard.push(message))
  const fresh = await openTestGpu()
  const model = new nn.Linear(3, 2).to(fresh)
  const input = tensor(fresh, [1, 2, 3], [1, 3])
  for (let i = 0; i < 200; i++) scope(() => void noGrad(() => model.forward(input)))
  for (let i = 0; i < 200; i++) scope(() => void model.forward(input))
  assert.equal(heard, [])
  for (let i = 0; i < 120; i++) model.forward(input)
  assert.is(heard.length, 1)
  assert.match(heard[0]!, /50 forward passes.*noGrad/)
  fresh.close()
  autograd.onMemoryGrowth(before)
})

test('after all of it, a right call gives the right value', async () => {
  const product = scope(() => autograd.matmul(x, tensor(gpu, [1, 1, 1], [3, 1])))
  assert.equal([...(await product.read())], [6, 15])
  product.dispose()
})

test.after(() => {
  gpu.close()
  other.close()
})
test.run()
