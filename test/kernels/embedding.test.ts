import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  embedding,
  embeddingBackward,
  joinLookups,
  lookupGradients,
  scatterAddRows,
  type TableShard,
} from '../../src/kernels/embedding.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { goldenFloats, goldenShape, goldenTest, goldenUints } from '../support/golden-ops.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()

/** A table in shards of `rows` rows. */
function shards(table: Float32Array<ArrayBuffer>, H: number, rows: number): TableShard[] {
  const V = table.length / H
  return Array.from({ length: Math.ceil(V / rows) }, (_, i) => {
    const end = Math.min((i + 1) * rows, V)
    return { view: gpu.from(table.slice(i * rows * H, end * H)), firstRow: i * rows, rows: end - i * rows }
  })
}

/** Unique ids in ascending order with the places of each: what collate makes of a batch. */
function group(ids: ArrayLike<number>, skip?: number) {
  const places = new Map<number, number[]>()
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] !== skip) places.set(ids[i]!, [...(places.get(ids[i]!) ?? []), i])
  }
  const rows = [...places.keys()].sort((a, b) => a - b)
  const offsets = [0]
  for (const row of rows) offsets.push(offsets.at(-1)! + places.get(row)!.length)
  return {
    rows,
    offsets: Uint32Array.from(offsets),
    positions: Uint32Array.from(rows.flatMap(row => places.get(row)!)),
  }
}

async function gradient(
  dy: Float32Array<ArrayBuffer>,
  { rows, offsets, positions }: ReturnType<typeof group>,
  H: number,
  before?: Float32Array<ArrayBuffer>,
) {
  const grad = guarded(gpu, rows.length * H)
  if (before) gpu.upload(grad.view, before)
  embeddingBackward(gpu, {
    dy: gpu.from(dy),
    offsets: gpu.from(offsets),
    positions: gpu.from(positions),
    grad: grad.view,
    U: rows.length,
    H,
    accumulate: before !== undefined,
  })
  await grad.checkNeighbours()
  return gpu.readFloats(grad.view)
}

for (const [V, H, n, P] of [
  [1, 1, 1, 1],
  [50, 12, 33, 9],
  [23, 7, 100, 64],
  [300, 768, 41, 512],
  [40, 64, 640, 40],
] as const) {
  for (const rows of [V, 7]) {
    test(`rows of a table equal the oracle's: V ${V}, H ${H}, n ${n}, shards of ${rows}`, async () => {
      const [table, ids] = [seeded(V * H, V), seededInts(n, n, V)]
      const [places, positionIds] = [seeded(P * H, P), seededInts(n, P, P)]
      const [idsView, positionView] = [gpu.from(ids), gpu.from(positionIds)]
      const words = shards(table, H, rows)
      const position = { table: places, ids: positionIds }
      for (const positionShards of [undefined, shards(places, H, P), shards(places, H, 5)]) {
        const out = guarded(gpu, n * H)
        embedding(gpu, {
          table: words,
          ids: idsView,
          out: out.view,
          n,
          H,
          position: positionShards && { table: positionShards, ids: positionView },
        })
        const expected = reference.embedding({ table, ids, H, position: positionShards && position })
        assert.equal(await gpu.readFloats(out.view), Float32Array.from(expected))
        await out.checkNeighbours()
      }
    })
  }

  test(`row gradients agree with the oracle, overwriting and adding: V ${V}, H ${H}, n ${n}`, async () => {
    const [dy, groups] = [seeded(n * H, 1), group(seededInts(n, n, V))]
    const expected = reference.embeddingBackward({ dy, ...groups, H })
    const got = await gradient(dy, groups, H)
    expectClose(got, expected, 1e-6)
    assert.equal(await gradient(dy, groups, H), got)
    const before = seeded(expected.length, 2, 1e-3)
    expectClose(await gradient(dy, groups, H, before), reference.add(expected, before), 1e-6)
  })
}

