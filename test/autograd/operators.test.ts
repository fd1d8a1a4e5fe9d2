// Gradients of the operators against differences of their oracles, with broadcasting and every axis.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/autograd/index.ts'
import { scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { UNARY } from '../../src/pointwise.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, gradcheck, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const numel = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
const given = (seed: number, shape: number[], low = -2, high = 2) => ({
  data: uniform(numel(shape), seed, { low, high }),
  shape,
})
/** The same, away from 0 by at least 0.1, where kinks are. */
const smooth = (seed: number, shape: number[]) => {
  const { data } = given(seed, shape)
  return { data: data.map(v => v + Math.sign(v) * 0.1), shape }
}
const unaryOps = kg as unknown as Record<keyof typeof UNARY, (x: Tensor, ...rest: number[]) => Tensor>
const binaryOps = kg as unknown as Record<string, (a: kg.Operand, b: kg.Operand) => Tensor>
const POSITIVE = ['log', 'log1p', 'sqrt', 'rsqrt', 'reciprocal']
const NUMBERS: Record<string, [p: number, q: number]> = {
  leakyRelu: [0.2, 0],
  elu: [0.7, 0],
  clamp: [-1, 0.5],
}

test('functions of one operand: gradients agree with differences', async () => {
  // Side by side, so that their kernels compile together.
  const names = Object.keys(UNARY) as (keyof typeof UNARY)[]
  await Promise.all(
    names.map(name => {
      const [p, q] = NUMBERS[name] ?? [0, 0]
      const shape = name.length % 2 ? [7] : [3, 4]
      return gradcheck(
        gpu,
        x => unaryOps[name](x, p, q),
        x => reference.pointwise(name, [{ data: x!, shape }], { shape, p, q }),
        [POSITIVE.includes(name) ? given(1, shape, 0.3, 2) : smooth(1, shape)],
      )
    }),
  )
})

const SHAPES: [a: number[], b: number[], both: number[]][] = [
  [[5], [5], [5]],
  [
    [3, 4],
    [3, 4],
    [3, 4],
  ],
  [
    [3, 5],
    [1, 5],
    [3, 5],
  ],
  [[4], [3, 4], [3, 4]],
  [
    [3, 4],
    [3, 1],
    [3, 4],
  ],
  [
    [2, 1, 3],
    [4, 1],
    [2, 4, 3],
  ],
  [[], [2, 3], [2, 3]],
]
const DIFFERENTIABLE = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'pow'] as const

test('functions of two operands: gradients of both, broadcast and not, and beside numbers', async () => {
  const checks = DIFFERENTIABLE.map(async name => {
    const [low, high] = name === 'pow' || name === 'div' ? [0.4, 2] : [-2, 2]
    const both = ([aShape, bShape, shape]: (typeof SHAPES)[number]) =>
      gradcheck(
        gpu,
        (a, b) => binaryOps[name]!(a!, b!),
        (a, b) => {
          const operands = [
            { data: a!, shape: aShape },
            { data: b!, shape: bShape },
          ]
          return reference.pointwise(name, operands, { shape })
        },
        [given(3, aShape, low, high), given(4, bShape, low, high)],
      )
    // Every kind of broadcasting for one function, two for the others: where operands lie is the family's.
    await Promise.all((name === 'mul' ? SHAPES : [SHAPES[0]!, SHAPES[4]!]).map(both))
    const [x, shape] = [given(5, [6], low, high), [6]]
    const oracle = (x: Float64Array, first: boolean) => {
      const operand = { data: x, shape }
      return reference.pointwise(name, first ? [operand, 1.25] : [1.25, operand], { shape })
    }
    await Promise.all(
      [true, false].map(first =>
        gradcheck(
          gpu,
          x => (first ? binaryOps[name]!(x!, 1.25) : binaryOps[name]!(1.25, x!)),
          x => oracle(x!, first),
          [x],
        ),
      ),
    )
  })
  await Promise.all(checks)
})

test('where: the gradient goes to what was chosen', async () => {
  const flags = Uint32Array.of(1, 0, 1)
  await gradcheck(
    gpu,
    (a, b) => kg.where(tensor(gpu, flags, [3, 1]), a!, b!),
    (a, b) => Float64Array.from({ length: 12 }, (_, i) => (flags[i >> 2] ? a![i]! : b![i % 4]!)),
    [given(1, [3, 4]), given(2, [4])],
  )
  await gradcheck(
    gpu,
    x => kg.where(kg.gt(x, 0), kg.square(x), 0.5),
    x => x!.map(v => (v > 0 ? v * v : 0.5)),
    [smooth(3, [9])],
  )
  const x = tensor(gpu, Float32Array.of(-1, 4), [2], { requiresGrad: true })
  scope(() => kg.sum(kg.where(kg.gt(x, 0), kg.sqrt(x), 0)).backward())
  assert.is((await x.grad!.read())[1], 0.25)
  x.dispose()
})

