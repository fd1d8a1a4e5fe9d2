// Vectors on the device over several bindings: cosines and rows are those of the host's vectors.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bytesToVectors } from '../../src/models/index.ts'
import { DeviceRows, DeviceVectors } from '../../src/serve/device-vectors.ts'
import type { VectorCache } from '../../src/serve/index.ts'
import { generator, openTestGpu } from '../support/gpu.ts'
import { shardedGpu } from '../support/parameters.ts'

const gpu = await openTestGpu()
test.after(() => gpu.close())
const ROWS = 71

/** Vectors in [-1, 1]; of numbers the fourth is zero, as of an empty text. */
function cacheOf(storage: VectorCache['storage'], size: number): VectorCache {
  const next = generator(size)
  const vectors = Float32Array.from({ length: ROWS * size }, () => 2 * next() - 1)
  if (storage === 'float32') vectors.fill(0, 3 * size, 4 * size)
  const bytes = Uint8Array.from(vectors, value => Math.round(((value + 1) * 255) / 2))
  const head = { side: 'ad', size, storage, fingerprint: 'a'.repeat(64), idColumn: 'row' } as const
  const ids = Array.from({ length: ROWS }, (_, i) => i)
  return { ...head, ids, vectors: storage === 'bytes' ? bytes : vectors }
}

const numbersOf = ({ vectors }: VectorCache) =>
  vectors instanceof Uint8Array ? bytesToVectors(vectors) : vectors

for (const storage of ['float32', 'bytes'] as const)
  for (const size of [10, 32]) {
    const cache = cacheOf(storage, size)
    const values = numbersOf(cache)
    // A binding takes 13 rows of numbers, and more of bytes: several shards, the last one short.
    const small = shardedGpu(gpu, 13 * 4 * Math.ceil(size / 4) * 4)
    test(`cosines over several bindings: ${storage}, ${size} numbers`, async () => {
      const { inUse } = gpu.memory
      const device = new DeviceVectors(small, cache)
      const next = generator(7)
      const query = Float32Array.from({ length: size }, () => 2 * next() - 1)
      const scores = device.cosines(query)
      const found = await gpu.readFloats({ ...scores, size: 4 * ROWS })
      const norm = (of: Float32Array) => Math.max(Math.hypot(...of), 1e-6)
      for (let row = 0; row < ROWS; row++) {
        const one = values.subarray(row * size, (row + 1) * size)
        const dot = one.reduce((sum, value, i) => sum + value * query[i]!, 0)
        const cosine = dot / norm(one) / norm(query)
        assert.ok(Math.abs(found[row]! - cosine) < 2e-6, `row ${row}: ${found[row]}, expected ${cosine}`)
      }
      gpu.release(scores)
      device.release()
      assert.is(gpu.memory.inUse, inUse)
    })
    test(`rows taken over several bindings, to the bit: ${storage}, ${size} numbers`, async () => {
      const device = new DeviceRows(small, cache)
      for (const rows of [[0], [70, 0, 13, 12, 26, 13], cache.ids as number[]]) {
        const taken = device.take(rows)
        assert.equal(taken.shape, [rows.length, size])
        const expected = rows.flatMap(row => [...values.subarray(row * size, (row + 1) * size)])
        assert.equal([...(await taken.read())], expected)
        taken.dispose()
      }
      device.release()
    })
  }

test.run()
