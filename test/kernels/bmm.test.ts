import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bmm } from '../../src/kernels/bmm.ts'
import { batchedForm } from '../../src/kernels/matmul-forms.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const numel = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

type Layout = 'NN' | 'NT' | 'TN'
type Sizes = [M: number, N: number, K: number, batches: number[], aBatches: number[], bBatches: number[]]

async function check(layout: Layout, [M, N, K, batches, aBatches, bBatches]: Sizes): Promise<void> {
  const [a, b] = [seeded(numel(aBatches) * M * K, M), seeded(numel(bBatches) * K * N, N + 1)]
  const c = guarded(gpu, numel(batches) * M * N)
  const sizes = { M, N, K, layout, batches, aBatches, bBatches }
  bmm(gpu, { a: gpu.from(a), b: gpu.from(b), c: c.view, ...sizes })
  expectClose(await gpu.readFloats(c.view), reference.bmm({ a, b, ...sizes }), 2e-6)
  await c.checkNeighbours()
}

for (const layout of ['NN', 'NT', 'TN'] as const) {
  test(`products of many matrices agree with the oracle, ${layout}`, async () => {
    for (const sizes of [
      [1, 1, 1, [1], [1], [1]],
      [5, 7, 3, [4], [4], [4]],
      [6, 12, 8, [3], [1], [3]],
      [9, 8, 5, [2, 3], [2, 1], [3]],
      [4, 10, 6, [2, 2, 3], [2, 1, 3], [1, 2, 1]],
      [33, 20, 17, [130], [130], []],
    ] as Sizes[])
      await check(layout, sizes)
  })
}

test('and so do those that GPUs take by tiles, and those whose sums are cut', async () => {
  await check('NN', [40, 36, 12, [2, 3], [2, 3], [3]])
  await check('NT', [70, 37, 35, [3, 2], [1], [3, 1]])
  await check('TN', [33, 65, 20, [2, 1, 2], [2, 1, 1], [2]])
  await check('NN', [17, 12, 1700, [2, 2], [2, 2], [1, 2]])
  await check('NT', [9, 11, 1601, [3], [3], [3]])
})

test('large matrices are products of their own, and on GPUs all at once', async () => {
  const sizes = {
    M: 64,
    N: 64,
    K: 64,
    layout: 'NN' as const,
    batches: [2, 2],
    aBatches: [2, 1],
    bBatches: [2],
  }
  const [a, b] = [seeded(2 * 4096, 1), seeded(2 * 4096, 2)]
  const c = guarded(gpu, 4 * 4096)
  const { launches } = gpu.counts
  bmm(gpu, { a: gpu.from(a), b: gpu.from(b), c: c.view, ...sizes })
  const made = gpu.counts.launches - launches
  const tiled = gpu.forms.kind === 'hardware' && batchedForm(gpu.forms, { ...sizes, count: 4 })
  assert.ok(tiled ? made === 1 : made >= 4, `${made} launches`)
  expectClose(await gpu.readFloats(c.view), reference.bmm({ a, b, ...sizes }), 2e-6)
  await c.checkNeighbours()
})

test('sums of nothing are zeros, and nothing is launched for no matrices', async () => {
  const c = guarded(gpu, 6)
  const view = gpu.acquire(4)
  const none = { a: view, b: view, layout: 'NN' as const, aBatches: [1], bBatches: [1], batches: [1] }
  bmm(gpu, { ...none, c: c.view, M: 2, N: 3, K: 0 })
  assert.equal(await gpu.readFloats(c.view), new Float32Array(6))
  const { launches } = gpu.counts
  bmm(gpu, { ...none, c: gpu.acquire(4), M: 2, N: 3, K: 4, batches: [0] })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