test('comparisons are 0 or 1, and constants to the tape', async () => {
  const [a, b] = [given(1, [3, 5]), given(2, [5])]
  b.data[2] = a.data[2]!
  for (const name of ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const) {
    const y = scope(() =>
      binaryOps[name]!(
        tensor(gpu, a.data, a.shape, { requiresGrad: true }),
        tensor(gpu, b.data, b.shape, { requiresGrad: true }),
      ),
    )
    assert.not(y.requiresGrad)
    expectClose(await y.read(), reference.pointwise(name, [a, b], { shape: a.shape }), 0)
    y.dispose()
  }
})

test('equal values share the gradient of maximum', async () => {
  const a = tensor(gpu, Float32Array.of(1, 5), [2], { requiresGrad: true })
  const same = tensor(gpu, Float32Array.of(1, 4), [2], { requiresGrad: true })
  scope(() => kg.sum(kg.maximum(a, same)).backward())
  assert.equal([...(await a.grad!.read())], [0.5, 1])
  assert.equal([...(await same.grad!.read())], [0.5, 0])
  for (const made of [a, same]) made.dispose()
})

test('halves: results and gradients follow the operands', async () => {
  const shape = [3, 8]
  const [x, row] = [uniform(24, 1), uniform(8, 2)]
  const half = (v: ArrayLike<number>) =>
    Float64Array.from(Array.from(v), one => reference.roundF16([one])[0]!)
  const [a, b] = [
    tensor(gpu, x, shape, { requiresGrad: true }),
    tensor(gpu, row, [8], { requiresGrad: true }),
  ]
  const [product, mixed, mask] = scope(() => {
    const [ha, hb] = [kg.cast(a, 'f16'), kg.cast(b, 'f16')]
    const product = kg.mul(ha, hb).keep()
    const mixed = kg.add(ha, b).keep()
    const mask = kg.lt(ha, hb)
    kg.sum(kg.mul(product, 2)).backward()
    return [product, mixed, mask]
  })
  assert.equal([product!.dtype, mixed!.dtype, mask!.dtype], ['f16', 'f32', 'f16'])
  const [h, r] = [half(x), half(row)]
  expectClose(await product!.read(), half(h.map((v, i) => v * r[i % 8]!)), 0)
  expectClose(
    await mixed!.read(),
    h.map((v, i) => v + row[i % 8]!),
    1e-6,
  )
  expectClose(await a.grad!.read(), half(h.map((_, i) => 2 * r[i % 8]!)), 0)
  expectClose(await b.grad!.read(), half(r.map((_, c) => 2 * (h[c]! + h[8 + c]! + h[16 + c]!))), 1e-3)
  for (const made of [a, b, product, mixed, mask]) made!.dispose()
})

const AXES: [shape: number[], axes: kg.Axes][] = [
  [[7], 0],
  [[3, 5], 1],
  [[3, 8], 0],
  [[3, 4], -1],
  [
    [2, 3, 4],
    [0, 2],
  ],
  [[2, 1, 5], 1],
  [
    [2, 3, 2, 2, 3],
    [1, -1],
  ],
]
const countOver = (shape: number[], axes: readonly number[]) => axes.reduce((n, axis) => n * shape[axis]!, 1)
const wholeAxes = (shape: number[], axes: kg.Axes) =>
  (typeof axes === 'number' ? [axes] : axes).map(axis => (axis < 0 ? axis + shape.length : axis))

