// What a launcher takes for itself it gives back, also where a launch is refused: here because its input could not be computed.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { defineKernel } from '../../src/gpu/index.ts'
import * as kernels from '../../src/kernels/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const N = 1 << 21
/** A buffer that a kernel should have written, which does not compile. */
const bad = gpu.acquire(N * 4)
const broken = defineKernel({
  name: 'broken',
  wgsl: `const WG: u32 = 64;
struct P { n: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG) fn main() { y[0] = nothing; }`,
  entry: 'main',
  params: { n: 'u32' },
  bindings: ['write'],
})
gpu.launch(broken, { n: 1 }, [bad], 1)
await gpu.done().then(
  () => assert.unreachable(),
  error => assert.match(error.message, /broken/),
)

const of = (n: number) => ({ ...gpu.from(new Float32Array(n)), size: n * 4 })
const ids = (...values: number[]) => gpu.from(Uint32Array.from(values))
const rng = { seed: 1, layer: 1, step: 1 }
const norm = { rows: 40, H: 12, x: of(480), weight: of(12), mean: of(40), rstd: of(40), dx: of(480) }
const attention = {
  ...{ T: 4, A: 2, D: 4, keyMask: ids(1, 1, 1, 1), cuSeqlens: ids(0, 4) },
  ...{ qkv: of(96), out: of(32), lse: of(8), dqkv: of(96) },
}
const cross = {
  ...{ B: 1, Tq: 4, Tk: 4, A: 2, D: 4, index: ids(0, 4, 0, 0, 0, 0, 0, 4) },
  ...{ q: of(32), k: of(32), v: of(32), out: of(32), lse: of(8), dq: of(32) },
}

/** Waits until no command waits for a compiler, so that a launch knows at once; the waits are told of the same failure. */
const told = async () => {
  while (
    !(await gpu.done().then(
      () => true,
      error => (/broken/.test(error.message) ? false : Promise.reject(error)),
    ))
  ) {}
}

/** A launcher and what it is given. */
const call =
  <O>(launcher: (on: typeof gpu, options: O) => void, options: O) =>
  () =>
    launcher(gpu, options)
const cases: Record<string, () => void> = {
  sum: call(kernels.sum, { x: bad, out: of(1), n: N }),
  columnSum: call(kernels.columnSum, { x: bad, out: of(8), rows: 100, C: 8 }),
  gradNorm: call(kernels.gradNorm, {
    ...{ parts: [{ view: bad, n: N }], maxNorm: 1, norm: of(1), coefficient: of(1) },
  }),
  'axisReduce over axes apart': call(kernels.axisReduce, {
    ...{ kind: 'sum' as const, x: bad, shape: [8, 5, 8], axes: [0, 2], out: of(5) },
  }),
  'axisReduce of a long axis': call(kernels.axisReduce, {
    ...{ kind: 'max' as const, x: bad, shape: [N], axes: [0], out: of(1) },
  }),
  'matmul in parts': call(kernels.matmul, {
    ...{ a: bad, b: of(4096), c: of(64), M: 8, N: 8, K: 512, layout: 'NN' as const, splits: 4 },
  }),
  'matmul of rows that may be transposed': call(kernels.matmul, {
    ...{ a: of(64 * 1024), b: bad, c: of(64 * 512), M: 64, N: 512, K: 1024, layout: 'NT' as const },
  }),
  layerNormBackward: call(kernels.layerNormBackward, { ...norm, dy: bad, dweight: of(12), dbias: of(12) }),
  'layerNormBackward under dropout': call(kernels.layerNormBackward, {
    ...{ ...norm, dy: bad, outputDropout: { p: 0.5, rng } },
  }),
  attentionBackward: call(kernels.attentionBackward, { ...attention, dout: bad }),
  'attentionBackward of halves': call(kernels.attentionBackward, {
    ...{ ...attention, dout: bad, storage: 'f16' as const },
  }),
  crossAttentionBackward: call(kernels.crossAttentionBackward, { ...cross, dout: bad }),
}

for (const [name, launch] of Object.entries(cases))
  test(`${name} gives back what it took when its input was not computed`, async () => {
    // At first it may wait for a compiler or for memory, and knows nothing; then everything is there.
    try {
      launch()
    } catch (error) {
      assert.match((error as Error).message, /broken/)
    }
    await told()
    const before = [gpu.memory.buffers, gpu.memory.inUse]
    assert.throws(launch, /broken/)
    assert.equal([gpu.memory.buffers, gpu.memory.inUse], before)
  })

test.after(() => gpu.close())
test.run()
