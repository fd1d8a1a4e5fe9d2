// Operations of one's own, made of a WGSL text: RMSNorm with a saved statistic, an option and two backward launches, and a
// masked copy with uint32 flags.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  allocateDense,
  cast,
  DenseParameter,
  defineOp,
  expectShape,
  noGrad,
  relu,
  rowsAndColumns,
  scope,
  sum,
  type Tensor,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import { defineKernel, type Gpu } from '../../src/gpu/index.ts'
import { expectClose, gradcheck, mask, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

const wgsl = `
const WG: u32 = 64;
struct Params { rows: u32, H: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> rstd_out: array<f32>;
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let r = invocation_index(wid, count, local, WG);
  if (r >= params.rows) { return; }
  var sum = 0.0;
  for (var c = 0u; c < params.H; c++) { sum += x[r * params.H + c] * x[r * params.H + c]; }
  let rstd = inverseSqrt(sum / f32(params.H) + params.eps);
  rstd_out[r] = rstd;
  for (var c = 0u; c < params.H; c++) { out[r * params.H + c] = x[r * params.H + c] * rstd * weight[c]; }
}
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@compute @workgroup_size(WG)
fn backward_x(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let r = invocation_index(wid, count, local, WG);
  if (r >= params.rows) { return; }
  var dot = 0.0;
  for (var c = 0u; c < params.H; c++) { dot += dy[r * params.H + c] * weight[c] * x[r * params.H + c]; }
  let s = rstd[r];
  for (var c = 0u; c < params.H; c++) {
    let i = r * params.H + c;
    dx[i] = s * (dy[i] * weight[c] - x[i] * dot * s * s / f32(params.H));
  }
}
@group(0) @binding(2) var<storage, read> rstd2: array<f32>;
@group(0) @binding(3) var<storage, read> dy3: array<f32>;
@group(0) @binding(4) var<storage, read_write> dweight: array<f32>;
@compute @workgroup_size(WG)
fn backward_weight(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let c = invocation_index(wid, count, local, WG);
  if (c >= params.H) { return; }
  var sum = 0.0;
  for (var r = 0u; r < params.rows; r++) { sum += dy3[r * params.H + c] * x[r * params.H + c] * rstd2[r]; }
  dweight[c] = sum;
}
`
const params = { rows: 'u32', H: 'u32', eps: 'f32' } as const
const kernel = (entry: string, reads: number, writes: number) =>
  defineKernel({
    name: 'rmsNorm',
    wgsl,
    entry,
    params,
    bindings: [...new Array(reads).fill('read'), ...new Array(writes).fill('write')],
  })
const [forward, backwardX, backwardWeight] = [
  kernel('forward', 2, 2),
  kernel('backward_x', 4, 1),
  kernel('backward_weight', 3, 1),
]
const sizes = (x: Tensor, eps: number) => {
  const [rows, H] = rowsAndColumns(x)
  return { rows, H, eps }
}

const rmsNorm = defineOp({
  name: 'rmsNorm',
  inputs: ['x', 'weight'],
  dtypes: { x: ['f32'], weight: ['f32'] },
  shape({ x, weight }) {
    expectShape('rmsNorm: weight', weight, [x.shape.at(-1)!])
    return x.shape
  },
  saved: ({ x }) => ({ rstd: [rowsAndColumns(x)[0]] }),
  forward({ gpu, x, weight, rstd, out }, { eps }: { eps: number }) {
    const views = [x, weight, out, rstd].map(({ view }) => view)
    gpu.launch(forward, sizes(x, eps), views, Math.ceil(rstd.size / 64))
  },
  backward({ gpu, x, weight, rstd, dout, dx, dweight, needsInputGrad }, { eps }) {
    const [forX, forWeight] = [
      [x, weight, rstd, dout, dx],
      [x, rstd, dout, dweight],
    ].map(tensors => tensors.map(({ view }) => view))
    if (needsInputGrad.x) gpu.launch(backwardX, sizes(x, eps), forX!, Math.ceil(rstd.size / 64))
    if (needsInputGrad.weight)
      gpu.launch(backwardWeight, sizes(x, eps), forWeight!, Math.ceil(weight.size / 64))
  },
})

function oracle(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  const H = weight.length
  return Float64Array.from(x, (value, i) => {
    const start = Math.floor(i / H) * H
    let squares = 0
    for (let c = 0; c < H; c++) squares += x[start + c]! ** 2
    return (value * weight[i % H]!) / Math.sqrt(squares / H + eps)
  })
}

const maskWgsl = `
const WG: u32 = 64;
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> flags: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG)
fn masked(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i < params.n) { y[i] = x[i] * f32(flags[i]); }
}
`
const maskKernel = defineKernel({
  name: 'masked',
  wgsl: maskWgsl,
  entry: 'masked',
  params: { n: 'u32' },
  bindings: ['read', 'read', 'write'],
})
const launchMasked = (gpu: Gpu, x: Tensor, flags: Tensor, y: Tensor) =>
  gpu.launch(maskKernel, { n: x.size }, [x.view, flags.view, y.view], Math.ceil(x.size / 64))
const masked = defineOp({
  name: 'masked',
  inputs: ['flags', 'x'],
  dtypes: { flags: ['u32'], x: ['f32'] },
  shape: ({ x }) => x.shape,
  forward: ({ gpu, x, flags, out }) => launchMasked(gpu, x, flags, out),
  backward: ({ gpu, flags, dout, dx }) => launchMasked(gpu, dout, flags, dx),
})

for (const [rows, H, scale] of [
  [1, 1, 1],
  [3, 5, 1e-4],
  [70, 67, 1],
  [129, 3, 1e4],
] as const) {
  test(`rmsNorm agrees with its oracle: [${rows}, ${H}], values to ${scale}`, async () => {
    const [x, weight] = [uniform(rows * H, H, { low: -scale, high: scale }), uniform(H, H + 1)]
    const y = scope(() => rmsNorm(tensor(gpu, x, [rows, H]), tensor(gpu, weight), { eps: 1e-6 }))
    expectClose(await y.read(), oracle(x, weight, 1e-6), 1e-6, { label: 'rmsNorm', shape: [rows, H] })
    y.dispose()
  })
}

test('gradients agree with differences, and everything is freed', async () => {
  const buffers = gpu.memory.buffers
  await gradcheck(
    gpu,
    (x, weight) => rmsNorm(x!, weight!, { eps: 1e-3 }),
    (x, weight) => oracle(x!, weight!, 1e-3),
    [
      { data: uniform(5 * 7, 1), shape: [5, 7] },
      { data: uniform(7, 2), shape: [7] },
    ],
  )
  const flags = mask(31, 4)
  await gradcheck(
    gpu,
    x => masked(tensor(gpu, flags), x!),
    x => x!.map((v, i) => v * flags[i]!),
    [{ data: uniform(31, 3), shape: [31] }],
  )
  assert.is(gpu.memory.buffers, buffers)
})

test('what is saved lives until the backward step, or not at all without one', () => {
  const buffers = gpu.memory.buffers
  const [x, weight] = [tensor(gpu, uniform(6, 1), [2, 3], { requiresGrad: true }), tensor(gpu, uniform(3, 2))]
  const quiet = noGrad(() => rmsNorm(x, weight, { eps: 1e-6 }))
  assert.not(quiet.requiresGrad)
  assert.is(gpu.memory.buffers, buffers + 3, 'inputs and result')
  quiet.dispose()
  const y = rmsNorm(x, weight, { eps: 1e-6 })
  assert.is(gpu.memory.buffers, buffers + 4, 'and what is saved')
  const loss = sum(y)
  loss.backward()
  assert.ok(y.disposed)
  for (const made of [x, weight, loss]) made.dispose()
  assert.is(gpu.memory.buffers, buffers)
})

test('a gradient nobody wants is not computed', async () => {
  await gpu.compiled()
  const launches = async (xGrad: boolean, weightGrad: boolean) => {
    const before = scope(() => {
      const x = tensor(gpu, uniform(6, 1), [2, 3], { requiresGrad: xGrad })
      const weight = tensor(gpu, uniform(3, 2), [3], { requiresGrad: weightGrad })
      const y = rmsNorm(x, weight, { eps: 1e-6 })
      const before = gpu.counts.launches
      y.backward({ seed: tensor(gpu, uniform(6, 3), [2, 3]) })
      assert.is(x.grad !== undefined, xGrad)
      assert.is(weight.grad !== undefined, weightGrad)
      return before
    })
    await gpu.compiled()
    return gpu.counts.launches - before
  }
  await launches(true, true) // compiles
  assert.is(await launches(true, true), 2)
  assert.is(await launches(true, false), 1)
  assert.is(await launches(false, true), 1)
})

test('a parameter gets its gradient, which adds up', async () => {
  const weight = new DenseParameter([3], { kind: 'constant', value: 0 })
  allocateDense(gpu, [weight])
  writeParameter(weight, Float32Array.of(1, -2, 0.5))
  const x = uniform(6, 5)
  const step = () => scope(() => sum(rmsNorm(tensor(gpu, x, [2, 3]), weight, { eps: 1e-6 })).backward())
  step()
  const once = await weight.readGrad()
  const expected = oracle(x, [1, 1, 1], 1e-6)
  expectClose(
    once,
    [0, 1, 2].map(c => expected[c]! + expected[c + 3]!),
    1e-6,
  )
  step()
  assert.equal(
    await weight.readGrad(),
    once.map(v => 2 * v),
  )
})

test('wrong calls are refused, by the names of operation and input', () => {
  const x = tensor(gpu, uniform(8, 1), [2, 4])
  const words = tensor(gpu, Uint32Array.of(1, 2, 3, 4))
  const weight = tensor(gpu, uniform(4, 2))
  const half = cast(x, 'f16')
  const eps = { eps: 1e-6 }
  assert.throws(() => rmsNorm(x, words, eps), /^rmsNorm: weight is u32, expected f32$/)
  assert.throws(() => rmsNorm(half, weight, eps), /rmsNorm: x is f16, expected f32/)
  assert.throws(() => relu(words), /relu: x is u32, expected f32 or f16/)
  assert.throws(() => rmsNorm(x, x, eps), /^rmsNorm: weight has shape \[2,4\], expected \[4\]/)
  const tooFew = rmsNorm as unknown as (x: Tensor, options: object) => Tensor
  assert.throws(() => tooFew(x, eps), /rmsNorm takes 2 tensors \(x, weight\), got 1/)
  const twins = defineOp({
    name: 'twins',
    inputs: ['a', 'b'],
    dtypes: { a: ['f32', 'f16'], b: ['f32', 'f16'] },
    forward: () => assert.unreachable(),
    backward: () => assert.unreachable(),
  })
  assert.throws(() => twins(x, half), /twins: b is f16 and a is f32, expected one dtype; cast\(\) one/)
  for (const made of [x, words, weight, half]) made.dispose()
})

test('names that mean something else are refused where the operation is defined', () => {
  const define = (...inputs: string[]) =>
    defineOp({
      name: 'odd',
      inputs,
      dtypes: Object.fromEntries(inputs.map(input => [input, ['f32'] as const])),
      forward: () => {},
      backward: () => {},
    })
  assert.throws(() => define('x', 'out'), /^operation odd: no tensor can be called 'out', it is reserved/)
  assert.throws(() => define('x', 'dx'), /called 'dx', it stands for two tensors/)
  assert.throws(() => define('x', 'x'), /called 'x'/)
})

test('inputs on two devices are refused', async () => {
  const other = await openTestGpu()
  const [x, weight] = [tensor(gpu, uniform(4, 1), [1, 4]), tensor(other, uniform(4, 2))]
  assert.throws(() => rmsNorm(x, weight, { eps: 1 }), /rmsNorm: weight is on another device than x/)
  x.dispose()
  other.close()
})

test.after(() => gpu.close())
test.run()