for (const keepdim of [false, true]) {
  test(`reductions: gradients over every kind of axes${keepdim ? ', kept with size 1' : ''}`, async () => {
    const checks = AXES.map(async ([shape, named]) => {
      const axes = wholeAxes(shape, named)
      const left = keepdim
        ? shape.map((size, d) => (axes.includes(d) ? 1 : size))
        : shape.filter((_, d) => !axes.includes(d))
      const check = (fn: (x: Tensor) => Tensor, oracle: (x: Float64Array) => ArrayLike<number>) =>
        gradcheck(
          gpu,
          x => {
            const y = fn(x!)
            assert.equal(y.shape, left)
            return y
          },
          x => oracle(x!),
          [given(shape.length, shape)],
        )
      const of = (kind: 'sum' | 'max' | 'min' | 'logSumExp') => (x: Float64Array) =>
        reference.axisReduce({ kind, x, shape, axes })
      const n = countOver(shape, axes)
      const spread = (x: Float64Array) => {
        const squares = of('sum')(x.map(v => v * v))
        return of('sum')(x).map((total, i) => (squares[i]! - (total * total) / n) / (n - 1))
      }
      await Promise.all([
        check(x => kg.sum(x, named, { keepdim }), of('sum')),
        check(
          x => kg.mean(x, named, { keepdim }),
          x => of('sum')(x).map(v => v / n),
        ),
        check(x => kg.max(x, named, { keepdim }), of('max')),
        check(x => kg.min(x, named, { keepdim }), of('min')),
        check(x => kg.logSumExp(x, named, { keepdim }), of('logSumExp')),
        n > 1 && check(x => kg.variance(x, named, { keepdim }), spread),
        n > 1 &&
          check(
            x => kg.std(x, named, { keepdim }),
            x => spread(x).map(Math.sqrt),
          ),
      ])
    })
    await Promise.all(checks)
  })
}

test('a reduction of everything', async () => {
  const x = given(1, [3, 5])
  const all = (fn: (x: Tensor) => Tensor, oracle: (x: Float64Array) => number) =>
    gradcheck(gpu, fn, x => [oracle(x!)], [x])
  await all(
    x => kg.max(x!),
    x => Math.max(...x),
  )
  await all(
    x => kg.logSumExp(x!),
    x => Math.log(x.reduce((sum, v) => sum + Math.exp(v), 0)),
  )
  await all(
    x => kg.variance(x!, undefined, { correction: 0 }),
    x => {
      const mean = x.reduce((sum, v) => sum + v, 0) / 15
      return x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 15
    },
  )
})

test('equal largest values share the gradient, and rows of -infinity get none', async () => {
  const x = tensor(gpu, Float32Array.of(3, 1, 3, 2, 0, 0, 0, 0), [2, 4], { requiresGrad: true })
  scope(() => kg.sum(kg.max(x, 1)).backward())
  assert.equal([...(await x.grad!.read())], [0.5, 0, 0.5, 0, 0.25, 0.25, 0.25, 0.25])
  const low = tensor(gpu, Float32Array.of(-Infinity, -Infinity, 0, -Infinity), [2, 2], { requiresGrad: true })
  scope(() => {
    const y = kg.logSumExp(low, 1)
    y.backward({ seed: tensor(gpu, Float32Array.of(1, 1)) })
  })
  assert.equal([...(await low.grad!.read())], [0, 0, 1, 0])
  for (const made of [x, low]) made.dispose()
})

test('a variance without freedom and a mean of nothing are NaN', async () => {
  const x = tensor(gpu, uniform(3, 1), [3, 1])
  const none = tensor(gpu, [], [2, 0])
  const [spread, middle] = scope(() => [kg.variance(x, 1), kg.mean(none, 1)])
  for (const value of [...(await spread!.read()), ...(await middle!.read())]) assert.ok(Number.isNaN(value))
  assert.equal([spread!.size, middle!.size], [3, 2])
  for (const made of [x, none, spread, middle]) made!.dispose()
})

test('wrong operands and axes are refused by name', () => {
  const x = tensor(gpu, uniform(6, 1), [2, 3])
  const words = tensor(gpu, Uint32Array.of(1, 2, 3))
  assert.throws(
    () => kg.mul(x, tensor(gpu, uniform(2, 1))),
    /^mul: shapes \[2, 3\] and \[2\] do not broadcast/,
  )
  assert.throws(() => kg.mul(x, words), /^mul: operand b is u32, expected f32 or f16/)
  assert.throws(() => kg.mul(2, 3), /^mul takes a tensor among its operands, got 2 and 3/)
  assert.throws(() => kg.sum(x, 2), /^sum: dimension 2 of shape \[2, 3\], expected -2 to 1/)
  assert.throws(() => kg.mean(x, [0, -2]), /^mean: dimension 0 is named twice/)
  assert.throws(() => kg.max(x, 0.5), /^max: dimension 0.5 of shape/)
  assert.throws(() => kg.max(tensor(gpu, [], [2, 0]), 1), /^max: dimension 1 of shape \[2, 0\] has no values/)
  for (const made of [x, words]) made.dispose()
})

test.after(() => gpu.close())
test.run()