test('one id everywhere: values of 1e4 and 1e-8', async () => {
  for (const scale of [1e4, 1e-8]) {
    const [n, H] = [257, 20]
    const [dy, groups] = [seeded(n * H, 3, scale), group(new Uint32Array(n))]
    expectClose(await gradient(dy, groups, H), reference.embeddingBackward({ dy, ...groups, H }), 1e-6)
  }
})

for (const H of [1, 12, 33, 768]) {
  test(`rows are added to the rows that a map names, the others stay: H ${H}`, async () => {
    const map = Uint32Array.of(8, 0, 3)
    const [source, before] = [seeded(3 * H, 1), seeded(9 * H, 2)]
    const target = guarded(gpu, 9 * H)
    gpu.upload(target.view, before)
    scatterAddRows(gpu, { source: gpu.from(source), map: gpu.from(map), target: target.view, n: 3, H })
    const expected = Float32Array.from(before)
    map.forEach((row, i) => {
      for (let h = 0; h < H; h++) expected[row * H + h]! += source[i * H + h]!
    })
    assert.equal(await gpu.readFloats(target.view), expected)
    await target.checkNeighbours()
  })
}

test('nothing is launched for no ids', () => {
  const { launches } = gpu.counts
  const [a, b, c, d] = [gpu.acquire(4), gpu.acquire(4), gpu.acquire(4), gpu.acquire(4)]
  embedding(gpu, { table: [{ view: a, firstRow: 0, rows: 1 }], ids: b, out: c, n: 0, H: 1 })
  embeddingBackward(gpu, { dy: a, offsets: b, positions: c, grad: d, U: 0, H: 1 })
  scatterAddRows(gpu, { source: a, map: b, target: c, n: 0, H: 1 })
  assert.is(gpu.counts.launches, launches)
})

/** Tables of these widths, of `V` rows, looked up side by side from column `from` on. */
function sideBySide(widths: readonly number[], { n, V, from }: { n: number; V: number; from: number }) {
  let column = from
  const tables = widths.map((width, k) => {
    const at = column
    column += width
    return { width, column: at, table: seeded(V * width, k), ids: seededInts(n, 10 + k, V), own: k === 1 }
  })
  return { tables, whole: column }
}

for (const [widths, n, V, rows, from] of [
  [[3], 5, 4, 4, 0],
  [[4, 8, 16], 33, 9, 9, 12],
  [[4, 1, 7, 64], 64, 20, 7, 5],
  [[2, 2, 4, 6, 8, 4, 2, 2], 17, 30, 30, 3],
  [[128, 4, 4, 4, 4, 4, 4], 9, 11, 3, 0],
] as const) {
  test(`lookups side by side, widths ${widths}, shards of ${rows} rows: columns and gradients as one by one`, async () => {
    const { tables, whole: used } = sideBySide(widths, { n, V, from })
    const whole = used + 4
    const ids = tables.flatMap(({ ids, own }) => (own ? [] : [...ids]))
    const index = gpu.from(Uint32Array.from([9, ...ids]))
    let next = 1
    const places = tables.map(({ own }) => {
      if (own) return undefined
      next += n
      return next - n
    })
    const target = guarded(gpu, n * whole)
    const before = seeded(n * whole, 99)
    gpu.upload(target.view, before)
    const own = tables.map(({ width }, k) => seeded(n * width, 50 + k))
    const parts = tables.map(({ table, width, column }, k) => ({
      table: places[k] === undefined ? shards(own[k]!, width, n) : shards(table, width, rows),
      ids: places[k],
      width,
      column,
    }))
    joinLookups(gpu, { parts, index, target: target.view, targetWidth: whole, rows: n })
    const expected = Float32Array.from(before)
    for (const [k, { table, ids, width, column }] of tables.entries())
      for (let r = 0; r < n; r++)
        for (let c = 0; c < width; c++)
          expected[r * whole + column + c] =
            places[k] === undefined ? own[k]![r * width + c]! : table[ids[r]! * width + c]!
    assert.equal(await gpu.readFloats(target.view), expected)
    await target.checkNeighbours()

    const dy = seeded(n * whole, 7)
    const groups = tables.map(({ ids }) => group(ids, 2))
    const pieces = groups.flatMap(({ offsets, positions }) => [...offsets, ...positions])
    const segments = gpu.from(Uint32Array.from([5, 5, ...pieces]))
    let at = 2
    const sums = tables.map(({ width, column }, k) => {
      const { rows, offsets, positions } = groups[k]!
      const place = { offsets: at, positions: at + offsets.length }
      at += offsets.length + positions.length
      const grad = guarded(gpu, Math.max(rows.length * width, 1))
      return { ...place, grad, U: rows.length, width, column }
    })
    const views = sums.map(({ grad, ...sum }) => ({ ...sum, grad: grad.view }))
    const all = { parts: views, index: segments, dy: gpu.from(dy), dyWidth: whole }
    lookupGradients(gpu, all)
    for (const [k, { grad, U, width, column }] of sums.entries()) {
      const cut = Float32Array.from({ length: n * width }, (_, i) => {
        const r = Math.floor(i / width)
        return dy[r * whole + column + i - r * width]!
      })
      const got = (await gpu.readFloats(grad.view)).subarray(0, U * width)
      expectClose(got, reference.embeddingBackward({ dy: cut, ...groups[k]!, H: width }), 1e-6)
      assert.equal(got, (await gradient(cut, groups[k]!, width)).subarray(0, U * width), 'as one by one')
      await grad.checkNeighbours()
    }
  })
}

