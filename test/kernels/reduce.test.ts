import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { View } from '../../src/gpu/index.ts'
import { columnSum, gradNorm, sum } from '../../src/kernels/reduce.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const read = async (view: View) => (await gpu.readFloats({ ...view, size: 4 }))[0]!

async function total(x: Float32Array<ArrayBuffer>): Promise<number> {
  const out = guarded(gpu, 1)
  const xView = gpu.from(x)
  sum(gpu, { x: xView, out: out.view, n: x.length })
  const value = await read(out.view)
  await out.checkNeighbours()
  gpu.release(xView)
  return value
}

for (const n of [1, 3, 64, 255, 4096, 4097, 16385, 70_000, 1_048_577]) {
  test(`sum agrees with the oracle: n ${n}`, async () => {
    const x = seeded(n, n).map(v => v + 1)
    expectClose([await total(x)], [reference.sum(x)], 1e-6)
    const mixed = seeded(n, n, 1e4)
    const magnitude = reference.sum(mixed.map(Math.abs))
    expectClose([await total(mixed)], [reference.sum(mixed)], 1e-6 * magnitude, { absolute: true })
  })
}

test('sums of 16 M values keep a relative error below 1e-6, and are the same each time', async () => {
  const n = 1 << 24
  for (const x of [new Float32Array(n).fill(0.1), seeded(n, 5).map(v => (v + 1) * 1e-8)]) {
    const expected = reference.sum(x)
    const first = await total(x)
    assert.ok(Math.abs(first - expected) <= 1e-6 * expected, `${first} against ${expected}`)
    assert.is(await total(x), first)
  }
})

test('sum: factor, and 0 for no elements', async () => {
  const out = gpu.acquire(4)
  sum(gpu, { x: gpu.from(Float32Array.of(1, 2, 3, 4)), out, n: 4, factor: 0.25 })
  assert.is(await read(out), 2.5)
  sum(gpu, { x: gpu.acquire(4), out, n: 0 })
  assert.is(await read(out), 0)
})

for (const [rows, C] of [
  [1, 1],
  [1, 5],
  [3, 7],
  [17, 768],
  [101, 64],
  [1000, 2],
  [641, 12],
  [2, 1001],
  [4099, 65], // longer than one launch takes on a GPU
  [5000, 32],
] as const) {
  test(`columnSum agrees with the oracle, overwriting and adding: ${rows} x ${C}`, async () => {
    const [x, before] = [seeded(rows * C, rows), seeded(C, C)]
    const [out, more] = [guarded(gpu, C), guarded(gpu, C)]
    const xView = gpu.from(x)
    columnSum(gpu, { x: xView, out: out.view, rows, C })
    gpu.upload(more.view, before)
    columnSum(gpu, { x: xView, out: more.view, rows, C, accumulate: true })
    const expected = reference.columnSum({ x, rows, C })
    expectClose(await gpu.readFloats(out.view), expected, 2e-6)
    expectClose(await gpu.readFloats(more.view), reference.add(expected, before), 2e-6)
    await out.checkNeighbours()
    await more.checkNeighbours()
  })
}

test('columnSum over no rows is zero, or leaves what it adds to', async () => {
  const [x, out] = [gpu.acquire(4), guarded(gpu, 5)]
  columnSum(gpu, { x, out: out.view, rows: 0, C: 5 })
  assert.equal(await gpu.readFloats(out.view), new Float32Array(5))
  gpu.upload(out.view, seeded(5, 1))
  columnSum(gpu, { x, out: out.view, rows: 0, C: 5, accumulate: true })
  assert.equal(await gpu.readFloats(out.view), seeded(5, 1))
  await out.checkNeighbours()
})

async function norms(arrays: Float32Array<ArrayBuffer>[], maxNorm: number): Promise<[number, number]> {
  const [norm, coefficient] = [guarded(gpu, 1), guarded(gpu, 1)]
  const parts = arrays.map(x => ({ view: gpu.from(x), n: x.length }))
  gradNorm(gpu, { parts, maxNorm, norm: norm.view, coefficient: coefficient.view })
  const values: [number, number] = [await read(norm.view), await read(coefficient.view)]
  await norm.checkNeighbours()
  await coefficient.checkNeighbours()
  for (const { view } of parts) gpu.release(view)
  return values
}

for (const [label, sizes, scale] of [
  ['one element', [1], 1],
  ['odd parts, one of them empty', [5, 0, 1023, 4097, 768], 1],
  ['many values', [300_001, 1_000_000, 65_536], 1e-8],
  ['more partial sums than the last stage takes', [2_400_000], 1e4],
] as const) {
  test(`gradNorm agrees with the oracle: ${label}`, async () => {
    const arrays = sizes.map((n, i) => seeded(n, i + 1, scale))
    const expected = Math.sqrt(reference.sumOfSquares(arrays))
    for (const maxNorm of [expected / 3, expected * 3]) {
      const [norm, coefficient] = await norms(arrays, maxNorm)
      expectClose([norm], [expected], 1e-6)
      expectClose([coefficient], [reference.clipCoefficient(expected, maxNorm)], 1e-6)
    }
  })
}

test('gradNorm takes parts that are computed one after the other, into the same memory, among others', async () => {
  const sizes = [70_000, 5, 4096, 768, 3, 12_288, 64, 1025, 4097, 8, 100]
  const arrays = sizes.map((n, i) => seeded(n, i + 1))
  const shared = gpu.acquire(70_000 * 4)
  const parts = arrays.map((x, i) => {
    const n = x.length
    if (i % 3) return { view: gpu.from(x), n }
    const compute = () => {
      gpu.upload(shared, x)
      return shared
    }
    return { view: compute, n }
  })
  const [norm, coefficient] = [gpu.acquire(4), gpu.acquire(4)]
  const { launches } = gpu.counts
  gradNorm(gpu, { parts, maxNorm: 1, norm, coefficient })
  // On a GPU seven at a time, apart from those that are computed; odd sizes by themselves.
  if (gpu.forms.kind === 'hardware') assert.is(gpu.counts.launches - launches, 4 + 2 + 1)
  expectClose([await read(norm)], [Math.sqrt(reference.sumOfSquares(arrays))], 1e-6)
})

test('gradNorm does not clip without a maximum, and is zero without parts', async () => {
  const x = seeded(100, 1, 50)
  for (const maxNorm of [0, -1, Number.POSITIVE_INFINITY]) {
    const [norm, coefficient] = await norms([x], maxNorm)
    expectClose([norm], [Math.sqrt(reference.sumOfSquares([x]))], 1e-6)
    assert.is(coefficient, 1)
  }
  assert.equal(await norms([], 1), [0, 1])
})

test('scratch buffers go back to the pool', () => {
  const { buffers } = gpu.memory
  const [x, out, norm] = [gpu.acquire(4 << 20), gpu.acquire(4), gpu.acquire(4)]
  sum(gpu, { x, out, n: 1 << 20 })
  columnSum(gpu, { x, out, rows: 1 << 20, C: 1 })
  gradNorm(gpu, { parts: [{ view: x, n: 1 << 20 }], maxNorm: 1, norm, coefficient: out })
  assert.is(gpu.memory.buffers, buffers + 3)
})

test.after(() => gpu.close())
test.run()
