import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type PairKind,
  segmentDiscounts,
  segmentPairs,
  segmentPairsBackward,
} from '../../src/kernels/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const KINDS: PairKind[] = ['count', 'weights', 'swaps']

for (const [sizes, scale] of [
  [[1], 1],
  [[2, 1, 7, 0, 3], 1],
  [[70, 1, 300], 3],
  [Array.from({ length: 131 }, (_, b) => 1 + (b % 5)), 40],
] as [number[], number][]) {
  test(`pairs and discounts of ${sizes.length} segments, ${Math.max(...sizes)} rows at most, agree with the oracle`, async () => {
    const starts = [0]
    for (const size of sizes) starts.push(starts.at(-1)! + size)
    const [B, N, longest] = [sizes.length, starts.at(-1)!, Math.max(...sizes)]
    // Ties of scores, and of labels.
    const x = seeded(N, N, scale).map(value => Math.round(value * 8) / 8)
    const labels = seeded(N, 3, 2).map(value => Math.max(0, Math.round(value)))
    const [values, dy] = [seeded(N, 4), seeded(N, 5)]
    const at = { starts: gpu.from(Uint32Array.from(starts)), B, N, longest, x: gpu.from(x) }
    const given = { ...at, labels: gpu.from(labels), values: gpu.from(values) }
    for (const kind of KINDS) {
      const [y, dx] = [guarded(gpu, N), guarded(gpu, N)]
      segmentPairs(gpu, { kind, ...given, y: y.view })
      const host = { kind, x, labels, values, starts }
      expectClose(await gpu.readFloats(y.view), reference.segmentPairs(host), 2e-6, { label: kind })
      segmentPairsBackward(gpu, { kind, ...given, dy: gpu.from(dy), dx: dx.view })
      const gradient = reference.segmentPairsBackward({ ...host, dy })
      expectClose(await gpu.readFloats(dx.view), gradient, 2e-6, { label: `${kind} gradient` })
      await y.checkNeighbours()
      await dx.checkNeighbours()
    }
    for (const k of [1, 5, N]) {
      const y = guarded(gpu, N)
      segmentDiscounts(gpu, { ...at, k, y: y.view })
      expectClose(await gpu.readFloats(y.view), reference.segmentDiscounts({ x, starts, k }), 2e-6)
      await y.checkNeighbours()
    }
  })
}

test('a list of thousands is right, and a score that is no number shows', async () => {
  const N = 4099
  const x = seeded(N, 1)
  const labels = Float32Array.from({ length: N }, (_, i) => Number(i % 97 === 0))
  const starts = [0, 2, N]
  const at = { starts: gpu.from(Uint32Array.from(starts)), B: 2, N, longest: N - 2 }
  const y = gpu.from(new Float32Array(N))
  const given = { ...at, labels: gpu.from(labels), values: gpu.from(labels), y }
  segmentPairs(gpu, { kind: 'count', x: gpu.from(x), ...given })
  const host = { kind: 'count' as const, x, labels, values: labels, starts }
  expectClose(await gpu.readFloats(y), reference.segmentPairs(host), 2e-6)
  x[5] = Number.NaN
  segmentPairs(gpu, { kind: 'count', x: gpu.from(x), ...given })
  const found = await gpu.readFloats(y)
  assert.ok(Number.isNaN(found[97]))
  assert.not(Number.isNaN(found[0]))
})

test.after(() => gpu.close())
test.run()
