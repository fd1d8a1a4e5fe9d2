import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { defineKernel, foldGrid, type Gpu, InFlight, openGpu, type View } from '../../src/gpu/index.ts'
import { sizeClass } from '../../src/gpu/pool.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

const wgsl = `
const WG: u32 = 64;
struct Params { n: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG)
fn scale(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { y[i] = params.factor * x[i]; }
}
@group(0) @binding(1) var<storage, read_write> length: array<u32>;
@compute @workgroup_size(1)
fn measure() { length[0] = arrayLength(&length); }
`
const scale = defineKernel({
  name: 'scale',
  wgsl,
  entry: 'scale',
  params: { n: 'u32', factor: 'f32' },
  bindings: ['read', 'write'],
})
const measure = defineKernel({ name: 'measure', wgsl, entry: 'measure', params: {}, bindings: ['write'] })

const run = (device: Gpu, x: View, y: View, n: number, factor: number) =>
  device.launch(scale, { n, factor }, [x, y], Math.ceil(n / 64))

test('uploads and launches run in the order they were recorded, over many submits', async () => {
  const n = 100
  const x = gpu.from(new Float32Array(n).fill(1))
  const results: View[] = []
  for (let i = 1; i <= 300; i++) {
    gpu.upload(x, new Float32Array(n).fill(i))
    const y = gpu.acquire(n * 4)
    run(gpu, x, y, n, i % 7)
    results.push(y)
  }
  for (const [index, y] of results.entries()) {
    const i = index + 1
    assert.equal((await gpu.readFloats(y))[n - 1], i * (i % 7))
    gpu.release(y)
  }
  gpu.release(x)
})

test('an upload larger than the staging buffer keeps its place', async () => {
  const n = 1 << 20
  const [x, y] = [gpu.acquire(n * 4), gpu.acquire(n * 4)]
  gpu.upload(x, new Float32Array(n).fill(3))
  run(gpu, x, y, n, 2)
  gpu.upload(x, new Float32Array(n).fill(5))
  const [first, second] = [await gpu.readFloats(y), await gpu.readFloats(x)]
  assert.ok(first.every(v => v === 6))
  assert.ok(second.every(v => v === 5))
  for (const view of [x, y]) gpu.release(view)
})

test('a buffer handed out again serves old and new readers in order', async () => {
  const source = gpu.from(seeded(64, 1))
  const values = await gpu.readFloats(source)
  const copies: View[] = []
  for (let i = 0; i < 20; i++) {
    const temporary = gpu.acquire(256)
    run(gpu, source, temporary, 64, i)
    const copy = gpu.acquire(256)
    gpu.copy(temporary, copy)
    gpu.release(temporary)
    copies.push(copy)
  }
  for (const [i, copy] of copies.entries()) {
    assert.equal(
      await gpu.readFloats(copy),
      values.map(v => Math.fround(v * i)),
    )
    gpu.release(copy)
  }
  gpu.release(source)
})

test('commands recorded while kernels compile keep their order', async () => {
  const fresh = await openGpu()
  const n = 33
  const [x, y, z] = [fresh.from(new Float32Array(n).fill(2)), fresh.acquire(n * 4), fresh.acquire(n * 4)]
  run(fresh, x, y, n, 3) // 6; nothing is compiled yet
  const data = new Float32Array(n).fill(5)
  fresh.upload(x, data)
  data.fill(-1) // the caller's array is its own again
  run(fresh, x, z, n, 10) // 50
  fresh.copy(z, x, n * 4)
  run(fresh, x, z, n, 2) // 100
  fresh.clear({ ...y, size: 4 })
  fresh.flush()
  assert.is(fresh.counts.submits, 0)
  assert.equal([...(await fresh.readFloats({ ...y, size: 8 }))], [0, 6])
  assert.ok((await fresh.readFloats({ ...z, size: n * 4 })).every(v => v === 100))
  assert.is(fresh.counts.launches, 3)
  fresh.close()
})

