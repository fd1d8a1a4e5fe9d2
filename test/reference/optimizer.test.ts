import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type AdamWSettings, type AdamWState, adamwRows, adamwStep } from '../../src/reference/index.ts'
import { close } from './compare.ts'
import { golden } from './golden.ts'

const frozen = golden('adamw')
const CONSTANTS = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 }

test('the first step moves by the learning rate against the sign of the gradient', () => {
  const given = { w: [1, 1], m: [0, 0], v: [0, 0], g: [3, -1e-3], lr: 0.1, ...CONSTANTS, eps: 0, step: 1 }
  const { w, m, v } = adamwStep(given)
  close(w, [0.999 - 0.1, 0.999 + 0.1], 1e-15, 'w')
  close(m, [0.3, -1e-4], 1e-15, 'm')
  close(v, [9e-3, 1e-9], 1e-13, 'v')
  assert.equal(given.w, [1, 1])
})

/** The 300 steps of the frozen run, given as the rows that get a gradient. */
function run() {
  const [steps, U, H] = frozen.shape('grads') as [number, number, number]
  const [V] = frozen.shape('w0') as [number]
  const [ids, grads, lrs] = [frozen.read('ids'), frozen.read('grads'), frozen.read('lr')]
  const history: AdamWSettings[] = []
  const dense = {
    w: Float64Array.from(frozen.read('w0')),
    m: new Float64Array(V * H),
    v: new Float64Array(V * H),
  }
  const batches = Array.from({ length: steps }, (_, s) => ({
    rows: ids.slice(s * U, s * U + U),
    grads: grads.slice(s * U * H, (s + 1) * U * H),
    lr: lrs[s]!,
  }))
  return { V, H, history, dense, batches }
}

frozen.test('300 dense steps agree with PyTorch in float64', () => {
  const { V, H, dense, batches } = run()
  let state: AdamWState = dense
  batches.forEach(({ rows, grads, lr }, s) => {
    const g = new Float64Array(V * H)
    for (let i = 0; i < grads.length; i++) g[rows[Math.floor(i / H)]! * H + (i % H)] = grads[i]!
    state = adamwStep({ ...state, g, lr, ...CONSTANTS, step: s + 1 })
    if ([1, 10, 100, 300].includes(s + 1))
      close(state.w, frozen.read(`w${s + 1}_float64`), 1e-12, `w${s + 1}`)
  })
  close(state.m, frozen.read('m_float64'), 1e-12, 'm')
  close(state.v, frozen.read('v_float64'), 1e-12, 'v')
})

frozen.test('row-wise steps that replay what a row missed equal dense steps, bit for bit', () => {
  const { V, H, history, dense, batches } = run()
  const everyRow = Array.from({ length: V }, (_, row) => row)
  let state: AdamWState = dense
  let sparse: ReturnType<typeof adamwRows> = { ...dense, stamp: new Uint32Array(V) }
  let stale = 0
  batches.forEach(({ rows, grads, lr }, s) => {
    const g = new Float64Array(V * H)
    for (let i = 0; i < grads.length; i++) g[rows[Math.floor(i / H)]! * H + (i % H)] = grads[i]!
    state = adamwStep({ ...state, g, lr, ...CONSTANTS, step: s + 1 })
    history.push({ lr, ...CONSTANTS })
    sparse = adamwRows({ ...sparse, rows, grads, H, history })
    for (const row of everyRow) if (sparse.stamp[row]! < s) stale++
  })
  assert.ok(stale > 1000, 'most rows sit out most steps')
  assert.not.equal(sparse.w, state.w)
  const caughtUp = adamwRows({ ...sparse, rows: everyRow, H, history })
  assert.equal(caughtUp.w, state.w)
  assert.equal(caughtUp.m, state.m)
  assert.equal(caughtUp.v, state.v)
  assert.equal(caughtUp.stamp, new Uint32Array(V).fill(300))
})

test.run()
