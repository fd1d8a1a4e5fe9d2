import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { add, addInto, fill, scale, scaleBy } from '../../src/kernels/elementwise.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [n, size] of [
  [1, 1],
  [7, 1e-8],
  [1024, 1],
  [4099, 1e4],
  [8200, 1],
] as const) {
  test(`elementwise kernels agree with the oracle, neighbours stay untouched: n ${n}, values to ${size}`, async () => {
    const [a, b] = [seeded(n, n, size), seeded(n, n + 1, size)]
    const [aView, bView] = [gpu.from(a), gpu.from(b)]
    const out = Array.from({ length: 5 }, () => guarded(gpu, n))
    const [sum, into, scaled, scaledBy, filled] = out.map(({ view }) => view)
    add(gpu, { a: aView, b: bView, out: sum!, n })
    gpu.upload(into!, b)
    addInto(gpu, { x: aView, into: into!, n })
    scale(gpu, { x: aView, y: scaled!, factor: -0.37, n })
    scaleBy(gpu, { x: aView, y: scaledBy!, factor: gpu.from(Float32Array.of(3.7)), n })
    fill(gpu, { out: filled!, value: 0.1, n })
    expectClose(await gpu.readFloats(sum!), reference.add(a, b), 1e-7)
    assert.equal(await gpu.readFloats(into!), await gpu.readFloats(sum!))
    expectClose(await gpu.readFloats(scaled!), reference.scale(a, -0.37), 2e-7)
    expectClose(await gpu.readFloats(scaledBy!), reference.scale(a, 3.7), 2e-7)
    assert.equal(await gpu.readFloats(filled!), new Float32Array(n).fill(0.1))
    for (const { checkNeighbours } of out) await checkNeighbours()
  })
}

test('fill takes infinities and every number of float32, and nothing else', async () => {
  const out = gpu.acquire(36)
  for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3.4e38, 1e-45, -0, 16777217]) {
    fill(gpu, { out, value, n: 9 })
    const got = await gpu.readFloats({ ...out, size: 36 })
    assert.equal(new Uint32Array(got.buffer), new Uint32Array(new Float32Array(9).fill(value).buffer))
  }
  for (const value of [Number.NaN, 1e39, '1' as unknown as number])
    assert.throws(
      () => fill(gpu, { out, value, n: 9 }),
      /fill: value is .*, expected a number that float32 holds/,
    )
})

test('one pipeline serves every factor', async () => {
  const [x, y] = [gpu.from(Float32Array.of(2)), gpu.acquire(4)]
  for (const factor of [1, 0.5, 0]) {
    scale(gpu, { x, y, factor, n: 1 })
    assert.is((await gpu.readFloats(y))[0], 2 * factor)
  }
})

test('nothing is launched for no elements', () => {
  const { launches } = gpu.counts
  const [a, b, c] = [gpu.acquire(4), gpu.acquire(4), gpu.acquire(4)]
  add(gpu, { a, b, out: c, n: 0 })
  addInto(gpu, { x: a, into: b, n: 0 })
  scale(gpu, { x: a, y: b, factor: 2, n: 0 })
  scaleBy(gpu, { x: a, y: b, factor: c, n: 0 })
  fill(gpu, { out: a, value: 1, n: 0 })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
