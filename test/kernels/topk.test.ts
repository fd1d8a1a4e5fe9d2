import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { topK } from '../../src/kernels/topk.ts'
import * as reference from '../../src/reference/index.ts'
import { guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [O, R, I, k] of [
  [1, 1, 1, 1],
  [3, 7, 1, 7],
  [67, 31, 1, 3],
  [2, 5, 9, 2],
  [4, 1, 3, 0],
  [3, 1000, 1, 10],
  [2, 65, 3, 65],
  [1, 4096, 1, 4],
  [1, 5003, 1, 500],
  [1, 5003, 1, 5003],
  [1, 70_001, 1, 3],
  [1, 70_001, 1, 700],
] as const) {
  test(`the ${k} largest of ${R} agree with the oracle: [${O}, ${R}, ${I}], with equal values`, async () => {
    // Rounded, so that many are equal.
    const x = seeded(O * R * I, R, 4).map(Math.round)
    const out = guarded(gpu, O * k * I)
    topK(gpu, { x: gpu.from(x), indices: out.view, O, R, I, k })
    assert.equal(await gpu.readUints(out.view), reference.topK({ x, O, R, I, k }))
    await out.checkNeighbours()
  })
}

test('zeros of both signs are equal, NaN is the largest, and infinities are in their places', async () => {
  const x = Float32Array.of(
    -0,
    0,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    Number.NaN,
    1e-40,
  )
  const out = guarded(gpu, 8)
  topK(gpu, { x: gpu.from(x), indices: out.view, O: 1, R: 8, I: 1, k: 8 })
  assert.equal([...(await gpu.readUints(out.view))], [3, 6, 4, 7, 0, 1, 5, 2])
})

test('the same far from each other in a long row', async () => {
  const x = new Float32Array(500).fill(-2)
  const places = [
    [-0, 3],
    [0, 170],
    [Number.NEGATIVE_INFINITY, 171],
    [Number.NaN, 200],
  ] as const
  for (const [value, at] of [...places, [Number.POSITIVE_INFINITY, 64], [-1, 65], [Number.NaN, 499]] as const)
    x[at] = value
  const out = guarded(gpu, 500)
  topK(gpu, { x: gpu.from(x), indices: out.view, O: 1, R: 500, I: 1, k: 500 })
  const found = [...(await gpu.readUints(out.view))]
  assert.equal(found.slice(0, 8), [200, 499, 64, 3, 170, 65, 0, 1])
  assert.is(found[499], 171)
})

for (const k of [1, 12, 300, 6000])
  test(`values of every kind in a line of 6000, the best ${k}`, async () => {
    const kinds = [
      -0,
      0,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      1e-40,
      -1e-40,
      3,
      -3,
    ]
    const x = Float32Array.from({ length: 6000 }, (_, i) => kinds[(i * i + (i >> 5)) % kinds.length]!)
    const out = guarded(gpu, k)
    topK(gpu, { x: gpu.from(x), indices: out.view, O: 1, R: 6000, I: 1, k })
    assert.equal(await gpu.readUints(out.view), reference.topK({ x, O: 1, R: 6000, I: 1, k }))
    await out.checkNeighbours()
  })

test('a line of one value alone gives its first places', async () => {
  const x = new Float32Array(20_000).fill(-1.5)
  const out = guarded(gpu, 100)
  topK(gpu, { x: gpu.from(x), indices: out.view, O: 1, R: 20_000, I: 1, k: 100 })
  assert.equal(
    [...(await gpu.readUints(out.view))],
    Array.from({ length: 100 }, (_, i) => i),
  )
})

test.after(() => gpu.close())
test.run()
