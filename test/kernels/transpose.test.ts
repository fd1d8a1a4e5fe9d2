import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ShapeError } from '../../src/errors.ts'
import { transpose } from '../../src/kernels/transpose.ts'
import * as reference from '../../src/reference/index.ts'
import { guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [R, C] of [
  [4, 4],
  [4, 260],
  [132, 4],
  [36, 1024],
  [100, 52],
] as const) {
  test(`every value stands where the oracle puts it: ${R} x ${C}`, async () => {
    const values = seeded(R * C, R + C)
    const x = gpu.from(values)
    const out = guarded(gpu, R * C)
    transpose(gpu, { x, y: out.view, R, C })
    assert.equal(await gpu.readFloats(out.view), Float32Array.from(reference.transpose({ x: values, R, C })))
    await out.checkNeighbours()
    gpu.release(x)
  })
}

test('sizes that are no multiple of 4 are refused', () => {
  const x = gpu.from(seeded(12, 1))
  assert.throws(
    () => transpose(gpu, { x, y: x, R: 3, C: 4 }),
    (error: unknown) => error instanceof ShapeError && /\[3, 4\]/.test(error.message),
  )
})

test.run()
