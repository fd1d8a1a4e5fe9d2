// A row's scores are the same bits in whatever batch it is: wide last layers, whose sums are cut for small batches, and long texts beside short ones.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Columns } from '../../src/data/index.ts'
import { candidates, matmul } from '../../src/kernels/index.ts'
import { predict } from '../../src/train/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'
import { rowsFor, scoringModel } from '../support/score-rows.ts'

const gpu = await openTestGpu()
test.after(() => gpu.close())

function columnsOf(rows: ReturnType<typeof rowsFor>): Columns {
  const list = (of: (row: (typeof rows)[number]) => number[]) => {
    const offsets = new Uint32Array(rows.length + 1)
    for (const [i, row] of rows.entries()) offsets[i + 1] = offsets[i]! + of(row).length
    return { values: Uint32Array.from(rows.flatMap(of)), offsets }
  }
  return {
    length: rows.length,
    rowStart: 0,
    lists: { query: list(({ query }) => query), title: list(({ title }) => title) },
    ids: { city: Uint32Array.from(rows, ({ city }) => city) },
    floats: { depth: Float32Array.from(rows, ({ depth }) => depth) },
  }
}

test('scores in batches of any size', async () => {
  for (const [dim, mlp] of [
    [64, [1100]],
    [16, [1600, 20]],
  ] as const) {
    const model = scoringModel(gpu, { dim, mlp: [...mlp] })
    const columns = columnsOf(rowsFor(44, dim, 55))
    const bits = async (batchSize: number) =>
      new Uint32Array((await predict(model, columns, { batchSize })).buffer)
    const whole = await bits(44)
    for (const size of [1, 3, 17]) assert.equal(await bits(size), whole, `${dim} by ${size}`)
    model.free()
  }
})

test('the forms of a software adapter add up in one order', async () => {
  if (gpu.forms.kind === 'hardware') return
  const [M, N, K] = [37, 66, 301]
  const [a, b] = [seeded(M * K, 1), seeded(N * K, 2)]
  for (const layout of ['NT', 'NN'] as const) {
    const results = new Map<string, string>()
    for (const form of candidates(gpu, { M: 4096, N, K, layout })) {
      const c = gpu.acquire(4 * M * N)
      const given = { a: gpu.from(a), b: gpu.from(b), c, M, N, K, layout }
      matmul(gpu, { ...given, form, splits: 1 })
      results.set(form, String(await gpu.readUints({ ...c, size: 4 * M * N })))
    }
    assert.ok(results.size > 2)
    assert.is(new Set(results.values()).size, 1, [...results.keys()].join())
  }
})

test.run()
