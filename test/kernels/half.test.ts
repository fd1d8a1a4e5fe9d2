// Kernels that move activations, over halves: against the oracle on inputs rounded to halves. A result may be off by its own
// rounding and by what the float32 kernel may be off.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { groupIds } from '../../src/ids.ts'
import * as kernels from '../../src/kernels/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { HALF_ROUNDING, halfBlock, halves } from '../support/half.ts'

const gpu = await openTestGpu()
const storage = 'f16'
const BOUND = HALF_ROUNDING + 2e-6

for (const [n, scale] of [
  [4, 1],
  [1020, 1e4],
  [8212, 3],
  [300, 1e-4],
] as const) {
  test(`elementwise, relu, gelu and dropout: n ${n}, values to ${scale}`, async () => {
    const [x, dy] = [halves(gpu, seeded(n, n, scale)), halves(gpu, seeded(n, n + 1))]
    const rng = { seed: 5, layer: 2, step: 7 }
    const of = async (launch: (out: ReturnType<typeof halfBlock>) => void) => {
      const out = halfBlock(gpu, n)
      launch(out)
      return out.read()
    }
    const views = { n, storage } as const
    const yRelu = halves(gpu, reference.relu(x.values))
    const factor = gpu.from(Float32Array.of(0.37))
    const results: [string, Promise<Float64Array>, ArrayLike<number>][] = [
      [
        'add',
        of(out => kernels.add(gpu, { a: x.view, b: dy.view, out: out.view, ...views })),
        reference.add(x.values, dy.values),
      ],
      [
        'scale',
        of(out => kernels.scale(gpu, { x: x.view, y: out.view, factor: -1.7, ...views })),
        reference.scale(x.values, Math.fround(-1.7)),
      ],
      [
        'scaleBy',
        of(out => kernels.scaleBy(gpu, { x: x.view, y: out.view, factor, ...views })),
        reference.scale(x.values, Math.fround(0.37)),
      ],
      ['relu', of(out => kernels.relu(gpu, { x: x.view, y: out.view, ...views })), yRelu.values],
      [
        'reluBackward',
        of(out => kernels.reluBackward(gpu, { y: yRelu.view, dy: dy.view, dx: out.view, ...views })),
        reference.reluBackward({ y: yRelu.values, dy: dy.values }),
      ],
      ['gelu', of(out => kernels.gelu(gpu, { x: x.view, y: out.view, ...views })), reference.gelu(x.values)],
      [
        'geluBackward',
        of(out => kernels.geluBackward(gpu, { x: x.view, dy: dy.view, dx: out.view, ...views })),
        reference.geluBackward({ x: x.values, dy: dy.values }),
      ],
      [
        'dropout',
        of(out => kernels.dropout(gpu, { x: x.view, y: out.view, p: 0.3, rng, ...views })),
        reference.dropout({ x: x.values, p: 0.3, rng }),
      ],
    ]
    // Below 2^-14 halves are 2^-24 apart, whatever their size.
    const bound = (expected: ArrayLike<number>) =>
      BOUND + 2 ** -25 / (Math.max(...Array.from(expected, Math.abs)) || 1)
    for (const [label, actual, expected] of results)
      expectClose(await actual, expected, bound(expected), { label })
    const into = halfBlock(gpu, n)
    gpu.upload(into.view, new Uint32Array(await gpu.readBytes({ ...dy.view, size: n * 2 })))
    kernels.addInto(gpu, { x: x.view, into: into.view, ...views })
    const sums = reference.add(x.values, dy.values)
    expectClose(await into.read(), sums, bound(sums), { label: 'addInto' })
  })
}

