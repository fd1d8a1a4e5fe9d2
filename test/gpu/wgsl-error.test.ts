// What a compiler or WebGPU has against a kernel names the kernel and the line of its own WGSL. A device reports its first
// failure from then on, so every case opens one.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceError, ShapeError } from '../../src/errors.ts'
import { type Access, defineKernel, type Gpu, openGpu } from '../../src/gpu/index.ts'
import { wgslLines } from '../../src/gpu/wgsl-text.ts'

const wgsl = `const WG: u32 = 64;
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
// @unroll j in 0..3
const c$j = $j;
// @end
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { y[i] = half(x[i]); }
}
`

async function failure(
  change: (wgsl: string) => string,
  {
    entry = 'main',
    bindings = ['read', 'write'] as Access[],
    prelude = undefined as string | undefined,
  } = {},
): Promise<Error> {
  const gpu = await openGpu({ poison: true })
  const kernel = defineKernel({
    name: 'halve',
    wgsl: change(wgsl),
    prelude,
    entry,
    params: { n: 'u32' },
    bindings,
  })
  const views = bindings.map(() => gpu.acquire(4))
  try {
    gpu.launch(kernel, { n: 1 }, views, 1)
    await gpu.done()
  } catch (error) {
    return error as Error
  } finally {
    gpu.close()
  }
  throw new Error('the kernel was accepted')
}
const half = 'fn half(v: f32) -> f32 { return v / 2; }'

test('a line knows where it came from, behind unrolled ones and the prelude', () => {
  const lines = wgslLines('a\n// @unroll i in 0..2\nb$i\n// @end\nenable f16;\nc', {}, 'p\nq')
  assert.equal(
    lines.map(({ text, source }) => [text, source]),
    [
      ['enable f16;', 5],
      ['p', 0],
      ['q', 0],
      ['a', 1],
      ['b0', 3],
      ['b1', 3],
      ['c', 6],
    ],
  )
})

test('a compile error names kernel, entry, line and text, with and without a prelude', async () => {
  for (const prelude of [undefined, 'const TWO = 2;\n// a prelude of three lines\n']) {
    const error = await failure(text => text, { prelude })
    assert.instance(error, DeviceError)
    assert.match(
      error.message,
      /^kernel halve, entry main: line 12 \(if \(i < params\.n\) .*\): unresolved.*'half'/,
    )
  }
})

test('an error in the prelude says so', async () => {
  const error = await failure(text => text, { prelude: `// two lines\n${half.replace('v / 2', 'w / 2')}` })
  assert.match(error.message, /^kernel halve, entry main: line 2 of its prelude \(fn half.*unresolved.*'w'/)
})

test('a binding declared otherwise than the kernel says is named with its line', async () => {
  const error = await failure(text => text, { prelude: half, bindings: ['read', 'read'] })
  assert.match(
    error.message,
    /^kernel halve, entry main: binding 2, line 5 \(.* y: array<f32>;\), is read in the kernel's bindings: /,
  )
  const missing = await failure(text => text.replace('@binding(2)', '@binding(3)'), { prelude: half })
  assert.match(missing.message, /^kernel halve, entry main: binding 3, line 5 .* is none in the kernel's/)
})

test('an entry point that is not there is named', async () => {
  const error = await failure(text => text, { prelude: half, entry: 'backward' })
  assert.match(error.message, /^kernel halve, entry backward: the WGSL has no such entry point; it has main$/)
})

test('a missing parameter and a buffer used both ways are refused by name', async () => {
  const gpu: Gpu = await openGpu({ poison: true })
  const kernel = defineKernel({
    name: 'halve',
    wgsl: wgsl + half,
    entry: 'main',
    params: { n: 'u32' },
    bindings: ['read', 'write'],
  })
  const [x, y] = [gpu.from(Float32Array.of(3)), gpu.acquire(4)]
  assert.throws(
    () => gpu.launch(kernel, {} as { n: number }, [x, y], 1),
    (error: Error) =>
      error instanceof ShapeError && /kernel halve: no value for params\.n/.test(error.message),
  )
  gpu.launch(kernel, { n: 1 }, [x, y], 1)
  assert.is((await gpu.readFloats(y))[0], 1.5)
  assert.throws(
    () => gpu.launch(kernel, { n: 1 }, [x, x], 1),
    /kernel halve: bindings 1 and 2 are one buffer, once to read and once to write/,
  )
  gpu.close()
})

test.run()