test('lookups side by side refuse what does not fit', () => {
  const view = gpu.acquire(64)
  const part = { table: [{ view, firstRow: 0, rows: 4 }], ids: 0, width: 4, column: 0 }
  const join = { parts: [part], index: view, target: view, targetWidth: 4, rows: 4 }
  assert.throws(
    () => joinLookups(gpu, { ...join, parts: [{ ...part, column: 1 }] }),
    /parts\[0\]: column and the columns from there on end at 5, expected at most 4/,
  )
  assert.throws(
    () => joinLookups(gpu, { ...join, parts: [{ ...part, ids: 13 }] }),
    /joinLookups: parts\[0\]\.table\.ids has 64 bytes, expected at least 68/,
  )
  const sum = { offsets: 0, positions: 0, grad: view, U: 4, width: 4, column: 0 }
  const sums = { parts: [sum], index: view, dy: view, dyWidth: 4 }
  assert.throws(
    () => lookupGradients(gpu, { ...sums, parts: [{ ...sum, U: 5 }] }),
    /parts\[0\]\.grad has 64 bytes, expected at least 80/,
  )
  assert.throws(
    () => lookupGradients(gpu, { ...sums, parts: [{ ...sum, offsets: 12 }] }),
    /lookupGradients: index has 64 bytes, expected at least 68/,
  )
})

goldenTest('embedding and its gradient agree with PyTorch, the padding row without one', async () => {
  const [V, H] = goldenShape('embedding.table') as [number, number]
  const ids = goldenUints('embedding.ids')
  const out = gpu.acquire(ids.length * H * 4)
  const table = shards(goldenFloats('embedding.table'), H, V)
  embedding(gpu, { table, ids: gpu.from(ids), out, n: ids.length, H })
  assert.equal(await gpu.readFloats(out), goldenFloats('embedding.y'))
  const groups = group(ids, V - 1)
  const rows = await gradient(goldenFloats('embedding.dy'), groups, H)
  const dense = new Float32Array(V * H)
  groups.rows.forEach((row, u) => {
    dense.set(rows.subarray(u * H, (u + 1) * H), row * H)
  })
  expectClose(dense, goldenFloats('embedding.dtable'), 1e-5)
})

test.after(() => gpu.close())
test.run()
