// Operations that move elements: values and gradients against index arithmetic in plain loops.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/autograd/index.ts'
import { scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import * as reference from '../../src/reference/index.ts'
import { gradcheck, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const numel = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
const given = (seed: number, ...shape: number[]) => ({ data: uniform(numel(shape), seed), shape })

/** Values of `shape`, each from where `place` says; a place is a flat index into the inputs side by side. */
interface Case {
  name: string
  inputs: { data: Float32Array; shape: number[] }[]
  fn: (...inputs: Tensor[]) => Tensor
  shape: number[]
  /** Which input, and which element of it. */
  place: (...index: number[]) => [input: number, element: number]
}

const cases: Case[] = [
  {
    name: 'permute',
    inputs: [given(1, 2, 3, 5)],
    fn: x => kg.permute(x, [2, 0, -2]),
    shape: [5, 2, 3],
    place: (a, b, c) => [0, (b * 3 + c) * 5 + a],
  },
  {
    name: 'transpose of rows of eight',
    inputs: [given(2, 3, 4, 8)],
    fn: x => kg.transpose(x, 0, 1),
    shape: [4, 3, 8],
    place: (a, b, c) => [0, (b * 4 + a) * 8 + c],
  },
  {
    name: 'transpose of the last two',
    inputs: [given(3, 2, 3, 4)],
    fn: x => kg.transpose(x),
    shape: [2, 4, 3],
    place: (a, b, c) => [0, (a * 3 + c) * 4 + b],
  },
  {
    name: 'slice with a step, from the end',
    inputs: [given(4, 3, 11)],
    fn: x => kg.slice(x, 1, { start: -9, end: 20, step: 3 }),
    shape: [3, 3],
    place: (a, b) => [0, a * 11 + 2 + 3 * b],
  },
  {
    name: 'select',
    inputs: [given(5, 3, 4, 2)],
    fn: x => kg.select(x, 1, -1),
    shape: [3, 2],
    place: (a, b) => [0, (a * 4 + 3) * 2 + b],
  },
  {
    name: 'expand',
    inputs: [given(6, 3, 1)],
    fn: x => kg.expand(x, [2, -1, 4]),
    shape: [2, 3, 4],
    place: (_, b) => [0, b],
  },
  {
    name: 'concat along the first',
    inputs: [given(7, 2, 3), given(8, 1, 3), given(9, 4, 3)],
    fn: (a, b, c) => kg.concat([a, b, c], 0),
    shape: [7, 3],
    place: (a, b) => (a < 2 ? [0, a * 3 + b] : a < 3 ? [1, b] : [2, (a - 3) * 3 + b]),
  },
  {
    name: 'concat in the middle',
    inputs: [given(10, 2, 1, 4), given(11, 2, 3, 4)],
    fn: (a, b) => kg.concat([a, b], 1),
    shape: [2, 4, 4],
    place: (a, b, c) => (b < 1 ? [0, a * 4 + c] : [1, (a * 3 + b - 1) * 4 + c]),
  },
  {
    name: 'concat of vectors, one twice',
    inputs: [given(12, 3), given(13, 5)],
    fn: (a, b) => kg.concat([a, b, a], 0),
    shape: [11],
    place: a => (a < 3 ? [0, a] : a < 8 ? [1, a - 3] : [0, a - 8]),
  },
  {
    name: 'stack at the end',
    inputs: [given(14, 2, 3), given(15, 2, 3)],
    fn: (a, b) => kg.stack([a, b], -1),
    shape: [2, 3, 2],
    place: (a, b, c) => [c, a * 3 + b],
  },
  {
    name: 'split, and the parts in another order',
    inputs: [given(16, 3, 7)],
    fn: x => {
      const [a, b, c] = kg.split(x, [2, 4, 1], 1)
      return kg.concat([c!, a!, b!], 1)
    },
    shape: [3, 7],
    place: (a, b) => [0, a * 7 + (b === 0 ? 6 : b - 1)],
  },
  {
    name: 'rows by number, some repeated',
    inputs: [given(17, 4, 5)],
    fn: x => kg.takeRows(x, Uint32Array.of(3, 0, 3, 3, 1)),
    shape: [5, 5],
    place: (a, b) => [0, [3, 0, 3, 3, 1][a]! * 5 + b],
  },
  {
    name: 'places of a middle dimension by number',
    inputs: [given(18, 2, 3, 4)],
    fn: x => kg.indexSelect(x, 1, Uint32Array.of(2, 2, 0)),
    shape: [2, 3, 4],
    place: (a, b, c) => [0, (a * 3 + [2, 2, 0][b]!) * 4 + c],
  },
  {
    name: 'reshape with a size left open',
    inputs: [given(19, 4, 6)],
    fn: x => kg.reshape(x, [3, -1, 2]),
    shape: [3, 4, 2],
    place: (a, b, c) => [0, (a * 4 + b) * 2 + c],
  },
  {
    name: 'squeeze and unsqueeze',
    inputs: [given(20, 3, 1, 5)],
    fn: x => kg.unsqueeze(kg.squeeze(x, 1), -1),
    shape: [3, 5, 1],
    place: (a, b) => [0, a * 5 + b],
  },
]

for (const { name, inputs, fn, shape, place } of cases) {
  test(`${name}: every element is where it belongs, and so is its gradient`, async () => {
    const buffers = gpu.memory.buffers
    const oracle = (...arrays: ArrayLike<number>[]) =>
      Float64Array.from({ length: numel(shape) }, (_, i) => {
        const index: number[] = []
        for (let [d, rest] = [shape.length - 1, i]; d >= 0; d--) {
          index.unshift(rest % shape[d]!)
          rest = Math.floor(rest / shape[d]!)
        }
        const [input, element] = place(...index)
        return arrays[input]![element]!
      })
    const y = scope(() => fn(...inputs.map(({ data, shape }) => tensor(gpu, data, shape))))
    assert.equal(y.shape, shape)
    assert.equal(await y.read(), Float32Array.from(oracle(...inputs.map(({ data }) => data))))
    y.dispose()
    await gradcheck(gpu, fn, oracle, inputs)
    assert.is(gpu.memory.buffers, buffers, 'every buffer came back')
  })
}

test('halves stay halves where they can, and go through float32 where they have to', async () => {
  const x = Float32Array.from(reference.roundF16(uniform(64, 3)))
  const at = (r: number, c: number) => x[r * 8 + c]!
  const half = scope(() => kg.cast(tensor(gpu, x, [8, 8]), 'f16'))
  const results: [y: Tensor, dtype: string, value: (i: number) => number][] = [
    [kg.transpose(half), 'f16', i => at(i % 8, i >> 3)],
    [kg.slice(half, 0, { start: 1, end: 3 }), 'f16', i => at(1 + (i >> 3), i % 8)],
    [kg.slice(half, 1, { start: 3 }), 'f32', i => at(Math.floor(i / 5), 3 + (i % 5))],
    [kg.slice(half, 1, { start: 2, end: 6 }), 'f16', i => at(i >> 2, 2 + (i % 4))],
    [kg.concat([half, half], 1), 'f16', i => at(i >> 4, i % 8)],
    [kg.stack([half, half], 2), 'f32', i => at(i >> 4, (i >> 1) % 8)],
    [kg.select(half, 1, 2), 'f32', i => at(i, 2)],
    [kg.expand(kg.reshape(half, [1, 8, 8]), [2, 8, 8]), 'f16', i => x[i % 64]!],
  ]
  for (const [y, dtype, value] of results) {
    assert.is(y.dtype, dtype)
    assert.equal(
      await y.read(),
      Float32Array.from({ length: y.size }, (_, i) => value(i)),
    )
    y.dispose()
  }
})

test('repeated rows add up in the order they are named, the same in every run', async () => {
  const rows = Uint32Array.from({ length: 500 }, (_, i) => (i * 7) % 3)
  const dy = uniform(500 * 4, 1, { low: -1e3, high: 1e3 })
  const grads = []
  for (let run = 0; run < 2; run++) {
    const x = tensor(gpu, uniform(12, 2), [3, 4], { requiresGrad: true })
    scope(() => kg.takeRows(x, rows).backward({ seed: tensor(gpu, dy, [500, 4]) }))
    grads.push(await x.grad!.read())
    x.dispose()
  }
  const expected = new Float32Array(12)
  for (const [i, row] of rows.entries())
    for (let c = 0; c < 4; c++) expected[row * 4 + c] = Math.fround(expected[row * 4 + c]! + dy[i * 4 + c]!)
  assert.equal(grads[0], expected)
  assert.equal(grads[1], expected)
})

test('empty results', async () => {
  const x = tensor(gpu, uniform(6, 1), [2, 3], { requiresGrad: true })
  const none = scope(() => kg.slice(x, 0, { start: 2 }))
  assert.equal(none.shape, [0, 3])
  scope(() => kg.sum(kg.concat([none, x], 0)).backward())
  assert.equal([...(await x.grad!.read())], [1, 1, 1, 1, 1, 1])
  for (const made of [x, none]) made.dispose()
})

test('what cannot be moved is refused by name', () => {
  const x = tensor(gpu, uniform(6, 1), [2, 3])
  assert.throws(() => kg.permute(x, [0, 0]), /^permute: order \[0, 0\] for shape \[2, 3\]/)
  assert.throws(() => kg.permute(x, [0]), /^permute: order \[0\]/)
  assert.throws(() => kg.slice(x, 0, { step: 0 }), /^slice: step is 0, expected 1 or more/)
  assert.throws(() => kg.slice(x, 0, { start: 0.5 }), /^slice: start is 0.5/)
  assert.throws(() => kg.select(x, 1, 3), /^select: index 3 of dimension 1, expected -3 to 2/)
  assert.throws(() => kg.split(x, [1, 1], 1), /^split: sizes \[1, 1\] of dimension 1, which is 3/)
  assert.throws(() => kg.split(x, 0), /^split: size 0/)
  assert.throws(() => kg.expand(x, [2, 4]), /^expand: \[2, 3\] cannot be repeated to \[2, 4\]/)
  assert.throws(() => kg.expand(x, [3]), /^expand/)
  assert.throws(
    () => kg.concat([x, tensor(gpu, uniform(8, 1), [2, 4])], 0),
    /^concat: shapes \[2, 3\] and \[2, 4\]/,
  )
  assert.throws(() => kg.concat([], 0), /^concat takes at least one tensor/)
  assert.throws(() => kg.stack([x, tensor(gpu, uniform(8, 1), [2, 4])]), /^stack: shapes/)
  assert.throws(() => kg.reshape(x, [-1, 4]), /^reshape: \[2,3\] has 6 elements/)
  assert.throws(() => kg.reshape(x, [-1, -1]), /^reshape/)
  assert.throws(() => kg.squeeze(x, 0), /^squeeze: dimension 0 of shape \[2, 3\], expected size 1/)
  assert.throws(() => kg.indexSelect(x, 1, Uint32Array.of(3)), /^indexSelect: place 3 of dimension 1/)
  assert.throws(() => kg.takeRows(x, Uint32Array.of(2)), /^takeRows: row 2/)
  x.dispose()
})

test.after(() => gpu.close())
test.run()
