import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type AxisReduction, axisReduce } from '../../src/kernels/axis_reduce.ts'
import * as reference from '../../src/reference/index.ts'
import { packHalves, unpackHalves } from '../../src/testing/half.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const numel = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
const KINDS: AxisReduction[] = ['sum', 'max', 'min', 'logSumExp']

for (const [shape, axes, scale] of [
  [[7], [0], 1],
  [[5, 3], [1], 1e4],
  [[5, 8], [1], 1],
  [[5, 8], [0], 1e-8],
  [[3, 5, 7], [1], 1],
  [[3, 5, 8], [0, 2], 10],
  [[2, 3, 2, 5, 2, 4], [1, 3, 5], 1],
  [[1, 1, 6], [0, 2], 1],
  [[4, 1, 6], [1], 1],
  [[3, 4], [], 1],
  [[2, 1033], [1], 1],
  [[2, 4 * 1033], [1], 1],
  [[1033, 12], [0], 1],
  [[70_001, 2], [1], 1],
  [[3, 900, 20], [1], 1],
  [[2, 300, 7], [1], 1],
  [[100_003], [0], 1],
] as [number[], number[], number][]) {
  test(`reductions of [${shape}] over [${axes}] agree with the oracle, values to ${scale}`, async () => {
    const x = seeded(numel(shape), shape.length, scale)
    const view = gpu.from(x)
    const left = numel(shape.filter((_, d) => !axes.includes(d)))
    const results = KINDS.map(kind => {
      const out = guarded(gpu, left)
      const factor = kind === 'sum' ? 0.5 : 1
      axisReduce(gpu, { kind, x: view, shape, axes, out: out.view, factor })
      return { kind, out, factor }
    })
    for (const { kind, out, factor } of results) {
      const expected = reference.axisReduce({ kind, x, shape, axes, factor })
      expectClose(await gpu.readFloats(out.view), expected, 1e-6, { label: kind })
      await out.checkNeighbours()
    }
  })
}

test('halves are reduced in float32', async () => {
  const shape = [6, 5, 8]
  const words = packHalves(seeded(numel(shape), 3, 4))
  const [x, view] = [unpackHalves(words), gpu.from(words)]
  const all = KINDS.flatMap(kind => [[0], [1], [2], [1, 2], [0, 1, 2]].map(axes => ({ kind, axes })))
  await Promise.all(
    all.map(async ({ kind, axes }) => {
      const out = guarded(gpu, numel(shape.filter((_, d) => !axes.includes(d))))
      axisReduce(gpu, { kind, x: view, shape, axes, out: out.view, storage: 'f16' })
      const expected = reference.axisReduce({ kind, x, shape, axes })
      expectClose(await gpu.readFloats(out.view), expected, 1e-6, { label: `${kind} over ${axes}` })
      await out.checkNeighbours()
    }),
  )
})

test('NaN wins, and infinities are what they are', async () => {
  const inf = Number.POSITIVE_INFINITY
  const rows: [row: number[], max: number, min: number, logSumExp: number][] = [
    [[1, Number.NaN, inf, 2], Number.NaN, Number.NaN, Number.NaN],
    [[Number.NaN, 1, 2, 3], Number.NaN, Number.NaN, Number.NaN],
    [[1, 2, 3, Number.NaN], Number.NaN, Number.NaN, Number.NaN],
    [[-inf, -inf, -inf, -inf], -inf, -inf, -inf],
    [[-inf, 0, -inf, -inf], 0, -inf, 0],
    [[inf, 1, -inf, 3], inf, -inf, inf],
    [[1e4, 1e4, -1e4, 1e4], 1e4, -1e4, 1e4 + Math.log(3)],
  ]
  for (const width of [4, 3]) {
    const x = Float32Array.from(
      rows.flatMap(([row]) => (width === 4 ? row : [...row, ...row, ...row, row[1]!])),
    )
    const shape = [rows.length, x.length / rows.length]
    for (const [place, kind] of (['max', 'min', 'logSumExp'] as const).entries()) {
      const out = guarded(gpu, rows.length)
      axisReduce(gpu, { kind, x: gpu.from(x), shape, axes: [1], out: out.view })
      const found = await gpu.readFloats(out.view)
      for (const [i, row] of rows.entries()) {
        const many = kind === 'logSumExp' && width === 3 && Number.isFinite(row[3])
        const expected = many
          ? reference.axisReduce({
              kind,
              x: x.subarray(i * shape[1]!, (i + 1) * shape[1]!),
              shape: [shape[1]!],
              axes: [0],
            })[0]!
          : (row[1 + place] as number)
        const close =
          Object.is(found[i], expected) ||
          found[i] === expected ||
          Math.abs(found[i]! - expected) <= 1e-6 * Math.abs(expected)
        assert.ok(close, `${kind} of ${row[0]}: got ${found[i]}, expected ${expected}`)
      }
    }
  }
})

test('nothing to reduce gives what begins', async () => {
  for (const [kind, expected] of [
    ['sum', 0],
    ['max', Number.NEGATIVE_INFINITY],
    ['min', Number.POSITIVE_INFINITY],
    ['logSumExp', Number.NEGATIVE_INFINITY],
  ] as const) {
    const out = guarded(gpu, 3)
    axisReduce(gpu, { kind, x: gpu.acquire(4), shape: [3, 0], axes: [1], out: out.view })
    assert.equal(await gpu.readFloats(out.view), new Float32Array(3).fill(expected))
  }
  const { launches } = gpu.counts
  axisReduce(gpu, { kind: 'sum', x: gpu.acquire(4), shape: [0, 3], axes: [1], out: gpu.acquire(4) })
  assert.is(gpu.counts.launches, launches)
})

test('an infinite factor, as that of a mean of nothing, is multiplied by', async () => {
  const [x, out] = [gpu.from(Float32Array.of(1, 2, -3, 1, 0, 0)), gpu.acquire(12)]
  axisReduce(gpu, { kind: 'sum', x, shape: [3, 2], axes: [1], out, factor: Number.POSITIVE_INFINITY })
  const { POSITIVE_INFINITY: up, NEGATIVE_INFINITY: down, NaN: none } = Number
  assert.equal([...(await gpu.readFloats({ ...out, size: 12 }))], [up, down, none])
  const nothing = { kind: 'sum', x, shape: [3, 0], axes: [1], out } as const
  axisReduce(gpu, { ...nothing, factor: Number.POSITIVE_INFINITY })
  assert.equal([...(await gpu.readFloats({ ...out, size: 12 }))], [none, none, none])
  assert.throws(() => axisReduce(gpu, { ...nothing, factor: none }), /axisReduce: factor is NaN/)
})

test.after(() => gpu.close())
test.run()
