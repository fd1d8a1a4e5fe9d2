// The parts of kernelgrad/testing that work on a device they are given.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { defineOp } from '../../src/autograd/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { scale } from '../../src/kernels/elementwise.ts'
import {
  benchOp,
  expectUntouched,
  expectWritten,
  guarded,
  POISON,
  poisoned,
  timeLaunches,
  uniform,
} from '../../src/testing/index.ts'

const gpu = await openGpu({ poison: true })

test('poison is what a poisoned device hands out, and is NaN', async () => {
  const view = gpu.acquire(12)
  const words = await gpu.readUints({ ...view, size: 12 })
  assert.equal(words, new Uint32Array(3).fill(POISON))
  assert.equal(new Uint32Array(poisoned(3).buffer), words)
  assert.ok(poisoned(3).every(Number.isNaN))
  gpu.release(view)
})

test('what was not written, and what was not to be, is named', () => {
  const values = poisoned(6)
  expectUntouched(values)
  assert.throws(() => expectWritten(values, 'y'), /^y: element 0 of 6 was not written/)
  values.set([1, 2, NaN], 0)
  assert.throws(() => expectWritten(values), /element 3 of 6 was not written/)
  assert.throws(() => expectUntouched(values), /element 0 of 6 was written/)
  expectWritten(values.subarray(0, 3)) // another NaN is a value
  expectUntouched(values.subarray(3))
})

test('a guarded view tells who wrote past it', async () => {
  const buffers = gpu.memory.buffers
  const { view, checkNeighbours, release } = guarded(gpu, 5)
  assert.equal(await gpu.readUints(view), new Uint32Array(5).fill(POISON))
  gpu.upload(view, Float32Array.of(1, 2, 3, 4, 5))
  await checkNeighbours()
  gpu.upload({ ...view, offset: view.offset + 20, size: 4 }, Float32Array.of(6))
  try {
    await checkNeighbours()
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /the 64 words after 5 guarded ones: element 0 of 64 was written/)
  }
  release()
  assert.is(gpu.memory.buffers, buffers)
})

test('launches are timed in samples of many', async () => {
  let runs = 0
  const x = gpu.from(uniform(64, 1))
  const y = gpu.acquire(256)
  const run = () => {
    runs++
    scale(gpu, { x, y, factor: 2, n: 64 })
  }
  const { ms, best } = await timeLaunches(gpu, run, { budget: 5, sample: 1 })
  assert.ok(best > 0 && best <= ms, `${best} ${ms}`)
  assert.ok(runs >= 5, `${runs}`)
  gpu.release(x)
  gpu.release(y)
})

test('benchOp times both directions, counts the tensors that each uses, and frees what it made', async () => {
  const calls = { forward: 0, backward: 0 }
  const times = defineOp({
    name: 'times',
    inputs: ['x', 'unused', 'ids'],
    dtypes: { x: ['f32', 'f16'], unused: ['f32'], ids: ['u32'] },
    forward({ gpu, x, out }, { factor }: { factor: number }) {
      calls.forward++
      scale(gpu, { x: x.view, y: out.view, factor, n: x.size, storage: x.storage })
    },
    backward({ gpu, dout, dx }, { factor }) {
      calls.backward++
      scale(gpu, { x: dout.view, y: dx.view, factor, n: dout.size, storage: dout.storage })
    },
  })
  const buffers = gpu.memory.buffers
  for (const dtype of ['f32', 'f16'] as const) {
    const rows = await benchOp(
      gpu,
      times,
      [{ shape: [3, 4], dtype }, { shape: [7] }, { shape: [2], data: Uint32Array.of(1, 2) }],
      { options: { factor: 3 }, flops: { forward: 12, backward: 12 }, budget: 1, sample: 0 },
    )
    const bytes = 2 * 12 * (dtype === 'f16' ? 2 : 4)
    for (const [i, row] of rows.entries()) {
      assert.is(row.name, ['times.forward', 'times.backward'][i])
      assert.is(row.shape, '3x4 7 2')
      assert.is(row.dtype, dtype)
      assert.ok(row.best > 0 && row.best <= row.ms)
      assert.ok(Math.abs(row.gbps - bytes / row.ms / 1e6) < 1e-9)
      assert.ok(Math.abs(row.gflops! - 12 / row.ms / 1e6) < 1e-9)
    }
  }
  assert.ok(calls.forward >= 10 && calls.backward >= 10)
  assert.is(gpu.memory.buffers, buffers)
})

test.after(() => gpu.close())
test.run()
