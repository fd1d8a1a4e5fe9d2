// The forms of LayerNorm for GPUs, with subgroups where the device has them and without, at the sizes where rows are shared
// out otherwise: several to a workgroup, one, held in registers or not, blocks of one row or more.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Gpu } from '../../src/gpu/index.ts'
import { layerNormBackward } from '../../src/kernels/layernorm.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'
import { type Given, layerNormOracle, runLayerNorm } from '../support/layernorm.ts'

const forms = 'hardware'
const gpus = [await openTestGpu({ forms }), await openTestGpu({ forms, subgroups: false })]

const CASES: Given[] = [
  { before: 0, after: 0, residual: false },
  { before: 0.3, after: 0, activation: 'relu', residual: true },
  { before: 0, after: 0.2, residual: true },
]
const SHAPES = [
  [1, 1],
  [7, 3],
  [800, 5],
  [7, 63],
  [1030, 8], // blocks of two rows, several rows a workgroup
  [7, 65],
  [2, 257],
  [7, 1000],
  [130, 1024], // blocks of two rows, a row a workgroup
  [2, 4096],
  [129, 5000], // the same of rows that are not held
  [2, 4099],
] as const

// Rows so few that both gradients of the parameters, where they lie together, come with the rows'.
const FEW = [
  [1, 1],
  [7, 3],
  [7, 65],
  [100, 768],
  [2, 4099],
] as const

async function agrees(gpu: Gpu, rows: number, H: number, given: Given, together: boolean): Promise<void> {
  const { launches } = gpu.counts
  const got = await runLayerNorm(gpu, rows, H, given, true, together)
  // Of y, the sums and both gradients one is left for a launch of its own.
  const more = Number(given.before > 0 && given.activation !== undefined)
  assert.is(gpu.counts.launches - launches, (together ? 2 : 3) + more)
  const expected = layerNormOracle(rows, H, given)
  for (const part of Object.keys(got)) {
    if (H === 1 && /^d[xr]/.test(part)) continue // a row of one has gradient 0, its rounding errors have no scale
    expectClose(got[part]!, expected[part]!, 1e-5, { label: part })
  }
}

const told = (gpu: Gpu, given: Given) => `${JSON.stringify(given)}, ${gpu.subgroups ? '' : 'no '}subgroups`
for (const [k, [rows, H]] of FEW.entries()) {
  const [gpu, given] = [gpus[k % 2]!, CASES[k % CASES.length]!]
  test(`the backward pass is one launch: ${rows} x ${H}, ${told(gpu, given)}`, () =>
    agrees(gpu, rows, H, given, true))
}

test('that launch adds to what is there, and leaves alone what lies around', async () => {
  for (const gpu of gpus) {
    const [rows, H] = [9, 70]
    const [dy, x, weight] = [seeded(rows * H, 1), seeded(rows * H, 2), seeded(H, 3)]
    const normal = reference.layerNorm({ x, weight, bias: weight, rows, H, eps: 1e-5 })
    const expected = reference.layerNormBackward({ dy, weight, ...normal, rows, H })
    const views = { dy: gpu.from(dy), x: gpu.from(x), weight: gpu.from(weight) }
    const stats = {
      mean: gpu.from(Float32Array.from(normal.mean)),
      rstd: gpu.from(Float32Array.from(normal.rstd)),
    }
    const { buffer, size } = gpu.from(new Float32Array(256).fill(3))
    const at = (offset: number) => ({ buffer, offset, size: H * 4 })
    const sums = { dweight: at(0), dbias: at(512), accumulate: true }
    layerNormBackward(gpu, { ...views, ...stats, dx: gpu.acquire(rows * H * 4), rows, H, ...sums })
    const got = await gpu.readFloats({ buffer, offset: 0, size })
    const wanted = new Float64Array(256).fill(3)
    for (let c = 0; c < H; c++) {
      wanted[c]! += expected.dweight[c]!
      wanted[128 + c]! += expected.dbias[c]!
    }
    expectClose(got, wanted, 1e-5)
    assert.equal([...new Set([...got.slice(H, 128), ...got.slice(128 + H)])], [3])
  }
})

for (const [k, [rows, H]] of SHAPES.entries()) {
  const [gpu, given] = [gpus[k % 2]!, CASES[k % CASES.length]!]
  test(`LayerNorm and its gradients agree with the oracle: ${rows} x ${H}, ${told(gpu, given)}`, () =>
    agrees(gpu, rows, H, given, false))
}

test.after(() => {
  for (const gpu of gpus) gpu.close()
})
test.run()