test('an upload goes ahead of what is recorded only where nothing recorded names the buffer', async () => {
  await gpu.done()
  const n = 64
  const [x, y, z] = [gpu.from(new Float32Array(n).fill(1)), gpu.acquire(n * 4), gpu.acquire(n * 4)]
  run(gpu, x, y, n, 4) // reads x before the next upload
  gpu.upload(x, new Float32Array(n).fill(7))
  run(gpu, x, z, n, 4)
  const late = gpu.from(new Float32Array(n).fill(9))
  gpu.copy(late, x)
  assert.ok((await gpu.readFloats({ ...y, size: n * 4 })).every(v => v === 4))
  assert.ok((await gpu.readFloats({ ...z, size: n * 4 })).every(v => v === 28))
  assert.ok((await gpu.readFloats({ ...x, size: n * 4 })).every(v => v === 9))
  for (const view of [x, y, z, late]) gpu.release(view)
})

test('a buffer that was uploaded into is not handed out again before the next submit', async () => {
  await gpu.done()
  const [n, sums] = [64, [] as View[]]
  for (let i = 0; i < 10; i++) {
    const x = gpu.from(new Float32Array(n).fill(i))
    const y = gpu.acquire(n * 4)
    run(gpu, x, y, n, 2)
    gpu.release(x)
    sums.push(y)
  }
  for (const [i, y] of sums.entries()) {
    assert.ok((await gpu.readFloats({ ...y, size: n * 4 })).every(v => v === 2 * i))
    gpu.release(y)
  }
})

test('views of one buffer that differ only in size are bound as such', async () => {
  const { buffer } = gpu.acquire(4096)
  for (const size of [256, 1024, 512, 2048]) {
    gpu.launch(measure, {}, [{ buffer, offset: 0, size }], 1)
    assert.is((await gpu.readUints({ buffer, offset: 0, size: 4 }))[0], size / 4)
    gpu.launch(measure, {}, [{ buffer, offset: 1024, size }], 1)
    assert.is((await gpu.readUints({ buffer, offset: 1024, size: 4 }))[0], size / 4)
  }
})

test('more workgroups than one dimension takes are folded', () => {
  assert.equal(foldGrid(65535), [65535, 1, 1])
  for (const groups of [65536, 560_000, 10_000_001]) {
    const [x, y] = foldGrid(groups)
    assert.ok(x <= 65535 && y <= 65535 && x * y >= groups && x * y < groups + y)
  }
})

test('a folded launch reaches every element', async () => {
  const n = 64 * 70_000 + 3
  const x = gpu.from(new Float32Array(n).fill(1))
  const y = gpu.acquire(n * 4)
  run(gpu, x, y, n, 3)
  assert.ok((await gpu.readFloats({ ...y, size: n * 4 })).every(v => v === 3))
  for (const view of [x, y]) gpu.release(view)
})

test('buffers come back by size class, and are counted', () => {
  const { created, buffers, inUse } = { ...gpu.memory }
  const a = gpu.acquire(5000)
  gpu.release(a)
  const b = gpu.acquire(5100)
  assert.is(b.buffer, a.buffer)
  gpu.release(b)
  assert.ok(gpu.memory.created <= created + 1)
  assert.is(gpu.memory.buffers, buffers)
  assert.is(gpu.memory.inUse, inUse)
  for (const bytes of [1, 256, 257, 1000, 5000, 123_456_789]) {
    const size = sizeClass(bytes)
    assert.ok(size >= bytes && size % 256 === 0 && size <= Math.max(256, bytes * 1.25 + 256))
  }
})

test('a buffer has room for a longer batch, and one that is a little too large will do', () => {
  const a = gpu.acquire(100_000)
  assert.ok(a.buffer.size >= 110_000 && a.buffer.size <= 160_000)
  gpu.release(a)
  const { created } = gpu.memory
  for (const bytes of [90_000, 100_000, 110_000]) {
    const b = gpu.acquire(bytes)
    assert.is(b.size, bytes)
    gpu.release(b)
  }
  assert.is(gpu.memory.created, created)
})

