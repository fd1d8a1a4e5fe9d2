// The forms of LayerNorm for GPUs, with subgroups where the device has them and without, at the sizes where rows are shared
// out otherwise: several to a workgroup, one, held in registers or not, blocks of one row or more.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'
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

for (const [k, [rows, H]] of SHAPES.entries()) {
  const gpu = gpus[k % 2]!
  const given = CASES[k % CASES.length]!
  const how = `${JSON.stringify(given)}, ${gpu.subgroups ? '' : 'no '}subgroups`
  test(`LayerNorm and its gradients agree with the oracle: ${rows} x ${H}, ${how}`, async () => {
    const { launches } = gpu.counts
    const got = await runLayerNorm(gpu, rows, H, given, true)
    // Of y, the sums and both gradients one is left for a launch of its own.
    assert.is(gpu.counts.launches - launches, given.before && given.activation ? 4 : 3)
    const expected = layerNormOracle(rows, H, given)
    for (const part of Object.keys(got)) {
      if (H === 1 && /^d[xr]/.test(part)) continue // a row of one has gradient 0, its rounding errors have no scale
      expectClose(got[part]!, expected[part]!, 1e-5, { label: part })
    }
  })
}

test.after(() => {
  for (const gpu of gpus) gpu.close()
})
test.run()
