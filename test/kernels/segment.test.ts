import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SegmentKind, segment, segmentBackward } from '../../src/kernels/segment.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const KINDS: SegmentKind[] = ['sum', 'mean', 'max', 'logSumExp', 'softmax', 'logSoftmax']

for (const [starts, I, scale] of [
  [[0, 1], 1, 1],
  [[0, 5, 5, 6, 13], 1, 1],
  [[0, 5, 5, 6, 13], 7, 1e4],
  [[0, 300, 301, 301], 3, 1],
  [[0, 2, 2, 133], 33, 1],
  [[0, 70, 71], 64, 1],
  [[0, ...Array.from({ length: 130 }, (_, b) => 2 * b + 2)], 5, 10],
] as [number[], number, number][]) {
  test(`segments and their gradients agree with the oracle: ${starts.length - 1} of [${starts.at(-1)}, ${I}], values to ${scale}`, async () => {
    const [B, N] = [starts.length - 1, starts.at(-1)!]
    const x = seeded(N * I, N, scale)
    const at = { starts: gpu.from(Uint32Array.from(starts)), B, I }
    for (const kind of KINDS) {
      const size = kind === 'softmax' || kind === 'logSoftmax' ? N * I : B * I
      const [y, dx, dy] = [guarded(gpu, size), guarded(gpu, N * I), seeded(size, 5)]
      segment(gpu, { kind, x: gpu.from(x), y: y.view, ...at })
      const found = await gpu.readFloats(y.view)
      const expected = reference.segment({ kind, x, starts, I })
      for (const [i, value] of expected.entries()) if (!Number.isFinite(value)) assert.is(found[i], value)
      const finite = (v: ArrayLike<number>) => Float64Array.from(v, one => (Number.isFinite(one) ? one : 0))
      expectClose(finite(found), finite(expected), 2e-6, { label: kind })
      const yView = gpu.from(Float32Array.from(expected))
      segmentBackward(gpu, { kind, x: gpu.from(x), y: yView, dy: gpu.from(dy), dx: dx.view, ...at })
      const rounded = Float32Array.from(expected)
      const gradient = reference.segmentBackward({ kind, x, y: rounded, dy, starts, I })
      expectClose(await gpu.readFloats(dx.view), gradient, 2e-6, { label: `${kind} gradient` })
      await y.checkNeighbours()
      await dx.checkNeighbours()
    }
  })
}

test('a segment of -infinities has no gradient, and NaN wins', async () => {
  const x = Float32Array.of(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 1, Number.NaN, 2)
  const starts = gpu.from(Uint32Array.of(0, 2, 5))
  const [max, lse, dx] = [guarded(gpu, 2), guarded(gpu, 2), guarded(gpu, 5)]
  const at = { x: gpu.from(x), starts, B: 2, I: 1 }
  segment(gpu, { kind: 'max', y: max.view, ...at })
  segment(gpu, { kind: 'logSumExp', y: lse.view, ...at })
  assert.equal([...(await gpu.readFloats(max.view))], [Number.NEGATIVE_INFINITY, Number.NaN])
  assert.equal([...(await gpu.readFloats(lse.view))], [Number.NEGATIVE_INFINITY, Number.NaN])
  const dy = gpu.from(Float32Array.of(1, 1))
  segmentBackward(gpu, { kind: 'logSumExp', y: lse.view, dy, dx: dx.view, ...at })
  assert.equal([...(await gpu.readFloats(dx.view)).subarray(0, 2)], [0, 0])
})

test.after(() => gpu.close())
test.run()
