// What a training holds after hundreds of steps is what it held after a few; thousands by `npm run endurance`.
// Waits for CI: it takes hundreds of steps
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openGpu } from '../../src/gpu/index.ts'
import { CYCLE, type Held, train } from '../support/endurance.ts'

test('buffers, bind groups, kernels and open files stay as they were, with batches of all lengths, evaluations and saves', async () => {
  const gpu = await openGpu()
  const { buffers } = gpu.memory
  const seen: Held[] = []
  for await (const { held } of train(gpu, 8 * CYCLE)) seen.push(held)
  for (const held of seen.slice(3)) assert.equal(held, seen[2])
  assert.is(gpu.memory.buffers, buffers)
  gpu.close()
})

test.run()
