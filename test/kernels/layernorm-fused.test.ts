// LayerNorm with dropout before it, and ReLU and dropout after it: against the chain of separate kernels and the oracle.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { dropout, dropoutBackward } from '../../src/kernels/dropout.ts'
import { layerNorm, layerNormBackward } from '../../src/kernels/layernorm.ts'
import { relu, reluBackward } from '../../src/kernels/relu.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const rng = { seed: 0xfedcba98, layer: 7, step: 0x80000003 }
const SHAPES = [
  [1, 1],
  [5, 7],
  [33, 768],
  [130, 64],
  [3, 30],
] as const

interface Given {
  before: number
  after: number
  activation?: 'relu'
  residual: boolean
}

function inputs(rows: number, H: number) {
  const n = rows * H
  return {
    x: seeded(n, 1),
    residual: seeded(n, 2),
    weight: seeded(H, 3).map(v => 1 + v),
    bias: seeded(H, 4),
    dy: seeded(n, 5),
  }
}

/** The fused kernels, or the separate ones one after the other. */
async function run(rows: number, H: number, { before, after, activation, residual }: Given, fused: boolean) {
  const n = rows * H
  const given = inputs(rows, H)
  const upload = Object.entries(given).map(([name, data]) => [name, gpu.from(data)] as const)
  const views = Object.fromEntries(upload) as Record<keyof typeof given, ReturnType<typeof gpu.from>>
  const { x, weight, bias, dy } = views
  const empty = (size = n) => gpu.acquire(size * 4)
  const [y, sum, mean, rstd, dx, dresidual] = [empty(), empty(), empty(rows), empty(rows), empty(), empty()]
  const [dweight, dbias] = [empty(H), empty(H)]
  const shape = { rows, H, eps: 1e-5 }
  const stats = { mean, rstd, ...shape }
  const drop = (p: number) => (p ? { p, rng } : undefined)
  const back = { weight, dweight, dbias, ...stats }
  if (fused) {
    const common = { x, weight, bias, y, activation, ...stats }
    if (!residual) layerNorm(gpu, { ...common, outputDropout: drop(after) })
    else if (before) layerNorm(gpu, { ...common, residual: views.residual, sum, dropout: drop(before) })
    else layerNorm(gpu, { ...common, residual: views.residual, sum, outputDropout: drop(after) })
    layerNormBackward(gpu, {
      ...back,
      dy,
      x: residual ? sum : x,
      dx,
      y: activation && y,
      dropout: before ? { p: before, rng, dresidual } : undefined,
      outputDropout: drop(after),
    })
  } else {
    const [dropped, normal, rectified, dropGradient, reluGradient] = [0, 0, 0, 0, 0].map(() => empty())
    dropout(gpu, { x, y: dropped!, p: before, rng, n })
    const common = { x: dropped!, weight, bias, y: normal!, ...stats }
    if (residual) layerNorm(gpu, { ...common, residual: views.residual, sum })
    else layerNorm(gpu, common)
    if (activation) relu(gpu, { x: normal!, y: rectified!, n })
    else gpu.copy(normal!, rectified!, n * 4)
    dropout(gpu, { x: rectified!, y, p: after, rng, n })
    dropoutBackward(gpu, { dy, dx: dropGradient!, p: after, rng, n })
    if (activation) reluBackward(gpu, { y: rectified!, dy: dropGradient!, dx: reluGradient!, n })
    else gpu.copy(dropGradient!, reluGradient!, n * 4)
    layerNormBackward(gpu, { ...back, dy: reluGradient!, x: residual ? sum : dropped!, dx: dresidual })
    dropoutBackward(gpu, { dy: dresidual, dx, p: before, rng, n })
  }
  const results = { y, dx, dweight, dbias, ...(before > 0 && { dresidual }) }
  const read: Record<string, Float32Array> = {}
  for (const [name, view] of Object.entries(results)) read[name] = (await gpu.readFloats(view)).slice()
  return read
}

function oracle(rows: number, H: number, { before, after, activation, residual }: Given) {
  const { x, residual: r, weight, bias, dy } = inputs(rows, H)
  const shape = { rows, H, eps: 1e-5 }
  const dropped = reference.dropout({ x, p: before, rng })
  const normal = reference.layerNorm({
    x: dropped,
    residual: residual ? r : undefined,
    weight,
    bias,
    ...shape,
  })
  const rectified = activation ? reference.relu(normal.y) : normal.y
  const y = reference.dropout({ x: rectified, p: after, rng })
  const kept = reference.dropoutBackward({ dy, p: after, rng })
  const dnormal = activation ? kept.map((v, i) => (normal.y[i]! > 0 ? v : 0)) : kept
  const {
    dx: dresidual,
    dweight,
    dbias,
  } = reference.layerNormBackward({
    dy: dnormal,
    weight,
    ...normal,
    ...shape,
  })
  const dx = reference.dropoutBackward({ dy: dresidual, p: before, rng })
  return { y, dx, dweight, dbias, dresidual } as Record<string, Float64Array>
}

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
      const fused = await run(rows, H, given, true)
      const chain = await run(rows, H, given, false)
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
    const [fused, chain] = [await run(33, 64, given, true), await run(33, 64, given, false)]
    assert.equal(fused.y, chain.y)
  }
})

test.after(() => gpu.close())
test.run()
