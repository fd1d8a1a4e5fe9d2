import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { relu, reluBackward } from '../../src/kernels/relu.ts'
import * as reference from '../../src/reference/index.ts'
import { guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [n, scale] of [
  [1, 1],
  [5, 1e-8],
  [64, 1],
  [1023, 1e4],
  [8200, 1],
] as const) {
  test(`relu and its gradient equal the oracle: n ${n}, values to ${scale}`, async () => {
    const [x, dy] = [seeded(n, n, scale), seeded(n, n + 1)]
    x[n >> 1] = 0
    const [y, dx] = [guarded(gpu, n), guarded(gpu, n)]
    relu(gpu, { x: gpu.from(x), y: y.view, n })
    reluBackward(gpu, { y: gpu.from(Float32Array.from(reference.relu(x))), dy: gpu.from(dy), dx: dx.view, n })
    const expected = reference.relu(x)
    assert.equal(await gpu.readFloats(y.view), Float32Array.from(expected))
    assert.equal(
      await gpu.readFloats(dx.view),
      Float32Array.from(reference.reluBackward({ y: expected, dy })),
    )
    await y.checkNeighbours()
    await dx.checkNeighbours()
  })
}

test('nothing is launched for no elements', () => {
  const { launches } = gpu.counts
  const view = gpu.acquire(4)
  relu(gpu, { x: view, y: gpu.acquire(4), n: 0 })
  reluBackward(gpu, { y: view, dy: view, dx: gpu.acquire(4), n: 0 })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
