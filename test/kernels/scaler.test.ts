import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { scalerUpdate } from '../../src/kernels/scaler.ts'
import { adamw } from '../../src/optim/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const groups = [
  { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 },
  { lr: 3e-3, beta1: 0, beta2: 0.95, eps: 1e-6, weightDecay: 0 },
  { lr: 1e-3, beta1: 0.99, beta2: 0.9999, eps: 1e-8, weightDecay: 0.1 },
]
const settings = { growthFactor: 2, backoffFactor: 0.5, growthInterval: 3 }

/** Words of a state: scale, growth tracker, taken, skipped. */
function stateView(scale: number, ...counts: [number, number, number]) {
  const words = Uint32Array.of(0, ...counts)
  new Float32Array(words.buffer)[0] = scale
  return gpu.from(words)
}

async function update(state: ReturnType<typeof stateView>, scaledNorm: number, maxNorm: number, step = 1) {
  const pending = Float32Array.from(groups.flatMap(adamw.pending))
  const history = gpu.from(seeded(4 * pending.length, 5))
  gpu.upload(history, pending, step * pending.length * 4)
  const [norm, coefficient] = [gpu.from(Float32Array.of(scaledNorm)), gpu.acquire(4)]
  scalerUpdate(
    gpu,
    { ...adamw, states: 2 },
    { norm, coefficient, state, history, step, groups: groups.length, maxNorm, ...settings },
  )
  const all = await gpu.readFloats({ ...history, size: 4 * pending.length * 4 })
  const untouched = seeded(4 * pending.length, 5)
  for (const [i, value] of all.entries()) {
    if (Math.floor(i / pending.length) !== step)
      assert.is(value, untouched[i], `history ${i} of another step`)
  }
  const words = await gpu.readUints({ ...state, size: 16 })
  return {
    norm: (await gpu.readFloats({ ...norm, size: 4 }))[0]!,
    coefficient: (await gpu.readFloats({ ...coefficient, size: 4 }))[0]!,
    history: all.slice(step * pending.length, (step + 1) * pending.length),
    scale: new Float32Array(words.buffer)[0]!,
    counts: [...words.slice(1)],
  }
}

for (const taken of [0, 1, 9, 137, 500, 4999, 100_000]) {
  test(`a finite norm: bias corrections of step ${taken + 1}, unscaling and clipping`, async () => {
    const { history, norm, coefficient, scale, counts } = await update(
      stateView(65536, 0, taken, 2),
      65536 * 7,
      1,
    )
    for (const [g, group] of groups.entries()) {
      const expected = adamw.numbers(group, taken + 1)
      for (const [i, value] of expected.entries()) {
        const actual = history[8 * g + i]!
        assert.ok(
          Math.abs(actual - value) <= 1e-6 * Math.abs(value),
          `group ${g} [${i}]: ${actual} against ${value}`,
        )
      }
    }
    assert.is(norm, 7)
    expectClose([coefficient], [reference.clipCoefficient(7, 1) / 65536], 1e-6)
    assert.is(scale, 65536)
    assert.equal(counts, [1, taken + 1, 2])
  })
}

test('a norm below the limit, or no limit, is unscaled only', async () => {
  assert.is((await update(stateView(1024, 0, 4, 0), 512, 1)).coefficient, 1 / 1024)
  assert.is((await update(stateView(1024, 0, 4, 0), 1e6, 0)).coefficient, 1 / 1024)
})

for (const norm of [Number.POSITIVE_INFINITY, Number.NaN, -Number.NaN]) {
  test(`a norm of ${norm} makes the step void and halves the scale`, async () => {
    const { history, coefficient, scale, counts } = await update(stateView(65536, 2, 9, 4), norm, 1, 2)
    assert.is(coefficient, -1)
    assert.equal(
      [...history],
      groups.flatMap(() => [1, 0, 1, 1, 1, 0, 1, 0]),
    )
    assert.is(scale, 32768)
    assert.equal(counts, [0, 9, 5])
  })
}

test('the scale follows the oracle over a long run, and stays in float32’s range', async () => {
  let state: reference.ScalerState = { scale: 2 ** 125, growthTracker: 0, taken: 0, skipped: 0 }
  const view = stateView(state.scale, 0, 0, 0)
  const draw = seeded(60, 11)
  let [grew, backedOff] = [0, 0]
  for (let step = 0; step < 60; step++) {
    // Runs of good steps first, so that the scale meets the end of the range; then every fourth or so overflows.
    const overflow = step >= 20 && draw[step]! > 0.4
    const result = await update(view, overflow ? Number.POSITIVE_INFINITY : 1e30, 1)
    const before = state.scale
    state = reference.scalerStep({ state, overflow, ...settings })
    grew += Number(state.scale > before)
    backedOff += Number(state.scale < before)
    assert.is(result.scale, state.scale, `scale after step ${step + 1}`)
    assert.equal(result.counts, [state.growthTracker, state.taken, state.skipped])
  }
  assert.ok(grew >= 3 && backedOff >= 8, `grew ${grew} times, backed off ${backedOff} times`)
})

test.after(() => gpu.close())
test.run()
