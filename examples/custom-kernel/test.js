// Against the oracle, with outputs poisoned; gradients against differences; and in a training loop.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { cast, gradcheck, openGpu, scope, tensor } from 'kernelgrad'
import { roundF16 } from 'kernelgrad/reference'
import {
  expectClose,
  expectWritten,
  gradcheck as gradcheckPlain,
  HALF_ROUNDING,
  uniform,
} from 'kernelgrad/testing'
import * as oracle from './oracle.js'
import { swiglu } from './swiglu.js'
import { train } from './train.js'

const gpu = await openGpu({ poison: true })
after(() => gpu.close())

test('the oracle’s own backward agrees with differences', async () => {
  await gradcheckPlain({ forward: oracle.swiglu, backward: oracle.swigluBackward }, [
    uniform(9, 1),
    uniform(9, 2),
  ])
})

/** Forward and backward of given values on the device. */
async function run(shape, values, dtype) {
  const [y, gate, up] = scope(() => {
    const [gate, up, dy] = values.map((data, i) => {
      const made = cast(tensor(gpu, Float32Array.from(data), shape), dtype)
      made.requiresGrad = i < 2
      return made
    })
    const y = swiglu(gate, up).keep()
    y.backward({ seed: dy })
    return [y, gate, up]
  })
  const read = await Promise.all([y, gate.grad, up.grad].map(made => made.read()))
  for (const made of [y, gate, up]) made.dispose()
  return read
}

for (const [shape, scale] of [
  [[1], 1],
  [[3, 7], 1e-8],
  [[37, 41], 4],
  [[33, 64], 1],
  [[129, 3, 5], 60],
]) {
  test(`values and gradients agree with the oracle: [${shape}], values to ${scale}`, async () => {
    const n = shape.reduce((a, b) => a * b, 1)
    const values = [1, 2, 3].map(seed => uniform(n, seed + n, { low: -scale, high: scale }))
    const [gate, up, dy] = values
    const [y, dgate, dup] = await run(shape, values, 'f32')
    for (const written of [y, dgate, dup]) expectWritten(written)
    expectClose(y, oracle.swiglu(gate, up), 1e-6, { label: 'swiglu', shape })
    const [expectedGate, expectedUp] = oracle.swigluBackward(dy, gate, up)
    expectClose(dgate, expectedGate, 1e-6, { label: 'dgate', shape })
    expectClose(dup, expectedUp, 1e-6, { label: 'dup', shape })
  })
}

test('halves: the same up to their rounding', async () => {
  const shape = [9, 12]
  const values = [1, 2, 3].map(seed => roundF16(uniform(108, seed, { low: -3, high: 3 })))
  const [y, dgate, dup] = await run(shape, values, 'f16')
  const [gate, up, dy] = values
  expectClose(y, oracle.swiglu(gate, up), HALF_ROUNDING, { shape })
  const [expectedGate, expectedUp] = oracle.swigluBackward(dy, gate, up)
  expectClose(dgate, expectedGate, HALF_ROUNDING, { shape })
  expectClose(dup, expectedUp, HALF_ROUNDING, { shape })
})

test('gradients agree with differences, and every buffer comes back', async () => {
  const buffers = gpu.memory.buffers
  const inputs = [1, 2].map(seed => ({ data: uniform(35, seed, { low: -3, high: 3 }), shape: [5, 7] }))
  await gradcheck(gpu, swiglu, oracle.swiglu, inputs)
  assert.equal(gpu.memory.buffers, buffers)
})

test('wrong calls are refused', () => {
  const [x, ids] = [tensor(gpu, [1, 2, 3, 4]), tensor(gpu, Uint32Array.of(1, 2, 3, 4))]
  assert.throws(() => swiglu(x, ids), /swiglu: up is u32, expected f32 or f16/)
  assert.throws(
    () => swiglu(x, tensor(gpu, [1])),
    /swiglu: the second tensor has shape \[1\], expected \[4\]/,
  )
})

test('it trains, and the same twice', async () => {
  const losses = await train(gpu)
  const mean = part => part.reduce((a, b) => a + b, 0) / part.length
  const [first, last] = [mean(losses.slice(0, 5)), mean(losses.slice(-5))]
  assert.ok(first > 0.5, `starts at ${first}`)
  assert.ok(last < 0.25, `ends at ${last}`)
  assert.deepEqual(await train(gpu, { steps: 7 }), losses.slice(0, 7))
})
