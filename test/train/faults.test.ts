// Refusals and losses of a device, wherever in a run: a few of each kind here, all of them by `npm run faults`.
// Waits for CI: it runs a training dozens of times
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/index.ts'
import { generator } from '../../src/testing/index.ts'
import { calm, diskFull, lost, refused } from '../support/faulted-run.ts'

const SLICE = 4
const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

const gpu = await openGpu()
await calm(gpu, 'mapAsync') // compiles everything
for (const fault of ['createBuffer', 'mapAsync'] as const) {
  test(`${fault} refused once, anywhere in a run: a typed error, and the same device goes on to the same bits`, async () => {
    const { bits, calls } = await calm(gpu, fault)
    assert.ok(calls > SLICE, `${calls} calls`)
    for (let i = 0; i < SLICE; i++) {
      const nth = 1 + Math.floor((i * calls) / SLICE)
      assert.is(await refused(gpu, fault, nth, bits), 'refused', `${nth} of ${calls}`)
    }
  })
}

for (const fault of ['createComputePipelineAsync', 'createShaderModule'] as const) {
  test(`${fault} refused once: a typed error, and the same device goes on to the same bits`, async () => {
    const { bits } = await calm(gpu, fault)
    const fresh = await openGpu()
    await refused(fresh, fault, 20, bits)
    fresh.close()
  })
}

test('the device lost at any call of a run: it ends with the same bits on another', async () => {
  const { bits, calls } = await lost(0)
  const random = generator(Date.now())
  for (let i = 0; i < 2; i++) {
    const nth = 1 + Math.floor(((i + random()) / 2) * calls)
    assert.is((await lost(nth, bits)).losses, 1, `lost at ${nth} of ${calls}`)
  }
})

test('the disk full at any write of a run: one error, and with room again it goes on to the same bits', async () => {
  const { bits, calls } = await diskFull(gpu, 0)
  assert.ok(calls > SLICE, `${calls} writes`)
  for (let i = 0; i < SLICE; i++) await diskFull(gpu, 1 + Math.floor((i * calls) / SLICE), bits)
})

test('nothing was left unhandled', async () => {
  await gpu.done()
  await new Promise(setImmediate) // Node tells of rejections between two turns of its loop.
  assert.equal(unhandled, [])
})

test.after(() => gpu.close())
test.run()
