import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  cuSeqlens,
  generator,
  ids,
  mask,
  median,
  normal,
  permutation,
  rowIds,
  rowLengths,
  uniform,
} from '../../src/testing/index.ts'

/** mulberry32 as its author wrote it, seeded as documented. */
function reference(seed: number): () => number {
  let a = (seed + 0x9e3779b9) | 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

test('the generator is the documented one, and inputs repeat by seed', () => {
  for (const seed of [0, 1, 12345, 2 ** 32 - 1]) {
    const [next, expected] = [generator(seed), reference(seed)]
    for (let i = 0; i < 50; i++) assert.is(next(), expected())
  }
  assert.equal(uniform(7, 3), uniform(7, 3))
  assert.not.equal(uniform(7, 3), uniform(7, 4))
  const next = generator(3)
  assert.equal([...uniform(3, next), ...uniform(4, next)], [...uniform(7, 3)], 'a generator is drawn on')
})

test('values lie where they should, with the moments they should have', () => {
  const n = 20_000
  const u = uniform(n, 5, { low: 2, high: 6 })
  assert.ok(u.every(v => v >= 2 && v <= 6))
  const mean = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0) / x.length
  assert.ok(Math.abs(mean(u) - 4) < 0.05)
  const z = normal(n, 6, { mean: -1, std: 3 })
  assert.ok(z.every(Number.isFinite))
  assert.ok(Math.abs(mean(z) + 1) < 0.1)
  assert.ok(Math.abs(Math.sqrt(mean(z.map(v => (v + 1) ** 2))) - 3) < 0.1)
  assert.equal([...new Set(ids(n, 7, 5))].sort(), [0, 1, 2, 3, 4])
  const flags = mask(n, 8, 0.25)
  assert.equal([...new Set(flags)].sort(), [0, 1])
  assert.ok(Math.abs(mean(flags) - 0.25) < 0.02)
})

test('packed rows: lengths, where they start, and which row a token is in', () => {
  assert.equal(
    permutation(9, 1).toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  )
  const lengths = rowLengths(10, 20, 4)
  assert.equal(
    lengths.toSorted((a, b) => a - b),
    [2, 4, 6, 8, 10, 12, 14, 16, 18, 20],
  )
  assert.equal(cuSeqlens([3, 0, 2]), Uint32Array.from([0, 3, 3, 5]))
  assert.equal(rowIds(cuSeqlens([3, 0, 2])), Uint32Array.from([0, 0, 0, 2, 2]))
})

test('the median of an odd and of an even number of values', () => {
  assert.is(median([5, 1, 3]), 3)
  assert.is(median([5, 1, 3, 4]), 3.5)
})

test.run()
