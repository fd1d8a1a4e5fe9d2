import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { conv1dMax, conv1dMaxBackward } from '../../src/kernels/conv1d_max.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

const rowsOf = (cuSeqlens: number[]) =>
  Uint32Array.from(cuSeqlens.slice(1).flatMap((end, b) => Array<number>(end - cuSeqlens[b]!).fill(b)))

for (const [cuSeqlens, I, F, W] of [
  [[0, 1], 1, 1, 1],
  [[0, 5, 5, 6, 13], 3, 7, 2],
  [[0, 2, 4], 5, 3, 3],
  [[0, 9, 9, 80, 81], 9, 67, 3],
  [[0, ...Array.from({ length: 70 }, (_, b) => 3 * b + 3)], 4, 5, 1],
] as [number[], number, number, number][]) {
  const [B, T] = [cuSeqlens.length - 1, cuSeqlens.at(-1)!]
  test(`windows of ${W} over ${T} tokens in ${B} rows, ${I} to ${F}, and their gradients, agree with the oracle`, async () => {
    const [x, weight, bias] = [seeded(T * I, T), seeded(F * I * W, F), seeded(F, 3)]
    const sizes = { B, T, I, F, W }
    const [y, at] = [guarded(gpu, B * F), guarded(gpu, B * F)]
    const read = { x: gpu.from(x), weight: gpu.from(weight) }
    const starts = gpu.from(Uint32Array.from(cuSeqlens))
    conv1dMax(gpu, { ...read, bias: gpu.from(bias), cuSeqlens: starts, y: y.view, at: at.view, ...sizes })
    const expected = reference.conv1dMax({ x, weight, bias, cuSeqlens, I, F, W })
    expectClose(await gpu.readFloats(y.view), expected.y, 2e-6)
    assert.equal(await gpu.readUints(at.view), expected.at)
    const dy = seeded(B * F, 5)
    const [dx, dweight, dbias] = [guarded(gpu, T * I), guarded(gpu, F * I * W), guarded(gpu, F)]
    const backward = {
      ...read,
      rowIds: gpu.from(rowsOf(cuSeqlens)),
      at: gpu.from(expected.at),
      dy: gpu.from(dy),
    }
    conv1dMaxBackward(gpu, { ...backward, dx: dx.view, dweight: dweight.view, dbias: dbias.view, ...sizes })
    const wanted = reference.conv1dMaxBackward({ x, weight, cuSeqlens, at: expected.at, dy, I, F, W })
    expectClose(await gpu.readFloats(dx.view), wanted.dx, 2e-6, { label: 'dx' })
    expectClose(await gpu.readFloats(dweight.view), wanted.dweight, 2e-6, { label: 'dweight' })
    expectClose(await gpu.readFloats(dbias.view), wanted.dbias, 2e-6, { label: 'dbias' })
    conv1dMaxBackward(gpu, {
      ...{ ...backward, dweight: dweight.view, dbias: dbias.view, ...sizes },
      addTo: { weight: true, bias: false },
    })
    const twice = wanted.dweight.map(d => 2 * d)
    expectClose(await gpu.readFloats(dweight.view), twice, 2e-6, { label: 'added' })
    expectClose(await gpu.readFloats(dbias.view), wanted.dbias, 2e-6, { label: 'overwritten' })
    for (const one of [y, at, dx, dweight, dbias]) await one.checkNeighbours()
  })
}

test('of equal windows the first has the gradient, NaN wins, and values below 0 have none', async () => {
  const sizes = { B: 3, T: 6, I: 1, F: 1, W: 1 }
  const x = gpu.from(Float32Array.of(2, 2, 1, Number.NaN, -1, -3))
  const cuSeqlens = gpu.from(Uint32Array.of(0, 2, 4, 6))
  const [weight, bias] = [gpu.from(Float32Array.of(1)), gpu.from(Float32Array.of(0))]
  const [y, at] = [guarded(gpu, 3), guarded(gpu, 3)]
  conv1dMax(gpu, { x, weight, bias, cuSeqlens, y: y.view, at: at.view, ...sizes })
  assert.equal([...(await gpu.readFloats(y.view))], [2, Number.NaN, 0])
  assert.equal([...(await gpu.readUints(at.view))], [0, 3, 0xffffffff])
})

test.after(() => gpu.close())
test.run()
