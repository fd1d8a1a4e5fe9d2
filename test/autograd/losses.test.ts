// Losses and similarities: gradients against differences of plain loops in float64, and what PyTorch's options mean.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/autograd/index.ts'
import { scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, gradcheck, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const [N, C] = [6, 5]
const logits = { data: uniform(N * C, 1, { low: -3, high: 3 }), shape: [N, C] }
const labels = Uint32Array.of(0, 2, 4, 2, 1, 3)
const classWeights = uniform(C, 2, { low: 0.2, high: 2 })
const rowWeights = uniform(N, 3, { low: 0, high: 2 })
const soft = { data: uniform(N * C, 4, { low: 0.05, high: 1 }), shape: [N, C] }

interface Oracle {
  weight?: ArrayLike<number>
  rows?: ArrayLike<number>
  smoothing?: number
  ignore?: number
}

/** Losses of the rows, and what each counts. */
function rowLosses(
  x: ArrayLike<number>,
  target: (r: number, c: number) => number,
  options: Oracle,
  labelled: boolean,
) {
  const { weight, rows, smoothing = 0, ignore } = options
  const logs = reference.logSoftmax({ x, rows: N, C })
  return Array.from({ length: N }, (_, r) => {
    let loss = 0
    for (let c = 0; c < C; c++) {
      const q = (1 - smoothing) * target(r, c) + smoothing / C
      loss -= q * (weight?.[c] ?? 1) * logs[r * C + c]!
    }
    const kept = Number(!(labelled && labels[r] === ignore)) * (rows?.[r] ?? 1)
    return { loss: loss * kept, count: kept * (labelled ? (weight?.[labels[r]!] ?? 1) : 1) }
  })
}
const meanOf = (rows: { loss: number; count: number }[]) =>
  rows.reduce((sum, { loss }) => sum + loss, 0) / rows.reduce((sum, { count }) => sum + count, 0)
const hot = (r: number, c: number) => Number(labels[r] === c)

const LABELLED: [string, kg.CrossEntropyOptions, Oracle][] = [
  ['nothing', {}, {}],
  ['class weights', { weight: tensor(gpu, classWeights) }, { weight: classWeights }],
  ['label smoothing', { labelSmoothing: 0.3 }, { smoothing: 0.3 }],
  ['an ignored label', { ignoreIndex: 2 }, { ignore: 2 }],
  ['row weights', { rowWeights: tensor(gpu, rowWeights) }, { rows: rowWeights }],
  [
    'all of it',
    {
      weight: tensor(gpu, classWeights),
      labelSmoothing: 0.1,
      ignoreIndex: 2,
      rowWeights: tensor(gpu, rowWeights),
    },
    { weight: classWeights, smoothing: 0.1, ignore: 2, rows: rowWeights },
  ],
]

for (const [what, options, oracle] of LABELLED) {
  test(`crossEntropy of labels with ${what}`, async () => {
    await gradcheck(
      gpu,
      x => kg.crossEntropy(x!, labels, options),
      x => [meanOf(rowLosses(x!, hot, oracle, true))],
      [logits],
    )
    const each = scope(() =>
      kg.crossEntropy(tensor(gpu, logits.data, [N, C]), tensor(gpu, labels), {
        ...options,
        reduction: 'none',
      }),
    )
    expectClose(
      await each.read(),
      rowLosses(logits.data, hot, oracle, true).map(({ loss }) => loss),
      1e-6,
    )
    each.dispose()
  })
}

test('crossEntropy of distributions, with a gradient for both', async () => {
  const weight = tensor(gpu, classWeights)
  const rows = tensor(gpu, rowWeights)
  for (const [options, oracle] of [
    [{}, {}],
    [
      { weight, labelSmoothing: 0.2 },
      { weight: classWeights, smoothing: 0.2 },
    ],
    [{ rowWeights: rows }, { rows: rowWeights }],
  ] as [kg.CrossEntropyOptions, Oracle][]) {
    await gradcheck(
      gpu,
      (x, t) => kg.crossEntropy(x!, t!, options),
      (x, t) => [meanOf(rowLosses(x!, (r, c) => t![r * C + c]!, oracle, false))],
      [logits, soft],
    )
  }
})

test('a batch of ignored labels has the loss 0 and no gradient', async () => {
  const x = tensor(gpu, logits.data, [N, C], { requiresGrad: true })
  const loss = scope(() => {
    const ignored = Int32Array.from({ length: N }, () => -100)
    const loss = kg.crossEntropy(x, ignored, { ignoreIndex: -100 }).keep()
    loss.backward()
    return loss
  })
  assert.is(await loss.item(), 0)
  assert.equal(await x.grad!.read(), new Float32Array(N * C))
  for (const made of [x, loss]) made.dispose()
})

test('labels that cannot be are refused on the host, and NaN on the device', async () => {
  const x = tensor(gpu, logits.data, [N, C])
  const wrong = labels.with(3, 5)
  assert.throws(() => kg.crossEntropy(x, wrong), /^crossEntropy: label 5 of row 3, expected 0 to 4$/)
  assert.throws(
    () => kg.crossEntropy(x, Int32Array.from(labels).with(1, -1), { ignoreIndex: -100 }),
    /label -1 of row 1, expected 0 to 4 or -100/,
  )
  assert.throws(
    () => kg.crossEntropy(x, labels.subarray(1)),
    /crossEntropy: (targets|labels) has shape \[5\], expected \[6\]/,
  )
  assert.throws(
    () => kg.crossEntropy(x, labels, { labelSmoothing: 1.5 }),
    /labelSmoothing is 1.5, expected 0 to 1/,
  )
  assert.throws(
    () => kg.crossEntropy(x, tensor(gpu, soft.data, [N, C]), { ignoreIndex: 0 }),
    /ignoreIndex is for labels/,
  )
  assert.throws(
    () => kg.crossEntropy(x, labels, { reduction: 'average' as 'mean', labelSmoothing: 0.1 }),
    /by 'mean', 'sum' or 'none', not by 'average'/,
  )
  const smooth = { labelSmoothing: 0.1 }
  assert.throws(() => kg.crossEntropy(x, tensor(gpu, wrong), smooth), /label 5 of row 3, expected 0 to 4$/)
  assert.throws(() => kg.crossEntropy(x, undefined as never), /targets is undefined, expected a tensor/)
  assert.throws(() => kg.crossEntropy(x, labels, { smoothing: 1 } as never), /'?smoothing'?.*labelSmoothing/)
  // Indices are labels that the device alone knows: 5, which is no class, is one of them.
  const order = () => kg.topK(tensor(gpu, uniform(N, 9), [N]), N).indices
  const loss = scope(() => kg.crossEntropy(x, order(), smooth))
  assert.ok(Number.isNaN(await loss.item()))
  for (const made of [x, loss]) made.dispose()
})

const [a, b] = [
  { data: uniform(12, 5, { low: -3, high: 3 }), shape: [4, 3] },
  { data: uniform(12, 6, { low: 0.1, high: 0.9 }), shape: [4, 3] },
]
const sumOf = (values: ArrayLike<number>) => Array.from(values).reduce((sum, v) => sum + v, 0)
const softplus = (v: number) => Math.log1p(Math.exp(-Math.abs(v))) + Math.max(v, 0)

test('bceWithLogits, plain, weighed, and with a weight of positives', async () => {
  const [weight, positive] = [uniform(3, 7, { low: 0, high: 2 }), uniform(3, 8, { low: 0.5, high: 3 })]
  const each = (x: Float64Array, y: Float64Array, w: (i: number) => number, p: (i: number) => number) =>
    x.map((v, i) => w(i) * ((1 - y[i]!) * v + (1 + (p(i) - 1) * y[i]!) * softplus(-v)))
  await gradcheck(
    gpu,
    (x, y) => kg.bceWithLogits(x!, y!),
    (x, y) => [
      sumOf(
        each(
          x!,
          y!,
          () => 1,
          () => 1,
        ),
      ) / 12,
    ],
    [a, b],
  )
  await gradcheck(
    gpu,
    (x, y) =>
      kg.bceWithLogits(x!, y!, {
        weight: tensor(gpu, weight),
        posWeight: tensor(gpu, positive),
        reduction: 'sum',
      }),
    (x, y) => [
      sumOf(
        each(
          x!,
          y!,
          i => weight[i % 3]!,
          i => positive[i % 3]!,
        ),
      ),
    ],
    [a, b],
  )
  const far = scope(() =>
    kg.bceWithLogits(tensor(gpu, [1e4, -1e4]), tensor(gpu, [0, 1]), { reduction: 'none' }),
  )
  assert.equal([...(await far.read())], [1e4, 1e4])
  far.dispose()
})

test('mse, klDiv and marginRanking', async () => {
  await gradcheck(
    gpu,
    (x, y) => kg.mse(x!, y!),
    (x, y) => [sumOf(x!.map((v, i) => (v - y![i]!) ** 2)) / 12],
    [a, b],
  )
  await gradcheck(
    gpu,
    (x, t) => kg.klDiv(kg.logSoftmax(x!), t!),
    (x, t) => {
      const logs = reference.logSoftmax({ x: x!, rows: 4, C: 3 })
      return [sumOf(t!.map((v, i) => v * (Math.log(v) - logs[i]!))) / 4]
    },
    [a, b],
  )
  await gradcheck(
    gpu,
    (x, t) => kg.klDiv(x!, t!, { logTarget: true, reduction: 'mean' }),
    (x, t) => [sumOf(t!.map((v, i) => Math.exp(v) * (v - x![i]!))) / 12],
    [a, b],
  )
  const zero = scope(() => kg.klDiv(tensor(gpu, [-1, -2], [1, 2]), tensor(gpu, [0, 1], [1, 2])))
  assert.is(await zero.item(), 2)
  zero.dispose()
  const y = Float32Array.from({ length: 12 }, (_, i) => (i % 2 ? 1 : -1))
  await gradcheck(
    gpu,
    (first, second) => kg.marginRanking(first!, second!, tensor(gpu, y, [4, 3]), { margin: 0.4 }),
    (first, second) => [sumOf(first!.map((v, i) => Math.max(0, -y[i]! * (v - second![i]!) + 0.4))) / 12],
    [a, b],
  )
})

test('logSoftmax, normalize and cosineSimilarity', async () => {
  await gradcheck(
    gpu,
    x => kg.logSoftmax(x!),
    x => reference.logSoftmax({ x: x!, rows: 4, C: 3 }),
    [a],
  )
  const length = (x: Float64Array, r: number) => Math.hypot(...x.subarray(3 * r, 3 * r + 3))
  await gradcheck(
    gpu,
    x => kg.normalize(x!),
    x => x!.map((v, i) => v / length(x!, Math.floor(i / 3))),
    [a],
  )
  await gradcheck(
    gpu,
    (x, y) => kg.cosineSimilarity(x!, y!),
    (x, y) =>
      [0, 1, 2, 3].map(
        r =>
          [0, 1, 2].reduce((sum, c) => sum + x![3 * r + c]! * y![3 * r + c]!, 0) /
          length(x!, r) /
          length(y!, r),
      ),
    [a, b],
  )
  const none = tensor(gpu, new Float32Array(6), [2, 3], { requiresGrad: true })
  const zeros = scope(() => {
    const y = kg.normalize(none).keep()
    kg.sum(kg.cosineSimilarity(none, none)).backward()
    return y
  })
  assert.equal(await zeros.read(), new Float32Array(6))
  assert.equal(await none.grad!.read(), new Float32Array(6))
  for (const made of [none, zeros]) made.dispose()
})

test('products of many matrices, batches broadcast, and one matrix for all', async () => {
  const random = (seed: number, ...shape: number[]) => ({
    data: uniform(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    shape,
  })
  const cases: [kg.Shape, kg.Shape, kg.Shape, kg.Shape][] = [
    [[3], [3], [3], [2, 3, 4]],
    [[2, 3], [3], [2, 3], [5, 4, 3]],
    [
      [2, 1],
      [1, 3],
      [2, 3],
      [3, 2, 5],
    ],
    [[], [4], [4], [2, 3, 2]],
    [[2, 2], [], [2, 2], [3, 4, 5]],
  ]
  for (const [aBatches, bBatches, batches, [M, K, N]] of cases as [
    number[],
    number[],
    number[],
    [number, number, number],
  ][]) {
    await gradcheck(
      gpu,
      (a, b) => {
        const c = kg.matmul(a!, b!)
        assert.equal(c.shape, [...batches, M, N])
        return c
      },
      (a, b) => reference.bmm({ a: a!, b: b!, M, N, K, layout: 'NN', batches, aBatches, bBatches }),
      [random(1, ...aBatches, M, K), random(2, ...bBatches, K, N)],
    )
  }
  const x = (...shape: number[]) => tensor(gpu, new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  assert.throws(
    () => kg.matmul(x(2, 3), x(4)),
    /^matmul takes \[..., M, K\] and \[..., K, N\], got \[2, 3\] and \[4\]/,
  )
  assert.throws(() => kg.matmul(x(2, 2, 3), x(3, 3, 2)), /^matmul: shapes \[2\] and \[3\] do not broadcast/)
})

test('segments, gather and topK: gradients agree with differences', async () => {
  const starts = Uint32Array.of(0, 3, 3, 4, 9)
  const x = { data: uniform(18, 9, { low: -2, high: 2 }), shape: [9, 2] }
  const ops = {
    sum: kg.segmentSum,
    mean: kg.segmentMean,
    max: kg.segmentMax,
    logSumExp: kg.segmentLogSumExp,
    softmax: kg.segmentSoftmax,
    logSoftmax: kg.segmentLogSoftmax,
  }
  for (const [kind, op] of Object.entries(ops)) {
    // The empty segment of a maximum is -infinity, which differences cannot weigh.
    const own = kind === 'max' || kind === 'logSumExp' ? Uint32Array.of(0, 3, 4, 9) : starts
    await gradcheck(
      gpu,
      (x: Tensor) => op(x, own),
      x => reference.segment({ kind: kind as 'sum', x: x!, starts: own, I: 2 }),
      [x],
    )
  }
  const indices = Uint32Array.of(1, 1, 0, 1, 0, 0, 1, 1, 0)
  await gradcheck(
    gpu,
    x => kg.gather(x!, 1, tensor(gpu, indices, [9, 1])),
    x => reference.gather({ x: x!, indices, O: 9, R: 2, I: 1, K: 1 }),
    [x],
  )
  const { values, indices: found } = scope(() => kg.topK(tensor(gpu, x.data, [9, 2]), 3, 0))
  const places = reference.topK({ x: x.data, O: 1, R: 9, I: 2, k: 3 })
  assert.equal(await gpu.readUints({ ...found.view, size: 24 }), places)
  expectClose(
    await values.read(),
    reference.gather({ x: x.data, indices: places, O: 1, R: 9, I: 2, K: 3 }),
    0,
  )
  await gradcheck(
    gpu,
    x => kg.topK(x!, 2, 1).values,
    x => Array.from({ length: 9 }, (_, r) => [x![2 * r]!, x![2 * r + 1]!].sort((p, q) => q - p)).flat(),
    [x],
  )
  const best = scope(() => kg.argmax(tensor(gpu, x.data, [9, 2]), 0))
  assert.equal(best.shape, [2])
  assert.equal(
    await gpu.readUints({ ...best.view, size: 8 }),
    reference.topK({ x: x.data, O: 1, R: 9, I: 2, k: 1 }),
  )
  const one = scope(() => kg.argmax(tensor(gpu, x.data, [9, 2])))
  assert.equal(one.shape, [])
  for (const made of [values, found, best, one]) made.dispose()
})

test('starts, places and numbers that cannot be are refused by name', () => {
  const x = tensor(gpu, uniform(6, 1), [3, 2])
  const sum = (...starts: number[]) => kg.segmentSum(x, Uint32Array.from(starts))
  assert.throws(() => sum(1, 3), /^segmentSum: starts\[0\] is 1, expected 0/)
  assert.throws(() => sum(0, 2, 1, 3), /^segmentSum: starts\[2\] is 1 and the one before 2/)
  assert.throws(() => sum(0, 2), /^segmentSum: starts ends at 2, expected 3, the rows of \[3, 2\]/)
  assert.throws(() => sum(), /^segmentSum: starts is empty/)
  assert.throws(() => kg.topK(x, 3), /^topK: k is 3, dimension 1 of shape \[3, 2\] has 2 values/)
  assert.throws(
    () => kg.gather(x, 1, tensor(gpu, Uint32Array.of(0, 1), [2, 1])),
    /^gather: x \[3, 2\] and indices \[2, 1\]/,
  )
  assert.throws(() => kg.argmax(tensor(gpu, [], [0])), /^argmax: shape \[0\] has no values/)
  x.dispose()
})

test.after(() => gpu.close())
test.run()