for (const [rows, H, scale, eps] of [
  [1, 4, 1, 1e-5],
  [7, 36, 1e4, 1e-12],
  [33, 768, 3, 1e-12],
  [5, 100, 1e-3, 1e-5],
] as const) {
  test(`LayerNorm of ${rows} x ${H}, values to ${scale}, eps ${eps}, with and without a residual`, async () => {
    const [x, residual] = [halves(gpu, seeded(rows * H, 1, scale)), halves(gpu, seeded(rows * H, 2, scale))]
    const dy = halves(gpu, seeded(rows * H, 3))
    const [weight, bias] = [seeded(H, 4), seeded(H, 5)]
    const floats = { weight: gpu.from(weight), bias: gpu.from(bias) }
    for (const fused of [false, true]) {
      const [mean, rstd] = [guarded(gpu, rows), guarded(gpu, rows)]
      const [y, sum, dx] = [halfBlock(gpu, rows * H), halfBlock(gpu, rows * H), halfBlock(gpu, rows * H)]
      const [dweight, dbias] = [guarded(gpu, H), guarded(gpu, H)]
      const shared = { weight: floats.weight, mean: mean.view, rstd: rstd.view, rows, H, storage } as const
      const extra = fused ? { residual: residual.view, sum: sum.view } : {}
      kernels.layerNorm(gpu, { ...shared, ...extra, bias: floats.bias, x: x.view, y: y.view, eps })
      kernels.layerNormBackward(gpu, {
        ...shared,
        dy: dy.view,
        x: fused ? sum.view : x.view,
        dx: dx.view,
        dweight: dweight.view,
        dbias: dbias.view,
      })
      // The sum is rounded when it is stored; the statistics are those of the rounded values.
      const summed = fused ? reference.roundF16(reference.add(x.values, residual.values)) : x.values
      if (fused) assert.equal(await sum.read(), summed)
      const expected = reference.layerNorm({ x: summed, weight, bias, rows, H, eps })
      const label = fused ? 'fused' : 'plain'
      expectClose(await y.read(), expected.y, BOUND, { label: `${label} y` })
      expectClose(await gpu.readFloats(mean.view), expected.mean, 2e-6 * scale, { absolute: true })
      expectClose(await gpu.readFloats(rstd.view), expected.rstd, 4e-6)
      const grads = reference.layerNormBackward({ ...expected, dy: dy.values, sum: summed, weight, rows, H })
      expectClose(await dx.read(), grads.dx, BOUND + 4e-6, { label: `${label} dx` })
      expectClose(await gpu.readFloats(dweight.view), grads.dweight, 1e-5)
      expectClose(await gpu.readFloats(dbias.view), grads.dbias, 1e-5)
    }
  })
}

test('LayerNorm fused with ReLU and dropout is the separate kernels, over halves', async () => {
  const [rows, H] = [9, 44]
  const n = rows * H
  const [x, dy] = [halves(gpu, seeded(n, 1, 3)), halves(gpu, seeded(n, 2))]
  const [weight, bias] = [seeded(H, 4), seeded(H, 5)]
  const outputDropout = { p: 0.25, rng: { seed: 1, layer: 2, step: 3 } }
  const shared = {
    weight: gpu.from(weight),
    mean: gpu.acquire(36),
    rstd: gpu.acquire(36),
  }
  const size = { rows, H, storage, outputDropout } as const
  const [y, dx] = [halfBlock(gpu, n), halfBlock(gpu, n)]
  const [dweight, dbias] = [guarded(gpu, H), guarded(gpu, H)]
  const more = { bias: gpu.from(bias), activation: 'relu', eps: 1e-5 } as const
  kernels.layerNorm(gpu, { ...shared, ...size, ...more, x: x.view, y: y.view })
  const results = { dx: dx.view, dweight: dweight.view, dbias: dbias.view }
  kernels.layerNormBackward(gpu, { ...shared, ...size, ...results, dy: dy.view, x: x.view, y: y.view })
  const normal = reference.layerNorm({ x: x.values, weight, bias, rows, H, eps: 1e-5 })
  const passed = reference.relu(normal.y)
  expectClose(await y.read(), reference.dropout({ x: passed, ...outputDropout }), BOUND)
  const g = reference.reluBackward({
    y: await y.read(),
    dy: reference.dropoutBackward({ dy: dy.values, ...outputDropout }),
  })
  const grads = reference.layerNormBackward({ ...normal, dy: g, sum: x.values, weight, rows, H })
  expectClose(await dx.read(), grads.dx, BOUND + 4e-6)
  expectClose(await gpu.readFloats(dweight.view), grads.dweight, 1e-5)
  expectClose(await gpu.readFloats(dbias.view), grads.dbias, 1e-5)
})

