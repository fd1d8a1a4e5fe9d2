import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { dropout, dropoutBackward } from '../../src/kernels/dropout.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [n, p, rng] of [
  [1, 0.5, { seed: 1, layer: 0, step: 0 }],
  [6, 0, { seed: 1, layer: 2, step: 3 }],
  [1027, 0.1, { seed: 0xffffffff, layer: 3, step: 0x80000001 }],
  [4099, 0.9, { seed: 42, layer: 0xdeadbeef, step: 7 }],
] as const) {
  test(`dropout and its gradient keep what the oracle keeps: n ${n}, p ${p}`, async () => {
    const x = seeded(n, n).map(value => value + 2) // no zeros: what is zero was dropped
    const dy = seeded(n, n + 1).map(value => value - 2)
    const [y, dx] = [gpu.acquire(n * 4), gpu.acquire(n * 4)]
    dropout(gpu, { x: gpu.from(x), y, p, rng, n })
    dropoutBackward(gpu, { dy: gpu.from(dy), dx, p, rng, n })
    const [yGot, dxGot] = [await gpu.readFloats(y), await gpu.readFloats(dx)]
    const expected = reference.dropout({ x, p, rng })
    const kept = (values: ArrayLike<number>) => Array.from(values, value => value !== 0)
    assert.equal(kept(yGot), kept(expected))
    assert.equal(kept(dxGot), kept(expected))
    expectClose(yGot, expected, 1e-7)
    expectClose(dxGot, reference.dropoutBackward({ dy, p, rng }), 1e-7)
  })
}

test('another step draws another mask', async () => {
  const n = 256
  const x = gpu.from(new Float32Array(n).fill(1))
  const [y, z] = [gpu.acquire(n * 4), gpu.acquire(n * 4)]
  dropout(gpu, { x, y, p: 0.5, rng: { seed: 1, layer: 1, step: 1 }, n })
  dropout(gpu, { x, y: z, p: 0.5, rng: { seed: 1, layer: 1, step: 2 }, n })
  assert.not.equal(await gpu.readFloats(y), await gpu.readFloats(z))
})

test('p = 1 is an error that names it; no elements launch nothing', () => {
  const view = gpu.acquire(4)
  const rng = { seed: 0, layer: 0, step: 0 }
  assert.throws(() => dropout(gpu, { x: view, y: view, p: 1, rng, n: 1 }), /probability is 1/)
  const { launches } = gpu.counts
  dropout(gpu, { x: view, y: view, p: 0.1, rng, n: 0 })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
