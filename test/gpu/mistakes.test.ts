// Mistakes in a kernel, its declaration or a launch that are known at the call: each is thrown there, names what is wrong, and leaves the
// device and all other work as they were. One device sees all of them.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigError, DeviceError, KernelgradError, ShapeError } from '../../src/errors.ts'
import { defineKernel, type Kernel, openGpu, type View } from '../../src/gpu/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'
import { declaration, type ErrorClass, make, N, scale, values, wgsl } from '../support/scale-kernel.ts'

const gpu = await openTestGpu()
const x = gpu.from(seeded(N, 1))
const doubled = [...seeded(N, 1)].map(v => 2 * v)

/** The right call works, and so does work that was recorded before and has not been submitted. */
async function works(before: View): Promise<void> {
  const y = gpu.acquire(4 * N)
  gpu.launch(scale, values, [x, y], 1)
  for (const view of [y, before]) {
    assert.equal([...(await gpu.readFloats({ ...view, size: 4 * N }))], doubled)
    gpu.release(view)
  }
  await gpu.done()
}

const launched = (): View => {
  const y = gpu.acquire(4 * N)
  gpu.launch(scale, values, [x, y], 1)
  return y
}

interface Call {
  kernel?: unknown
  params?: unknown
  views?: unknown
  grid?: unknown
}
const y = gpu.acquire(4 * N)
const usage = (flags: number) => gpu.device.createBuffer({ size: 256, usage: flags })
const own = usage(GPUBufferUsage.STORAGE)
const gone = gpu.acquire(3000).buffer
const other = await openGpu()
const elsewhere = other.acquire(256)
const freed = gpu.allocate(512)
gpu.release(freed)
const of = (buffer: GPUBuffer, offset = 0, size = 256) => ({ buffer, offset, size })

