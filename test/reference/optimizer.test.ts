import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type AdamWSettings,
  type AdamWState,
  adamStep,
  adamwRows,
  adamwStep,
  rowwiseAdagradStep,
  sgdStep,
} from '../../src/reference/index.ts'
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

const optim = golden('optim')

/** The oracle's w and state after one more step, by rule; settings under PyTorch's names. */
type Arrays = ArrayLike<number>[]
type Settings = Record<string, number> & { betas?: [number, number] }
const adamSettings = ({ betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0 }: Settings) => ({
  beta1: betas[0],
  beta2: betas[1],
  eps,
  weightDecay: weight_decay,
})
const RULES: Record<
  string,
  (state: Arrays, g: ArrayLike<number>, lr: number, step: number, own: Settings, H: number) => Arrays
> = {
  adamw_torch([w, m, v], g, lr, step, own) {
    const next = adamwStep({ w: w!, m: m!, v: v!, g, lr, step, ...adamSettings(own) })
    return [next.w, next.m, next.v]
  },
  adam([w, m, v], g, lr, step, own) {
    const next = adamStep({ w: w!, m: m!, v: v!, g, lr, step, ...adamSettings(own) })
    return [next.w, next.m, next.v]
  },
  sgd([w, m], g, lr, step, { momentum = 0, dampening = 0, nesterov, weight_decay: weightDecay = 0 }) {
    const own = { lr, momentum, dampening, nesterov: Boolean(nesterov), weightDecay }
    const next = sgdStep({ w: w!, m: m!, g, step, ...own })
    return [next.w, next.m]
  },
  adagrad([w, sum], g, lr, _, { eps = 1e-8, weight_decay: weightDecay = 0 }) {
    const next = rowwiseAdagradStep({ w: w!, sum: sum!, g, H: 1, lr, eps, weightDecay })
    return [next.w, next.sum]
  },
}
const KEPT = [[], ['exp_avg', 'momentum_buffer', 'sum'], ['exp_avg_sq']]

for (const { name, rule, options, clip } of JSON.parse(readFileSync('test/golden/optim/case.json', 'utf8'))
  .cases) {
  const byRow = rule === 'rowwise_adagrad'
  test(`${name}: 300 steps agree with ${byRow ? 'FBGEMM in float32' : 'PyTorch in float64'}`, () => {
    const [steps, U, width] = optim.shape('grads') as [number, number, number]
    const [V, H] = optim.shape(`${name}.w1`) as [number, number]
    const wide = (values: ArrayLike<number>, row: number) =>
      Array.from({ length: H }, (_, c) => Number(values[row * width + (c % width)]))
    const [w0, ids, grads, lrs] = ['w0', 'ids', 'grads', 'lr'].map(
      key => optim.read(key) as ArrayLike<number>,
    )
    let state: Arrays = [
      Array.from({ length: V }, (_, row) => wide(w0!, row)).flat(),
      new Float64Array(byRow ? V : V * H),
      new Float64Array(V * H),
    ]
    const bound = byRow ? 2e-6 : 2e-7
    for (let s = 0; s < steps; s++) {
      let mine = Array.from({ length: U }, (_, u) => wide(grads!, s * U + u))
      if (clip !== null) {
        const factor = Math.min(1, clip / (Math.hypot(...mine.flat()) + 1e-6))
        mine = mine.map(row => row.map(value => value * factor))
      }
      if (byRow) {
        const [w, sum] = state.map(values => Float64Array.from(values)) as [Float64Array, Float64Array]
        const { eps = 1e-8, weight_decay: weightDecay = 0 } = options
        for (const [u, g] of mine.entries()) {
          const row = Number(ids![s * U + u])
          const at = { w: w.slice(row * H, (row + 1) * H), sum: sum.slice(row, row + 1), g, H }
          const next = rowwiseAdagradStep({ ...at, lr: lrs![s]!, eps, weightDecay })
          w.set(next.w, row * H)
          sum.set(next.sum, row)
        }
        state = [w, sum]
      } else {
        const g = new Float64Array(V * H)
        for (const [u, values] of mine.entries()) g.set(values, Number(ids![s * U + u]) * H)
        state = RULES[rule]!(state, g, lrs![s]!, s + 1, options, H)
      }
      const key = `${name}.w${s + 1}`
      if (optim.shape(key).length) close(state[0]!, optim.read(key) as ArrayLike<number>, bound, key)
    }
    for (const [k, names] of KEPT.entries()) {
      for (const key of names.map(kept => `${name}.${kept}`))
        if (optim.shape(key).length) close(state[k]!, optim.read(key) as ArrayLike<number>, bound, key)
    }
  })
}

test.run()
