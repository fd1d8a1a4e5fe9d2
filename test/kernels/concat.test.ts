import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { copyColumns, joinColumns, splitColumns } from '../../src/kernels/concat.ts'
import * as reference from '../../src/reference/index.ts'
import { guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [rows, widths] of [
  [1, [1]],
  [5, [3, 1, 7]],
  [64, [768, 64, 12, 3]],
  [33, [64, 16, 8]],
  [700, [4, 1]],
] as const) {
  test(`concatenation and its gradient equal the oracle: ${rows} rows of ${widths.join(' + ')}`, async () => {
    const total = widths.reduce((sum: number, width) => sum + width, 0)
    const parts = widths.map((width, i) => ({ x: seeded(rows * width, i + 1), width }))
    const joined = guarded(gpu, rows * total)
    const matrix = { target: joined.view, targetWidth: total, rows }
    let column = 0
    for (const { x, width } of parts) {
      const part = { source: gpu.from(x), sourceWidth: width, sourceColumn: 0, width }
      copyColumns(gpu, { ...part, ...matrix, targetColumn: column })
      column += width
    }
    const y = Float32Array.from(reference.concat({ parts, rows }))
    assert.equal(await gpu.readFloats(joined.view), y)
    await joined.checkNeighbours()
    const expected = reference.concatBackward({ dy: y, widths, rows })
    const source = gpu.from(y)
    column = 0
    for (const [i, width] of widths.entries()) {
      const out = guarded(gpu, rows * width)
      const from = { source, sourceWidth: total, sourceColumn: column, width, rows }
      copyColumns(gpu, { ...from, target: out.view, targetWidth: width, targetColumn: 0 })
      assert.equal(await gpu.readFloats(out.view), Float32Array.from(expected[i]!))
      await out.checkNeighbours()
      column += width
    }
  })
}

for (const [rows, widths] of [
  [1, [1]],
  [5, [3, 1, 7]],
  [64, [768, 64, 12, 3]],
  [33, [64, 16, 8]],
  [700, [4, 1, 2, 3, 1, 1, 8, 5, 1, 0, 2, 1, 1, 1, 9]],
  [9, [8, 4, 12, 4, 4, 4, 4, 100]],
] as const) {
  test(`parts joined and split together equal copies part by part: ${rows} rows of ${widths.join(' + ')}`, async () => {
    const total = widths.reduce((sum: number, width) => sum + width, 0)
    const data = widths.map((width, i) => ({ x: seeded(rows * width, i + 1), width }))
    let column = 0
    const parts = data.map(({ x, width }) => {
      column += width
      return { view: gpu.from(x), width, column: column - width }
    })
    const [joined, copied] = [guarded(gpu, rows * total), gpu.acquire(rows * total * 4)]
    const target = { targetWidth: total, rows }
    joinColumns(gpu, { parts, target: joined.view, ...target })
    for (const { view: source, width, column: targetColumn } of parts) {
      const part = { source, sourceWidth: width, sourceColumn: 0, width, targetColumn }
      copyColumns(gpu, { ...part, target: copied, ...target })
    }
    const y = await gpu.readFloats(joined.view)
    assert.equal(y, Float32Array.from(reference.concat({ parts: data, rows })))
    assert.equal(y, await gpu.readFloats(copied))
    await joined.checkNeighbours()
    const out = parts.map(({ width, column }) => ({ ...guarded(gpu, rows * width), width, column }))
    const skipped = out.slice(1) // a part whose gradient nobody wants
    splitColumns(gpu, { parts: skipped, source: joined.view, sourceWidth: total, rows })
    for (const [i, { view, width, checkNeighbours }] of skipped.entries()) {
      if (width) assert.equal(await gpu.readFloats(view), data[i + 1]!.x)
      await checkNeighbours()
    }
  })
}

test('columns beside the copied ones stay as they are', async () => {
  const target = gpu.from(new Float32Array(15).fill(-1))
  const source = gpu.from(Float32Array.of(1, 2, 3, 4, 5, 6))
  const from = { source, sourceWidth: 2, sourceColumn: 1, width: 1, rows: 3 }
  copyColumns(gpu, { ...from, target, targetWidth: 5, targetColumn: 3 })
  assert.equal([...(await gpu.readFloats(target))], [-1, -1, -1, 2, -1, -1, -1, -1, 4, -1, -1, -1, -1, 6, -1])
})

test('more workgroups than one dimension of a grid takes', async () => {
  const rows = 65_535 * 64 + 77
  const [x, target] = [seeded(rows, 1), gpu.acquire(rows * 4)]
  const from = { source: gpu.from(x), sourceWidth: 1, sourceColumn: 0, width: 1, rows }
  copyColumns(gpu, { ...from, target, targetWidth: 1, targetColumn: 0 })
  const got = await gpu.readFloats(target)
  assert.is(
    got.findIndex((v, i) => v !== x[i]),
    -1,
  )
})

test('nothing is launched for no rows or no columns', () => {
  const { launches } = gpu.counts
  const [source, target] = [gpu.acquire(4), gpu.acquire(4)]
  const from = { source, sourceWidth: 2, sourceColumn: 0, target, targetWidth: 2, targetColumn: 0 }
  copyColumns(gpu, { ...from, width: 2, rows: 0 })
  copyColumns(gpu, { ...from, width: 0, rows: 3 })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
