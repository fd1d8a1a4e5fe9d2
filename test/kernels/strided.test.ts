import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { defineKernel } from '../../src/gpu/index.ts'
import { type Steps, strided } from '../../src/kernels/strided.ts'
import { stridesOf } from '../../src/kernels/strides.ts'
import * as reference from '../../src/reference/index.ts'
import { packHalves, unpackHalves } from '../../src/testing/half.ts'
import { guarded } from '../../src/testing/index.ts'
import divide from '../../src/wgsl/divide.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const whole = (shape: number[]): Steps => ({ offset: 0, strides: stridesOf(shape) })

/** [what, elements of x, elements of y, shape moved, from, to] */
const MOVES: [string, number, number, number[], Steps, Steps][] = [
  ['all, in order', 37, 37, [37], whole([37]), whole([37])],
  ['all in fours', 4096, 4096, [64, 64], whole([64, 64]), whole([64, 64])],
  ['a transpose', 15, 15, [5, 3], { offset: 0, strides: [1, 5] }, whole([5, 3])],
  ['a transpose of rows of eight', 96, 96, [3, 4, 8], { offset: 0, strides: [8, 24, 1] }, whole([3, 4, 8])],
  ['a cut', 60, 12, [3, 4], { offset: 12, strides: [20, 1] }, whole([3, 4])],
  ['a cut at an odd place', 60, 12, [3, 4], { offset: 7, strides: [20, 1] }, whole([3, 4])],
  ['every second', 20, 10, [10], { offset: 1, strides: [2] }, whole([10])],
  ['a row repeated', 4, 20, [5, 4], { offset: 0, strides: [0, 1] }, whole([5, 4])],
  ['a column repeated', 5, 20, [5, 4], { offset: 0, strides: [1, 0] }, whole([5, 4])],
  ['into a part', 12, 60, [3, 4], whole([3, 4]), { offset: 7, strides: [20, 1] }],
  [
    'six dimensions turned round',
    2 * 3 * 2 * 3 * 2 * 5,
    2 * 3 * 2 * 3 * 2 * 5,
    [5, 2, 3, 2, 3, 2],
    { offset: 0, strides: stridesOf([2, 3, 2, 3, 2, 5]).toReversed() },
    whole([5, 2, 3, 2, 3, 2]),
  ],
  ['many rows of three', 210_003, 210_003, [3, 70_001], { offset: 0, strides: [1, 3] }, whole([3, 70_001])],
]

for (const [what, nx, ny, shape, from, to] of MOVES) {
  test(`${what}: what is moved arrives, and the rest stays`, async () => {
    const [x, y] = [seeded(nx, nx), seeded(ny, ny + 1)]
    const out = guarded(gpu, ny)
    gpu.upload(out.view, y)
    strided(gpu, { x: gpu.from(x), y: out.view, shape, from, to })
    const expected = reference.strided({ x, y, shape, from, to })
    assert.equal(await gpu.readFloats(out.view), Float32Array.from(expected))
    await out.checkNeighbours()
  })
}

test('halves move four at a time, and not otherwise', async () => {
  const shape = [3, 2, 4]
  const words = packHalves(seeded(24, 1))
  const out = guarded(gpu, 12)
  const [from, to] = [{ offset: 0, strides: [4, 12, 1] }, whole(shape)]
  strided(gpu, { x: gpu.from(words), y: out.view, shape, from, to, storage: 'f16' })
  const x = unpackHalves(words)
  const expected = reference.strided({ x, y: x, shape, from, to })
  assert.equal(unpackHalves(await gpu.readUints(out.view)), expected)
  const odd = { offset: 2, strides: [1, 3] }
  const view = gpu.acquire(64)
  assert.throws(
    () =>
      strided(gpu, {
        x: view,
        y: gpu.acquire(64),
        shape: [3, 4],
        from: odd,
        to: whole([3, 4]),
        storage: 'f16',
      }),
    /f16 storage moves four values at a time, and shape \[3,4\]/,
  )
})

test('quotients are exact up to the last number', async () => {
  const kernel = defineKernel({
    name: 'divide',
    prelude: divide,
    wgsl: `
const WG: u32 = 64;
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> q: array<u32>;
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { q[i] = divide(pairs[i].x, pairs[i].y); }
}`,
    entry: 'main',
    params: { n: 'u32' },
    bindings: ['read', 'write'],
  })
  const pairs: number[] = []
  for (const d of [2, 3, 5, 7, 191, 192, 768, 772, 1023, 4096, 65_537, 1_000_003, 33_554_432]) {
    for (const q of [
      0,
      1,
      2,
      1000,
      2 ** 20 + 1,
      2 ** 23 - 1,
      2 ** 24 + 3,
      2 ** 31 - 2,
      Math.floor((2 ** 32 - 1) / d),
    ]) {
      for (const i of [q * d - 1, q * d, q * d + 1, q * d + d - 1])
        if (i >= 0 && i < 2 ** 32) pairs.push(i, d)
    }
  }
  const n = pairs.length / 2
  const out = guarded(gpu, n)
  gpu.launch(kernel, { n }, [gpu.from(Uint32Array.from(pairs)), out.view], Math.ceil(n / 64))
  assert.equal(
    await gpu.readUints(out.view),
    Uint32Array.from({ length: n }, (_, k) => Math.floor(pairs[2 * k]! / pairs[2 * k + 1]!)),
  )
})

test('nothing is launched for no elements', () => {
  const { launches } = gpu.counts
  strided(gpu, {
    x: gpu.acquire(4),
    y: gpu.acquire(4),
    shape: [3, 0],
    from: whole([3, 0]),
    to: whole([3, 0]),
  })
  assert.is(gpu.counts.launches, launches)
})

test.after(() => gpu.close())
test.run()
