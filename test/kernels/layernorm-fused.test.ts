// LayerNorm with dropout before it, and ReLU and dropout after it: against the chain of separate kernels and the oracle.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { layerNorm } from '../../src/kernels/layernorm.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { type Given, layerNormOracle as oracle, rng, runLayerNorm } from '../support/layernorm.ts'

const gpu = await openTestGpu()
const SHAPES = [
  [1, 1],
  [5, 7],
  [33, 768],
  [130, 64],
  [3, 30],
] as const

const CASES: Record<string, Given> = {
  'dropout, residual sum, norm': { before: 0.3, after: 0, residual: true },
  'norm, dropout': { before: 0, after: 0.1, residual: false },
  'residual sum, norm, dropout': { before: 0, after: 0.6, residual: true },
  'norm, ReLU': { before: 0, after: 0, activation: 'relu', residual: false },
  'norm, ReLU, dropout': { before: 0, after: 0.2, activation: 'relu', residual: false },
  'dropout, residual sum, norm, ReLU': { before: 0.2, after: 0, activation: 'relu', residual: true },
}
for (const [name, given] of Object.entries(CASES)) {
  for (const [rows, H] of SHAPES) {
    test(`${name}, fused: ${rows} x ${H}`, async () => {
      const fused = await runLayerNorm(gpu, rows, H, given, true)
      const chain = await runLayerNorm(gpu, rows, H, given, false)
      const expected = oracle(rows, H, given)
      for (const part of Object.keys(fused)) {
        if (H === 1 && /^d[xr]/.test(part)) continue // a row of one has gradient 0, its rounding errors have no scale
        expectClose(fused[part]!, chain[part]!, 2e-6, { label: `${part} against the chain` })
        expectClose(fused[part]!, expected[part]!, 1e-5, { label: part })
      }
    })
  }
}

test('without ReLU a value of minus infinity stays one beside a dropout', async () => {
  const [rows, H] = [3, 8]
  const floats = (n: number, value: number) => gpu.from(new Float32Array(n).fill(value))
  const [y, mean, rstd] = [gpu.acquire(rows * H * 4), gpu.acquire(rows * 4), gpu.acquire(rows * 4)]
  const bias = gpu.from(Float32Array.of(-Infinity, 0, -3, 1, Infinity, 0, 0, 0))
  const given = { x: floats(rows * H, 2), weight: floats(H, 1), bias, y, mean, rstd, rows, H, eps: 1e-5 }
  for (const activation of [undefined, 'relu'] as const) {
    layerNorm(gpu, { ...given, activation, outputDropout: { p: 0, rng } })
    const [a, , c, d, e] = await gpu.readFloats({ ...y, size: rows * H * 4 })
    assert.equal([a, c, d, e], activation ? [0, 0, 1, Infinity] : [-Infinity, -3, 1, Infinity])
  }
})

test('the forward masks of fused and separate kernels are the same to the bit', async () => {
  for (const given of [CASES['norm, dropout']!, CASES['norm, ReLU, dropout']!]) {
    const [fused, chain] = [
      await runLayerNorm(gpu, 33, 64, given, true),
      await runLayerNorm(gpu, 33, 64, given, false),
    ]
    assert.equal(fused.y, chain.y)
  }
})

test.after(() => gpu.close())
test.run()
