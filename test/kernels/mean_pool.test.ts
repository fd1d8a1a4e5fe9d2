import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { firstToken, firstTokenBackward, meanPool, meanPoolBackward } from '../../src/kernels/mean_pool.ts'
import * as reference from '../../src/reference/mean_pool.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { goldenFloats, goldenShape, goldenTest, goldenUints } from '../support/golden-ops.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()
type Floats = Float32Array<ArrayBuffer>
type Uints = Uint32Array<ArrayBuffer>

const packed = (lengths: readonly number[]) => {
  const cuSeqlens = Uint32Array.from([0, ...lengths])
  for (let b = 0; b < lengths.length; b++) cuSeqlens[b + 1]! += cuSeqlens[b]!
  return { cuSeqlens, rowIds: Uint32Array.from(lengths.flatMap((length, b) => new Array(length).fill(b))) }
}

async function runMean(x: Floats, dy: Floats, keyMask: Uints, lengths: readonly number[], H: number) {
  const [B, T] = [lengths.length, keyMask.length]
  const { cuSeqlens, rowIds } = packed(lengths)
  const [maskView, dyView] = [gpu.from(keyMask), gpu.from(dy)]
  const [out, counts, dx] = [guarded(gpu, B * H), guarded(gpu, B), guarded(gpu, T * H)]
  const views = { keyMask: maskView, cuSeqlens: gpu.from(cuSeqlens), out: out.view, counts: counts.view }
  meanPool(gpu, { x: gpu.from(x), ...views, B, H })
  meanPoolBackward(gpu, {
    dy: dyView,
    keyMask: maskView,
    rowIds: gpu.from(rowIds),
    counts: counts.view,
    dx: dx.view,
    T,
    H,
  })
  for (const { checkNeighbours } of [out, counts, dx]) await checkNeighbours()
  const read = (view: typeof out.view) => (view.size ? gpu.readFloats(view) : new Float32Array(0))
  return { y: await read(out.view), counts: await read(counts.view), dx: await read(dx.view), cuSeqlens }
}

for (const [lengths, H, scale] of [
  [[1], 1, 1],
  [[3, 2, 0, 3], 3, 1],
  [[0, 5, 17, 0, 1, 64], 10, 1e4],
  [[40, 3, 0], 768, 1],
  [[9, 9, 9, 9, 9, 9, 9], 64, 1e-8],
  [[0, 0], 8, 1],
  [[300, 0, 1, 17], 65, 1],
  [[5, 33], 1000, 1],
] as const) {
  const T = lengths.reduce((sum: number, length) => sum + length, 0)
  const [B, x, dy] = [lengths.length, seeded(T * H, T, scale), seeded(lengths.length * H, H)]

  test(`mean pool and its gradient agree with the oracle: rows of ${lengths}, H ${H}, values to ${scale}`, async () => {
    const keyMask = seededInts(T, T + 1, 3).map(v => Math.min(v, 1))
    keyMask.fill(0, 0, lengths[0]! > 1 ? lengths[0] : 0) // all of the first row masked
    const got = await runMean(x, dy, keyMask, lengths, H)
    const given = { keyMask, cuSeqlens: got.cuSeqlens, B, H }
    expectClose(got.y, reference.meanPool({ x, ...given }), 1e-6)
    expectClose(got.dx, reference.meanPoolBackward({ dy, ...given, T }), 1e-6)
    const kept = lengths.map((length, b) =>
      keyMask.subarray(got.cuSeqlens[b], got.cuSeqlens[b]! + length).reduce((sum, v) => sum + v, 0),
    )
    assert.equal([...got.counts], kept)
  })

  test(`first token and its gradient equal the oracle: rows of ${lengths}, H ${H}`, async () => {
    const { cuSeqlens, rowIds } = packed(lengths)
    const [out, dx, cuView] = [guarded(gpu, B * H), guarded(gpu, T * H), gpu.from(cuSeqlens)]
    firstToken(gpu, { x: gpu.from(x), cuSeqlens: cuView, out: out.view, B, H })
    const views = { dy: gpu.from(dy), cuSeqlens: cuView, rowIds: gpu.from(rowIds), dx: dx.view }
    firstTokenBackward(gpu, { ...views, T, H })
    const given = { cuSeqlens, B, H }
    assert.equal(await gpu.readFloats(out.view), Float32Array.from(reference.firstToken({ x, ...given })))
    if (T > 0) {
      const expected = reference.firstTokenBackward({ dy, ...given, T })
      assert.equal(await gpu.readFloats(dx.view), Float32Array.from(expected))
    }
    await out.checkNeighbours()
    await dx.checkNeighbours()
  })
}

for (const [H, width, column] of [
  [7, 12, 3],
  [8, 20, 4],
  [768, 873, 0],
] as const) {
  test(`the mean written to columns ${column} on of ${width} is the mean of ${H}, and its gradient is read there`, async () => {
    const lengths = [5, 0, 1, 9]
    const [B, T] = [lengths.length, 15]
    const { cuSeqlens, rowIds } = packed(lengths)
    const keyMask = Uint32Array.from({ length: T }, (_, t) => Number(t % 4 !== 1))
    const x = gpu.from(seeded(T * H, 1))
    const rows = { keyMask: gpu.from(keyMask), cuSeqlens: gpu.from(cuSeqlens) }
    const before = seeded(B * width, 2)
    const [plain, inside, counts] = [gpu.acquire(B * H * 4), gpu.from(before), gpu.acquire(B * 4)]
    meanPool(gpu, { x, ...rows, out: plain, counts, B, H })
    meanPool(gpu, { x, ...rows, out: inside, counts, B, H, outWidth: width, outColumn: column })
    const mean = await gpu.readFloats(plain)
    const expected = before.map((old, i) => {
      const c = (i % width) - column
      return c >= 0 && c < H ? mean[Math.floor(i / width) * H + c]! : old
    })
    assert.equal(await gpu.readFloats(inside), expected)
    const [dx, dxInside] = [gpu.acquire(T * H * 4), gpu.acquire(T * H * 4)]
    const back = { keyMask: rows.keyMask, rowIds: gpu.from(rowIds), counts, T, H }
    meanPoolBackward(gpu, { dy: plain, ...back, dx })
    meanPoolBackward(gpu, { dy: inside, ...back, dx: dxInside, dyWidth: width, dyColumn: column })
    assert.equal(await gpu.readFloats(dxInside), await gpu.readFloats(dx))
  })
}

test('a masked token is not read: its NaN stays out of the mean', async () => {
  const x = Float32Array.of(1, Number.NaN, 5)
  const { y } = await runMean(x, Float32Array.of(1), Uint32Array.of(1, 0, 1), [3], 1)
  assert.equal(y, Float32Array.of(3))
})

goldenTest('mean pool and its gradient agree with PyTorch, an empty row included', async () => {
  const [B, S, H] = goldenShape('mean_pool.x') as [number, number, number]
  const [x, dy, mask] = [
    goldenFloats('mean_pool.x'),
    goldenFloats('mean_pool.dy'),
    goldenUints('mean_pool.mask'),
  ]
  const got = await runMean(x, dy, mask, new Array<number>(B).fill(S), H)
  expectClose(got.y, goldenFloats('mean_pool.y'), 1e-5)
  expectClose(got.dx, goldenFloats('mean_pool.dx'), 1e-5)
})

test.after(() => gpu.close())
test.run()
