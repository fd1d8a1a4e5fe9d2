import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { gather, gatherBackward } from '../../src/kernels/gather.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [O, R, I, K] of [
  [1, 1, 1, 1],
  [5, 7, 1, 3],
  [3, 2, 9, 11],
  [1, 4, 1, 301],
  [3, 5, 7, 4],
  [6, 9, 1, 10],
  [700, 3, 6, 2],
] as const) {
  test(`gather and its gradient agree with the oracle: ${K} of [${O}, ${R}, ${I}]`, async () => {
    const [x, dy] = [seeded(O * R * I, 1), seeded(O * K * I, 2)]
    const indices = seededInts(O * K * I, 3, R)
    const [y, dx] = [guarded(gpu, O * K * I), guarded(gpu, O * R * I)]
    const views = { indices: gpu.from(indices), O, R, I, K }
    gather(gpu, { x: gpu.from(x), y: y.view, ...views })
    gatherBackward(gpu, { dy: gpu.from(dy), dx: dx.view, ...views })
    expectClose(await gpu.readFloats(y.view), reference.gather({ x, indices, O, R, I, K }), 0)
    expectClose(await gpu.readFloats(dx.view), reference.gatherBackward({ dy, indices, O, R, I, K }), 1e-6)
    await y.checkNeighbours()
    await dx.checkNeighbours()
  })
}

test('a place that is not there is NaN, and gets no gradient', async () => {
  const indices = gpu.from(Uint32Array.of(1, 3, 0xffffffff, 2))
  const [y, dx] = [guarded(gpu, 4), guarded(gpu, 3)]
  const sizes = { indices, O: 1, R: 3, I: 1, K: 4 }
  gather(gpu, { x: gpu.from(Float32Array.of(5, 6, 7)), y: y.view, ...sizes })
  gatherBackward(gpu, { dy: gpu.from(Float32Array.of(1, 2, 3, 4)), dx: dx.view, ...sizes })
  assert.equal([...(await gpu.readFloats(y.view))], [6, Number.NaN, Number.NaN, 7])
  assert.equal([...(await gpu.readFloats(dx.view))], [0, 1, 4])
})

test.after(() => gpu.close())
test.run()
