import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { logSoftmax, logSoftmaxBackward, softmax, softmaxBackward } from '../../src/kernels/softmax.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

/** Sums of so many values by one invocation round more than the bounds allow: on GPUs many share a row. */
const LONG = gpu.forms.kind === 'hardware' ? [[2, 30_522, 4] as const] : []

for (const [rows, C, scale] of [
  ...LONG,
  [1, 1, 1],
  [1, 2, 80],
  [13, 2, 1],
  [67, 5, 1e4],
  [129, 31, 1e-8],
  [3, 1000, 10],
  [7, 63, 4],
  [800, 3, 4],
  [2, 1001, 10],
] as const) {
  test(`softmax and its gradient agree with the oracle: ${rows} x ${C}, values to ${scale}`, async () => {
    const n = rows * C
    const [x, dy] = [seeded(n, n, scale), seeded(n, n + 1)]
    const [y, dx] = [guarded(gpu, n), guarded(gpu, n)]
    softmax(gpu, { x: gpu.from(x), y: y.view, rows, C })
    const expected = reference.softmax({ x, rows, C })
    const yView = gpu.from(Float32Array.from(expected))
    softmaxBackward(gpu, { y: yView, dy: gpu.from(dy), dx: dx.view, rows, C })
    expectClose(await gpu.readFloats(y.view), expected, 2e-6)
    const gradient = reference.softmaxBackward({ y: expected, dy, rows, C })
    expectClose(await gpu.readFloats(dx.view), gradient, 1e-6, { absolute: true })
    const [logs, dlogs] = [guarded(gpu, n), guarded(gpu, n)]
    logSoftmax(gpu, { x: gpu.from(x), y: logs.view, rows, C })
    const expectedLogs = reference.logSoftmax({ x, rows, C })
    const logsView = gpu.from(Float32Array.from(expectedLogs))
    logSoftmaxBackward(gpu, { y: logsView, dy: gpu.from(dy), dx: dlogs.view, rows, C })
    expectClose(await gpu.readFloats(logs.view), expectedLogs, 2e-6)
    const dlogsExpected = reference.logSoftmaxBackward({ y: expectedLogs, dy, rows, C })
    expectClose(await gpu.readFloats(dlogs.view), dlogsExpected, 2e-6)
    for (const { checkNeighbours } of [y, dx, logs, dlogs]) await checkNeighbours()
  })
}

test('values of minus infinity get nothing, wherever they stand in a row', async () => {
  for (const C of [3, 7, 8, 300, 1001]) {
    const rows = 5
    const x = seeded(rows * C, C, 4).map((v, i) => (i % C < C / 2 !== i % 2 > 0 ? v : -Infinity))
    x.fill(-Infinity, 0, C)
    x[C - 1] = 2
    const y = guarded(gpu, rows * C)
    softmax(gpu, { x: gpu.from(x), y: y.view, rows, C })
    const found = await gpu.readFloats(y.view)
    expectClose(found, reference.softmax({ x, rows, C }), 2e-6)
    assert.equal([...found.subarray(0, C)], [...new Array(C - 1).fill(0), 1])
    await y.checkNeighbours()
  }
})

test('nothing is launched for no rows', () => {
  const { launches } = gpu.counts
  const view = gpu.acquire(4)
  softmax(gpu, { x: view, y: gpu.acquire(4), rows: 0, C: 2 })
  softmaxBackward(gpu, { y: view, dy: view, dx: gpu.acquire(4), rows: 0, C: 2 })
  logSoftmax(gpu, { x: view, y: gpu.acquire(4), rows: 0, C: 2 })
  logSoftmaxBackward(gpu, { y: view, dy: view, dx: gpu.acquire(4), rows: 0, C: 2 })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