test('embedding rows are halves of float32 tables; their gradient is float32', async () => {
  const [V, P, n, H] = [50, 9, 41, 20]
  const [table, positions] = [seeded(V * H, 1), seeded(P * H, 2)]
  const [ids, places] = [seededInts(n, 3, V), seededInts(n, 4, P)]
  const out = halfBlock(gpu, n * H)
  kernels.embedding(gpu, {
    table: [
      { view: gpu.from(table.slice(0, 20 * H)), firstRow: 0, rows: 20 },
      { view: gpu.from(table.slice(20 * H)), firstRow: 20, rows: V - 20 },
    ],
    ids: gpu.from(ids),
    out: out.view,
    n,
    H,
    position: { table: [{ view: gpu.from(positions), firstRow: 0, rows: P }], ids: gpu.from(places) },
    storage,
  })
  const expected = reference.embedding({ table, ids, H, position: { table: positions, ids: places } })
  expectClose(await out.read(), expected, BOUND)
  const dy = halves(gpu, seeded(n * H, 5))
  const { rows, offsets, positions: order } = groupIds(ids)
  const grad = guarded(gpu, rows.length * H)
  kernels.embeddingBackward(gpu, {
    dy: dy.view,
    offsets: gpu.from(offsets),
    positions: gpu.from(order),
    grad: grad.view,
    U: rows.length,
    H,
    storage,
  })
  const sums = new Float64Array(rows.length * H)
  for (const [i, id] of ids.entries())
    for (let h = 0; h < H; h++) sums[rows.indexOf(id) * H + h]! += dy.values[i * H + h]!
  expectClose(await gpu.readFloats(grad.view), sums, 1e-6)
})

test('pooling reads halves and gives float32; its gradient is halves; a row without tokens is zero', async () => {
  const [lengths, H] = [[3, 0, 5, 1, 9], 12]
  const B = lengths.length
  const cuSeqlens = new Uint32Array(B + 1)
  lengths.forEach((length, b) => {
    cuSeqlens[b + 1] = cuSeqlens[b]! + length
  })
  const T = cuSeqlens[B]!
  const rowIds = Uint32Array.from(lengths.flatMap((length, b) => Array<number>(length).fill(b)))
  const keyMask = seededInts(T, 1, 4).map(v => Math.min(v, 1))
  const x = halves(gpu, seeded(T * H, 2, 100))
  const dy = seeded(B * H, 3)
  const [keys, starts] = [{ keyMask: gpu.from(keyMask) }, { cuSeqlens: gpu.from(cuSeqlens) }]
  const ofTokens = { rowIds: gpu.from(rowIds), dy: gpu.from(dy), T, H, storage } as const
  const counts = guarded(gpu, B)
  const [mean, first] = [guarded(gpu, B * H), guarded(gpu, B * H)]
  const [dMean, dFirst] = [halfBlock(gpu, T * H), halfBlock(gpu, T * H)]
  const ofRows = { ...starts, B, H, storage } as const
  kernels.meanPool(gpu, { ...keys, ...ofRows, x: x.view, out: mean.view, counts: counts.view })
  kernels.meanPoolBackward(gpu, { ...keys, ...ofTokens, counts: counts.view, dx: dMean.view })
  kernels.firstToken(gpu, { ...ofRows, x: x.view, out: first.view })
  kernels.firstTokenBackward(gpu, { ...starts, ...ofTokens, dx: dFirst.view })
  const rows = { keyMask, cuSeqlens, B, H, T }
  expectClose(await gpu.readFloats(mean.view), reference.meanPool({ ...rows, x: x.values }), 1e-6)
  expectClose(await dMean.read(), reference.meanPoolBackward({ ...rows, dy }), BOUND)
  expectClose(await gpu.readFloats(first.view), reference.firstToken({ ...rows, x: x.values }), 0)
  expectClose(await dFirst.read(), reference.firstTokenBackward({ ...rows, dy }), BOUND)
})

test('column sums of halves are float32, overwritten or added to', async () => {
  const [rows, C] = [203, 28]
  const x = halves(gpu, seeded(rows * C, 1, 1e4))
  const out = guarded(gpu, C)
  kernels.columnSum(gpu, { x: x.view, out: out.view, rows, C, storage })
  kernels.columnSum(gpu, { x: x.view, out: out.view, rows, C, storage, accumulate: true })
  const expected = reference.columnSum({ x: x.values, rows, C })
  expectClose(await gpu.readFloats(out.view), reference.scale(expected, 2), 4e-6)
  await out.checkNeighbours()
})

test('results beyond 65504 are infinite, as PyTorch’s are', async () => {
  const x = halves(gpu, [60000, -60000, 1, 65504])
  const out = halfBlock(gpu, 4)
  kernels.scale(gpu, { x: x.view, y: out.view, factor: 2, n: 4, storage })
  assert.equal(
    [...(await out.read())],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2, Number.POSITIVE_INFINITY],
  )
})

test('rows that are no multiple of four are refused', () => {
  const view = gpu.acquire(400)
  assert.throws(() => kernels.relu(gpu, { x: view, y: view, n: 6, storage }), /multiple of 4 values, got 6/)
  assert.throws(() => kernels.columnSum(gpu, { x: view, out: view, rows: 2, C: 3, storage }), /got 3/)
})

test.after(() => gpu.close())
test.run()
