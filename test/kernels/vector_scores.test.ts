import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { topK, vectorScores } from '../../src/kernels/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()

/** Four bytes a word, the first in its lowest bits, as in memory. */
const words = (bytes: Uint8Array) => new Uint32Array(bytes.buffer)

for (const [N, E] of [
  [1, 4],
  [67, 12],
  [300, 20],
  [1001, 32],
  [515, 128],
] as const) {
  const query = seeded(E, N)
  const vectors = seeded(N * E, E)
  const scale = seeded(N + 5, 3)

  test(`scores of ${N} vectors of ${E} agree with the oracle, with and without a scale, from a row on`, async () => {
    const out = guarded(gpu, N)
    const views = { query: gpu.from(query), vectors: gpu.from(vectors) }
    vectorScores(gpu, { ...views, scores: out.view, N, E })
    expectClose(await gpu.readFloats(out.view), reference.vectorScores({ query, vectors, N, E }), 2e-6)
    await out.checkNeighbours()

    // The rows of a second binding: their scores stand behind those of the first, which stay.
    const both = gpu.from(new Float32Array(N + 5).fill(7))
    vectorScores(gpu, { ...views, scores: both, scale: gpu.from(scale), first: 5, N, E })
    const found = await gpu.readFloats(both)
    assert.equal([...found.slice(0, 5)], [7, 7, 7, 7, 7])
    const expected = reference.vectorScores({ query, vectors, scale: scale.subarray(5), N, E })
    expectClose(found.subarray(5), expected, 2e-6)
  })
}

for (const [N, E] of [
  [3, 16],
  [259, 48],
  [515, 128],
] as const) {
  test(`the same of bytes: ${N} vectors of ${E}`, async () => {
    const query = seeded(E, N)
    const bytes = Uint8Array.from(seededInts(N * E, 256, 5))
    bytes.set([0, 255], 1)
    const scale = seeded(N, 3)
    const out = guarded(gpu, N)
    const views = { query: gpu.from(query), vectors: gpu.from(words(bytes)), scale: gpu.from(scale) }
    vectorScores(gpu, { ...views, scores: out.view, N, E, bytes: true })
    const expected = reference.vectorScores({ query, vectors: bytes, scale, N, E, bytes: true })
    expectClose(await gpu.readFloats(out.view), expected, 4e-6)
    await out.checkNeighbours()
  })
}

test('many vectors of few values: equal scores are settled by the lower index, at every K', async () => {
  const [N, E] = [9001, 4]
  const query = Float32Array.of(1, 2, -1, 0.5)
  const vectors = Float32Array.from(seededInts(N * E, 5, 9)) // whole numbers, so sums are exact
  const scores = gpu.acquire(4 * N)
  vectorScores(gpu, { query: gpu.from(query), vectors: gpu.from(vectors), scores, N, E })
  const x = reference.vectorScores({ query, vectors, N, E })
  for (const k of [1, 3, 64, 1000, 4097]) {
    const out = guarded(gpu, k)
    topK(gpu, { x: scores, indices: out.view, O: 1, R: N, I: 1, k })
    assert.equal(await gpu.readUints(out.view), reference.topK({ x, O: 1, R: N, I: 1, k }), `K = ${k}`)
    await out.checkNeighbours()
  }
})

test('sizes that cannot be are refused before anything is launched', () => {
  const view = gpu.from(new Float32Array(64))
  const given = { query: view, vectors: view, scores: view, N: 4, E: 16 }
  const launch = (other: object) => () => vectorScores(gpu, { ...given, ...other })
  assert.throws(launch({ E: 6 }), /E is 6, expected a multiple of 4, 16 bytes of a row; pad with zeros/)
  assert.throws(launch({ E: 4, bytes: true }), /E is 4, expected a multiple of 16/)
  assert.throws(launch({ E: 0 }), /E is 0/)
  assert.throws(launch({ N: 5 }), /vectors has 256 bytes, expected at least 320/)
  assert.throws(launch({ first: 61 }), /scores has 256 bytes, expected at least 260/)
  assert.throws(launch({ scale: gpu.from(new Float32Array(2)) }), /scale has/)
  assert.throws(launch({ bytes: 1 }), /bytes is 1/)
})

test.after(() => gpu.close())
test.run()