const AT_ONCE: [string, Call, RegExp, ErrorClass?][] = [
  ['too few views', { views: [x] }, /kernel scale binds 2 buffers, got 1/],
  ['too many views', { views: [x, y, y] }, /binds 2 buffers, got 3/],
  ['no views', { views: undefined }, /binds 2 buffers, got no array/],
  ['a number for a view', { views: [x, 3] }, /scale, binding 2: expected a view of a buffer, got 3/],
  ['nothing for a view', { views: [null, y] }, /scale, binding 1: expected a view of a buffer, got null/],
  [
    'a view of no buffer',
    { views: [{ buffer: {}, offset: 0, size: 4 }, y] },
    /binding 1: expected a GPUBuffer/,
    KernelgradError,
  ],
  ['a tensor', { views: [{ view: x }, y] }, /binding 1: .* pass its \.view/],
  [
    'a buffer both ways',
    { views: [x, x] },
    /bindings 1 and 2 are one buffer, once to read and once to write/,
  ],
  [
    'a misaligned offset',
    { views: [of(x.buffer, 100, 4), y] },
    /binding 1 \(read\) starts at byte 100, expected a multiple of 256/,
  ],
  ['a negative offset', { views: [of(x.buffer, -256, 4), y] }, /starts at byte -256/],
  ['an offset that is NaN', { views: [of(x.buffer, Number.NaN, 4), y] }, /starts at byte NaN/],
  ['no bytes', { views: [of(x.buffer, 0, 0), y] }, /has 0 bytes, expected a multiple of 4/],
  ['half an element', { views: [of(x.buffer, 0, 6), y] }, /has 6 bytes/],
  [
    'past the end',
    { views: [x, of(y.buffer, 0, 1e6)] },
    /binding 2 \(write\) ends at byte 1000000 of a buffer that has \d+/,
  ],
  [
    'a buffer for no storage',
    { views: [of(usage(GPUBufferUsage.COPY_DST)), y] },
    /usage COPY_DST, expected STORAGE among it/,
  ],
  [
    'a destroyed buffer',
    { views: [x, of(gone)] },
    /scale, binding 2: the buffer was destroyed/,
    KernelgradError,
  ],
  ['a released buffer', { views: [freed, y] }, /scale, binding 1: the buffer was released/, KernelgradError],
  [
    'a buffer of another device',
    { views: [elsewhere, y] },
    /binding 1: the buffer is on another device/,
    KernelgradError,
  ],
  ['no parameters', { params: undefined }, /params are undefined, expected an object/],
  ['a missing parameter', { params: { n: 1, shift: 1 } }, /no value for params\.factor/],
  [
    'a parameter too many',
    { params: { ...values, facter: 3 } },
    /params\.facter is none of its parameters; expected n, shift, factor/,
  ],
  [
    'a fraction',
    { params: { ...values, n: 1.5 } },
    /params\.n is 1\.5, expected a whole number from 0 to 4294967295 \(u32\)/,
  ],
  ['a negative u32', { params: { ...values, n: -1 } }, /params\.n is -1/],
  ['a u32 that is too large', { params: { ...values, n: 2 ** 32 } }, /params\.n is 4294967296/],
  [
    'an i32 that is too large',
    { params: { ...values, shift: 2 ** 31 } },
    /params\.shift is 2147483648, .*\(i32\)/,
  ],
  [
    'a parameter that is NaN',
    { params: { ...values, factor: Number.NaN } },
    /params\.factor is NaN, expected a finite number that float32 holds/,
  ],
  ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(
    factor =>
      [
        `a parameter that is ${factor}`,
        { params: { ...values, factor } },
        new RegExp(`params\\.factor is ${factor}, expected a finite number that float32 holds`),
      ] as [string, object, RegExp],
  ),
  ['a parameter float32 cannot hold', { params: { ...values, factor: 1e39 } }, /params\.factor is 1e\+39/],
  ['a text for a number', { params: { ...values, n: '5' } }, /params\.n is '5'/],
  ['a bigint', { params: { ...values, n: 5n } }, /params\.n is a bigint/],
  ['groups that are NaN', { grid: Number.NaN }, /a grid of NaN workgroups, expected a whole number/],
  ['half a group', { grid: 1.5 }, /a grid of 1\.5 workgroups/],
  ['a negative group', { grid: -1 }, /a grid of -1 workgroups/],
  [
    'groups over the limit of a dimension',
    { grid: [65536, 1, 1] },
    /a grid of \[65536, 1, 1\] workgroups, expected whole numbers from 0 to 65535/,
  ],
  ['groups over all limits', { grid: 65536 ** 2 }, /takes at most 4294836225 in a launch/],
  [
    'two dimensions',
    { grid: [1, 1] },
    /the grid is an array of 2, expected a number of workgroups or \[x, y, z\]/,
  ],
  ['no grid', { grid: undefined }, /the grid is undefined/],
  ['no kernel', { kernel: null }, /a kernel is an object, as defineKernel makes it, got null/, ConfigError],
  [
    'a kernel without bindings',
    { kernel: { ...scale, bindings: undefined } },
    /kernel scale: 'bindings' is undefined, expected how each/,
    ConfigError,
  ],
  [
    'no WG',
    { kernel: make({ wgsl: wgsl.replaceAll('const WG', 'const SIZE') }) },
    /kernel scale: the WGSL text declares no constant WG .* write the line `const WG: u32 = 64;`, .*@workgroup_size\(WG\)/,
    ConfigError,
  ],
  [
    'no such constant',
    { kernel: make({ constants: { TILE: 4 } }) },
    /kernel scale: .* no constant TILE to set to 4; write the line `const TILE/,
    ConfigError,
  ],
  [
    'no such entry point',
    { kernel: make({ entry: 'scael' }) },
    /entry scael: the WGSL has no such entry point; it has scale/,
    DeviceError,
  ],
  [
    'no entry point at all',
    { kernel: make({ wgsl: wgsl.replace('@compute @workgroup_size(WG)', '') }) },
    /it has none: write @compute/,
    DeviceError,
  ],
  [
    'parameters in another order',
    { kernel: make({ params: { n: 'u32', factor: 'f32', shift: 'i32' } }) },
    /params are \{ n: u32, factor: f32, shift: i32 \}, and line 4 \(.*\) has struct Params \{ n: u32, shift: i32, factor: f32 \}/,
    DeviceError,
  ],
  [
    'a parameter of another name',
    {
      kernel: make({ params: { n: 'u32', shift: 'i32', scale: 'f32' } }),
      params: { n: 1, shift: 1, scale: 1 },
    },
    /params are .* names, types and order must be the same/,
    DeviceError,
  ],
  [
    'a parameter of another type',
    { kernel: make({ params: { n: 'f32', shift: 'i32', factor: 'f32' } }) },
    /params are \{ n: f32/,
    DeviceError,
  ],
  [
    'a vector among the parameters',
    { kernel: make({ wgsl: wgsl.replace('shift: i32', 'shift: vec2<u32>') }) },
    /struct Params: shift is vec2<u32>; parameters are u32, i32 or f32/,
    DeviceError,
  ],
  [
    'a binding used otherwise',
    { kernel: make({ bindings: ['read', 'read'] }), views: [x, x] },
    /binding 2, line 6 \(.*y: array<f32>;\), is read in the kernel's bindings: the text says var<storage, read_write>/,
    DeviceError,
  ],
  [
    'a binding too few',
    { kernel: make({ bindings: ['read'] }), views: [x] },
    /binding 2, line 6 .* is none in the kernel's bindings/,
    DeviceError,
  ],
  [
    'a binding too many',
    { kernel: make({ bindings: ['read', 'write', 'write'] }), views: [x, y, y] },
    /bindings\[2\] is 'write', and the text declares no @group\(0\) @binding\(3\); it declares 0 \(params\), 1 \(x\), 2 \(y\)/,
    DeviceError,
  ],
  [
    'a binding of another group',
    { kernel: make({ wgsl: wgsl.replace('@group(0) @binding(2)', '@group(1) @binding(2)') }) },
    /line 6 .*: y is in group 1, expected group 0/,
    DeviceError,
  ],
]

gone.destroy()
for (const [name, { kernel = scale, ...call }, message, type = ShapeError] of AT_ONCE) {
  test(`refused at the call: ${name}`, async () => {
    const before = launched()
    const given = { params: values, views: [x, y], grid: 1, ...call }
    assert.throws(
      () => gpu.launch(kernel as Kernel, given.params as never, given.views as View[], given.grid as number),
      (error: Error) => {
        assert.instance(error, type, String(error))
        assert.match(error.message, message)
        return true
      },
    )
    await works(before)
  })
}

const raw = (size: number, flags: number) => of(gpu.device.createBuffer({ size, usage: flags }), 0, size)
const S = { STORAGE: 128, SRC: 4, DST: 8, READ: 1 }
const COMMANDS: [string, () => unknown, RegExp][] = [
  [
    'a copy past the end',
    () => gpu.copy(x, { ...y, offset: 256 }, 1 << 20),
    /copy: the source: bytes 0 to 1048576/,
  ],
  ['a copy of 3 bytes', () => gpu.copy(x, y, 3), /copy: the source: has 3 bytes, expected a multiple of 4/],
  ['a copy within a buffer', () => gpu.copy(x, x, 4), /source and target are one buffer/],
  [
    'a copy from no source',
    () => gpu.copy(raw(256, S.STORAGE), y, 4),
    /copy: the source: a buffer of usage STORAGE, expected COPY_SRC/,
  ],
  [
    'a copy to no target',
    () => gpu.copy(x, raw(256, S.STORAGE), 4),
    /copy: the target: .* expected COPY_DST/,
  ],
  ['an upload past the end', () => gpu.upload(y, new Float32Array(1 << 20)), /upload: bytes 0 to 4194304/],
  ['an upload of 3 bytes', () => gpu.upload(y, new Uint8Array(3)), /upload: has 3 bytes/],
  ['an upload of a plain array', () => gpu.upload(y, [1, 2] as never), /upload: expected a typed array/],
  ['an upload at byte 2', () => gpu.upload(y, new Float32Array(1), 2), /upload: starts at byte 2/],
  ['clearing past the end', () => gpu.clear({ ...y, size: 1 << 20 }), /clear: bytes 0 to 1048576/],
  ['clearing half a word', () => gpu.clear({ ...y, size: 2 }), /clear: has 2 bytes/],
  ['releasing twice', () => gpu.release(freed), /released twice/],
  [
    'releasing what is no buffer of the pool',
    () => gpu.release(of(own)),
    /acquire, allocate and from have not made/,
  ],
  ['a buffer of NaN bytes', () => gpu.acquire(Number.NaN), /a buffer of NaN bytes/],
  ['a buffer of -4 bytes', () => gpu.acquire(-4), /a buffer of -4 bytes/],
]
for (const [name, command, message] of COMMANDS) {
  test(`refused at the call: ${name}`, async () => {
    const before = launched()
    const memory = { ...gpu.memory }
    assert.throws(command, (error: Error) => {
      assert.instance(error, KernelgradError)
      assert.match(error.message, message)
      return true
    })
    assert.is(gpu.memory.inUse, memory.inUse)
    await works(before)
  })
}

const DECLARATIONS: [object, RegExp][] = [
  [
    { ...declaration, workgroupSize: 128 },
    /kernel scale: unknown key 'workgroupSize'; expected name, wgsl, prelude, entry/,
  ],
  [{ ...declaration, entry: undefined }, /kernel scale: 'entry' is undefined, expected a text/],
  [{ ...declaration, wgsl: '' }, /'wgsl' is '', expected a text/],
  [{ ...declaration, params: ['n'] }, /'params' is an array of 1/],
  [{ ...declaration, params: { n: 'uint' } }, /params\.n is 'uint', expected 'u32', 'i32' or 'f32'/],
  [
    { ...declaration, bindings: ['read', 'read_write'] },
    /bindings\[1\] is 'read_write', expected 'read' or 'write' \(which is WGSL's read_write\)/,
  ],
  [{ ...declaration, bindings: 2 }, /'bindings' is 2/],
  [{ ...declaration, workgroup: 0 }, /'workgroup' is 0, expected a whole number/],
  [{ ...declaration, workgroup: Number.NaN }, /'workgroup' is NaN/],
  [{ ...declaration, constants: { A: '3' } }, /constants\.A is '3', expected a finite number/],
  [{ ...declaration, name: undefined }, /a kernel: 'name' is undefined/],
  [
    { ...declaration, params: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`p${i}`, 'u32'])) },
    /65 params, expected at most 64/,
  ],
]
test('defineKernel refuses what no kernel can be', () => {
  for (const [kernel, message] of DECLARATIONS) {
    assert.throws(
      () => defineKernel(kernel as never),
      (error: Error) => error instanceof ConfigError && message.test(error.message),
    )
  }
})

test.after(() => {
  other.close()
  gpu.close()
})
test.run()