test('allocated memory is exact, of its own, and gone when it is released', async () => {
  const { allocated } = gpu.memory
  const a = gpu.allocate(100_004)
  assert.is(a.buffer.size, 100_004)
  assert.is(gpu.memory.allocated, allocated + 100_004)
  gpu.release(gpu.allocate(512))
  assert.is(gpu.memory.allocated, allocated + 100_004)
  const values = seeded(25_001, 3)
  gpu.upload(a, values)
  const b = gpu.acquire(100_004)
  gpu.copy(a, b)
  gpu.release(a) // the copy is recorded, and not submitted
  assert.equal(await gpu.readFloats({ ...b, size: 100_004 }), values)
  gpu.release(b)
  assert.is.not(gpu.acquire(100_004).buffer, a.buffer)
})

test('new buffers are full of NaN on a poisoned device', async () => {
  const view = gpu.acquire(400)
  assert.ok((await gpu.readFloats(view)).every(Number.isNaN))
  gpu.release(view)
})

test('a buffer larger than one binding is refused with its sizes', () => {
  assert.throws(
    () => gpu.acquire(gpu.maxBinding + 4, 'a table'),
    /a table needs \d+ bytes, more than the \d+ bytes/,
  )
})

test('what a compiler refuses becomes an error of the next wait', async () => {
  const broken = await openGpu()
  const bad = defineKernel({
    name: 'bad',
    wgsl: 'const WG: u32 = 64;\nfn nonsense( {',
    entry: 'main',
    params: {},
    bindings: [],
  })
  try {
    broken.launch(bad, {}, [], 1)
    await broken.done()
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /^kernel bad, entry main: line 2 .fn nonsense/)
  } finally {
    broken.close()
  }
})

test('work in flight stays below its limit', async () => {
  const queue = new InFlight(2)
  const order: number[] = []
  const work = (i: number) => new Promise<void>(resolve => setImmediate(() => resolve(void order.push(i))))
  for (let i = 0; i < 6; i++) {
    await queue.push(gpu, work(i))
    assert.ok(order.length >= i - 1, 'at most two are under way')
  }
  await queue.drain()
  assert.is(order.length, 6)
})

test('default limits are what the device offers when asked for', async () => {
  const small = await openGpu({ defaultLimits: true })
  assert.is(small.limits.maxStorageBufferBindingSize, 128 * 2 ** 20)
  assert.is(small.limits.maxBufferSize, 256 * 2 ** 20)
  small.close()
})

test('an unknown adapter name is refused', async () => {
  try {
    await openGpu({ adapter: 'quantum' })
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /adapter 'quantum' is unknown; expected one of auto/)
  }
})

test('what is recorded is submitted before its estimated work passes the limit', async () => {
  const small = await openGpu({ workLimit: 1000 })
  const n = 64
  const [x, y] = [small.from(new Float32Array(n).fill(2)), small.acquire(n * 4)]
  const submitsOf = async (work: (number | undefined)[]) => {
    await small.done()
    const { submits } = small.counts
    for (const each of work) small.launch(scale, { n, factor: 3 }, [x, y], 1, each)
    small.flush()
    return small.counts.submits - submits
  }
  run(small, x, y, n, 3)
  assert.is(await submitsOf(Array<number>(10).fill(300)), 4) // three at a time
  assert.is(await submitsOf([500, 500, 1]), 2)
  assert.is(await submitsOf([1e9, 0, 1e9]), 3) // one that is more goes by itself
  assert.is(await submitsOf([undefined, undefined]), 2) // 64 invocations count for more than this limit
  assert.ok((await small.readFloats({ ...y, size: n * 4 })).every(v => v === 6))
  for (const work of [-1, Number.NaN])
    assert.throws(
      () => small.launch(scale, { n, factor: 1 }, [x, y], 1, work),
      /kernel scale: work is (-1|NaN), expected multiply-adds/,
    )
  small.close()
  for (const workLimit of [0, -5, Number.NaN])
    try {
      await openGpu({ workLimit })
      assert.unreachable()
    } catch (error) {
      assert.match((error as Error).message, /openGpu: workLimit is (0|-5|NaN), expected multiply-adds/)
    }
})

test.after(() => gpu.close())
test.run()
