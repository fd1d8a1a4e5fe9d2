// Operations whose inputs may be left out, and whose gradients are made when named, gathered in place or passed on.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cast, clearTape, defineOp, noGrad, scope, sum, tensor } from '../../src/autograd/index.ts'
import { defineKernel } from '../../src/gpu/index.ts'
import { gradcheck, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

const shiftWgsl = `
const WG: u32 = 64;
struct Params { n: u32, shifted: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.n) { return; }
  var v = x[i];
  if (params.shifted == 1u) { v += shift[i]; }
  if (params.accumulate == 1u) { v += y[i]; }
  y[i] = v;
}
`
const shiftKernel = defineKernel({
  name: 'shifted',
  wgsl: shiftWgsl,
  entry: 'forward',
  params: { n: 'u32', shifted: 'u32', accumulate: 'u32' },
  bindings: ['read', 'read', 'write'],
})
const made: string[] = []
/** x, plus a shift where there is one; x's gradient is gathered in place, the shift's is the result's own. */
const shifted = defineOp({
  name: 'shifted',
  inputs: ['x', 'shift?'],
  dtypes: { x: ['f32'], shift: ['f32'] },
  shape: ({ x }) => ({ shape: x.shape, dtype: 'f32' }),
  forward: ({ gpu, x, shift, out, recording }) => {
    made.push(recording ? 'recorded' : 'not recorded')
    const params = { n: x.size, shifted: Number(shift !== undefined), accumulate: 0 }
    gpu.launch(shiftKernel, params, [x.view, (shift ?? x).view, out.view], Math.ceil(x.size / 64))
  },
  backward: ({ gpu, x, dout, into, needsInputGrad }) => {
    if (needsInputGrad.x) {
      const { view, accumulate } = into.x
      const params = { n: x.size, shifted: 0, accumulate: Number(accumulate) }
      gpu.launch(shiftKernel, params, [dout.view, dout.view, view], Math.ceil(x.size / 64))
    }
    return { shift: dout }
  },
})

test('an input may be left out, and gradients are gathered in place or passed on', async () => {
  const buffers = gpu.memory.buffers
  await gradcheck(
    gpu,
    (x, shift) => shifted(shifted(x!, shift), shift),
    (x, shift) => x!.map((v, i) => v + 2 * shift![i]!),
    [
      { data: uniform(7, 1), shape: [7] },
      { data: uniform(7, 2), shape: [7] },
    ],
  )
  await gradcheck(
    gpu,
    x => shifted(shifted(x!, undefined), x!),
    x => x!.map(v => 2 * v),
    [{ data: uniform(7, 3), shape: [7] }],
  )
  assert.is(gpu.memory.buffers, buffers)
})

test('the forward step knows whether it is recorded', () => {
  made.length = 0
  scope(() => {
    const x = tensor(gpu, uniform(3, 1), [3], { requiresGrad: true })
    shifted(x, undefined)
    noGrad(() => shifted(x, undefined))
    clearTape(gpu)
  })
  assert.equal(made, ['recorded', 'not recorded'])
})

test('a gradient that nobody names takes no memory, and one that is not written is an error', async () => {
  const wasteful = (names: 'dx' | 'none' | 'both') =>
    defineOp({
      name: 'wasteful',
      inputs: ['x', 'weight'],
      dtypes: { x: ['f32'], weight: ['f32'] },
      forward: ({ gpu, x, out }) => gpu.copy(x.view, out.view, x.bytes),
      backward: context => {
        const before = gpu.memory.buffers
        if (names !== 'none') context.gpu.copy(context.dout.view, context.dx.view, context.x.bytes)
        if (names === 'both') context.into.x
        assert.is(gpu.memory.buffers, before + Number(names !== 'none'), 'no gradient of the weight')
      },
    })
  const run = (names: 'dx' | 'none' | 'both') =>
    scope(() => {
      const x = tensor(gpu, uniform(3, 1), [3], { requiresGrad: true })
      sum(wasteful(names)(x, tensor(gpu, uniform(3, 2)))).backward()
      assert.ok(x.grad)
    })
  run('dx')
  assert.throws(() => run('none'), /^wasteful: the backward step wrote no gradient of x$/)
  assert.throws(() => run('both'), /into\.x was asked for, and it is written already/)
})

test('what may stay unsaved is saved only where it is read, and inputs of two dtypes are taken where it is said', async () => {
  const seen: [saved: boolean, recording: boolean][] = []
  const halved = defineOp({
    name: 'halved',
    inputs: ['x', 'other?'],
    dtypes: { x: ['f32', 'f16'], other: ['f32', 'f16'] },
    mixed: true,
    saved: ({ x }, _: null, recording) => ({ 'copy?': recording ? x.shape : undefined }),
    forward({ gpu, x, copy, out, recording }) {
      seen.push([copy !== undefined, recording])
      if (copy) gpu.copy(x.view, copy.view, x.bytes)
      gpu.copy(x.view, out.view, x.bytes)
    },
    backward: ({ gpu, copy, dx }) => gpu.copy(copy!.view, dx.view, dx.bytes),
  })
  const buffers = gpu.memory.buffers
  const x = tensor(gpu, [1, 2, 3, 4], [4], { requiresGrad: true })
  scope(() => {
    const half = cast(tensor(gpu, [1, 2, 3, 4]), 'f16')
    noGrad(() => halved(x, half, null))
    sum(halved(x, half, null)).backward()
  })
  assert.equal(seen, [
    [false, false],
    [true, true],
  ])
  assert.equal([...(await x.grad!.read())], [1, 2, 3, 4])
  x.dispose()
  assert.is(gpu.memory.buffers, buffers)
})

test('an operation without a backward step is a constant to the tape, of the dtype it says', async () => {
  const signs = defineOp({
    name: 'signs',
    inputs: ['x'],
    dtypes: { x: ['f32'] },
    shape: ({ x }) => ({ shape: [x.size, 1], dtype: 'u32' }),
    forward: ({ gpu, x, out }) => gpu.copy(x.view, out.view, x.bytes),
  })
  const x = tensor(gpu, Float32Array.of(1, 2), [2], { requiresGrad: true })
  const y = signs(x)
  assert.not(y.requiresGrad)
  assert.is(y.dtype, 'u32')
  assert.equal(y.shape, [2, 1])
  for (const tensor of [x, y]) tensor.dispose()
})

test.after(() => gpu.close())
test.run()
