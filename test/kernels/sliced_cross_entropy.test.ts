import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  finishSlices,
  foldLogits,
  sliceGradient,
  sliceStats,
} from '../../src/kernels/sliced_cross_entropy.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()

/** Columns `first` to `first + C - 1` of a matrix [rows, V]. */
function columns(z: Float32Array, { rows, V, first, C }: Record<'rows' | 'V' | 'first' | 'C', number>) {
  return Float32Array.from({ length: rows * C }, (_, i) => z[Math.floor(i / C) * V + first + (i % C)]!)
}

for (const [rows, sizes, scale] of [
  [1, [1], 1],
  [3, [7], 1],
  [13, [64, 3, 1], 4],
  [65, [17, 15, 16], 30],
  [129, [300, 211], 1e4],
  [7, [1000, 4, 1, 60, 1024], 4],
  [2, [5461, 5461], 4],
] as const) {
  const V = sizes.reduce<number>((sum, C) => sum + C, 0)
  test(`slices of ${sizes} logits for ${rows} rows, to ${scale}, come to what the whole comes to`, async () => {
    const z = seeded(rows * V, V, scale)
    const bias = seeded(V, 2, scale / 2)
    const labels = seededInts(rows, 3, V)
    labels[0] = V - 1
    const dlosses = seeded(rows, 4)
    const expected = reference.slicedCrossEntropy({ z, bias, labels, dlosses, rows, V })
    const shared = { bias: gpu.from(bias), labels: gpu.from(labels), rows, V }
    const slices = sizes.map((C, i) => {
      const first = sizes.slice(0, i).reduce<number>((sum, size) => sum + size, 0)
      const held = guarded(gpu, rows * C)
      gpu.upload(held.view, columns(z, { rows, V, first, C }))
      return { first, C, held }
    })
    const made = Object.fromEntries(
      Object.entries({
        stats: sliceStats(rows, slices.length),
        own: rows,
        losses: rows,
        right: rows,
        tops: 2 * rows,
      }).map(([name, n]) => [name, guarded(gpu, n)]),
    )
    const view = (name: string) => made[name]!.view
    for (const [slice, { first, C, held }] of slices.entries())
      foldLogits(gpu, {
        ...shared,
        ...{ z: held.view, first, C, slice, slices: slices.length },
        ...{ stats: view('stats'), own: view('own') },
      })
    finishSlices(gpu, {
      ...{ stats: view('stats'), own: view('own'), losses: view('losses'), tops: view('tops') },
      ...{ right: view('right'), rows, slices: slices.length },
    })
    const bound = 2e-6 * Math.max(1, scale / 8)
    expectClose(await gpu.readFloats(view('losses')), expected.losses, bound, {
      absolute: true,
      label: 'losses',
    })
    assert.equal(Array.from(await gpu.readFloats(view('right'))), Array.from(expected.right))
    for (const { first, C, held } of slices) {
      const job = { z: held.view, first, C, tops: view('tops'), dlosses: gpu.from(dlosses) }
      sliceGradient(gpu, { ...shared, ...job })
      const wanted = Array.from(columns(Float32Array.from(expected.dlogits), { rows, V, first, C }))
      // An exponent's rounding grows with the logits.
      expectClose(await gpu.readFloats(held.view), wanted, 2e-6 * Math.max(1, scale / 8), {
        absolute: true,
        label: `gradient from ${first} on`,
      })
      await held.checkNeighbours()
    }
    for (const { checkNeighbours } of Object.values(made)) await checkNeighbours()
  })
}

test('without rows nothing is launched', () => {
  const none = {
    bias: gpu.from(seeded(5, 1)),
    labels: gpu.acquire(4),
    rows: 0,
    V: 5,
    z: gpu.acquire(4),
    first: 0,
    C: 5,
  }
  const [stats, own] = [gpu.acquire(4), gpu.acquire(4)]
  const before = gpu.counts.launches
  foldLogits(gpu, { ...none, stats, own, slice: 0, slices: 1 })
  finishSlices(gpu, { stats, own, losses: own, tops: own, right: own, rows: 0, slices: 1 })
  sliceGradient(gpu, { ...none, tops: own, dlosses: own })
  assert.is(gpu.counts.launches, before)
})

test.after(() => gpu.close())
test.run()
