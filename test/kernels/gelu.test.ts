import { test } from 'uvu'
import { gelu, geluBackward } from '../../src/kernels/gelu.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [n, scale] of [
  [1, 1],
  [5, 1e-8],
  [1023, 4],
  [4097, 12],
  [77, 1e4],
] as const) {
  test(`gelu and its gradient agree with the oracle: n ${n}, values to ${scale}`, async () => {
    const x = seeded(n, n, scale)
    const dy = seeded(n, n + 1)
    const [xView, dyView] = [gpu.from(x), gpu.from(dy)]
    const [y, dx] = [gpu.acquire(n * 4), gpu.acquire(n * 4)]
    gelu(gpu, { x: xView, y, n })
    geluBackward(gpu, { x: xView, dy: dyView, dx, n })
    expectClose(await gpu.readFloats(y), reference.gelu(x), 1e-6 * Math.max(1, scale / 12), {
      absolute: true,
    })
    expectClose(await gpu.readFloats(dx), reference.geluBackward({ x, dy }), 1e-6, { absolute: true })
  })
}

test.after(() => gpu.close())
test.run()
