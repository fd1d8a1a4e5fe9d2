// One step of every rule and its replay over rows, by the launchers alone, against float64. test/optim has whole runs.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  OPTIMIZER_BLOCK,
  OPTIMIZER_SKIP,
  optimizerByRow,
  optimizerDense,
  optimizerRows,
} from '../../src/kernels/optimizer.ts'
import { adam, adamw, type Rule, rowwiseAdagrad, type Settings, sgd } from '../../src/optim/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded, ids, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

/** Weights, then what the rule keeps. */
type Arrays = ArrayLike<number>[]
interface Subject {
  name: string
  rule: Rule
  /** Of two groups. */
  groups: [Settings, Settings]
  states: number
  /** The oracle's step `step` (from 1) on elements by themselves. */
  step(state: Arrays, g: ArrayLike<number>, settings: Settings, step: number): Arrays
}

const subject = <S extends Settings>(
  name: string,
  rule: Rule<S>,
  groups: [S, S],
  step: (state: Arrays, g: ArrayLike<number>, settings: S, step: number) => Arrays,
): Subject => ({
  name,
  rule: rule as unknown as Rule,
  groups,
  states: rule.states(groups).length,
  step: step as Subject['step'],
})

const ADAM = [
  { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1 },
  { lr: 3e-3, beta1: 0.8, beta2: 0.99, eps: 1e-6, weightDecay: 0 },
] as [reference.AdamWSettings, reference.AdamWSettings]
const SGD = { lr: 1e-2, momentum: 0.9, dampening: 0, weightDecay: 0.1, nesterov: false }
const adamOf =
  (step: typeof reference.adamwStep) =>
  ([w, m, v]: Arrays, g: ArrayLike<number>, settings: reference.AdamWSettings, t: number): Arrays => {
    const next = step({ w: w!, m: m!, v: v!, g, ...settings, step: t })
    return [next.w, next.m, next.v]
  }
const sgdOf = (
  [w, m]: Arrays,
  g: ArrayLike<number>,
  settings: reference.SgdSettings,
  step: number,
): Arrays => {
  const next = reference.sgdStep({ w: w!, m: m ?? new Float64Array(w!.length), g, ...settings, step })
  return m ? [next.w, next.m] : [next.w]
}

const SUBJECTS = [
  subject('adamw', adamw, ADAM, adamOf(reference.adamwStep)),
  subject('adam', adam, ADAM, adamOf(reference.adamStep)),
  subject(
    'sgd',
    sgd,
    [
      { ...SGD, dampening: 0.3 },
      { ...SGD, nesterov: true, weightDecay: 0 },
    ],
    sgdOf,
  ),
  subject('sgd, one group without momentum', sgd, [{ ...SGD, momentum: 0 }, SGD], sgdOf),
  subject(
    'sgd without momentum',
    sgd,
    [
      { ...SGD, momentum: 0 },
      { ...SGD, momentum: 0, weightDecay: 0 },
    ],
    sgdOf,
  ),
  subject(
    'adagrad',
    rowwiseAdagrad,
    [
      { lr: 0.1, eps: 1e-8, weightDecay: 0.1 },
      { lr: 0.03, eps: 1e-3, weightDecay: 0 },
    ],
    ([w, sum], g, settings) => {
      const next = reference.rowwiseAdagradStep({ w: w!, sum: sum!, g, H: 1, ...settings })
      return [next.w, next.sum]
    },
  ),
]

/** Steps of both groups, each with a learning rate of its own. */
const settingsOf = ({ groups }: Subject, steps: number) =>
  Array.from({ length: steps }, (_, step) => groups.map(group => ({ ...group, lr: group.lr / (1 + step) })))
const uploadHistory = ({ rule }: Subject, steps: Settings[][]) =>
  gpu.from(
    Float32Array.from(
      steps.flatMap((groups, step) => groups.flatMap(group => rule.numbers(group, step + 1))),
    ),
  )

/** Weights and state in guarded memory, and the same on the host; a second moment or a sum is not negative. */
function stateOf({ rule, states }: Subject, n: number, seed: number, scale: number) {
  const sums = (k: number) => k === 1 || rule.byRow
  const own = Array.from({ length: states }, (_, k) =>
    uniform(n, seed + 1 + k, sums(k) ? { low: 0, high: scale * scale } : { low: -scale, high: scale }),
  )
  return hold([uniform(n, seed), ...own])
}

function hold(host: Float32Array<ArrayBuffer>[]) {
  const memory = host.map(values => {
    const kept = guarded(gpu, values.length)
    gpu.upload(kept.view, values)
    return kept
  })
  const values = (k: number) => host[k]!.length
  const [w, ...states] = memory.map(({ view }) => view)
  return {
    host,
    views: { w: w!, states },
    async check(expected: Arrays, bound: number, shape: number[]) {
      for (const [k, kept] of memory.entries()) {
        expectClose(await gpu.readFloats(kept.view), expected[k]!, bound, {
          label: `array ${k}`,
          ...(values(k) === values(0) ? { shape } : {}),
        })
        await kept.checkNeighbours()
        kept.release()
      }
    },
  }
}

for (const one of SUBJECTS) {
  const rule = { ...one.rule, states: one.states }

  for (const [blocks, scale] of [
    [1, 1],
    [7, 1e-4],
    [37, 1e3],
  ] as const) {
    test(`${one.name}: a dense step, ${blocks} blocks of two groups, some left alone, gradients to ${scale}`, async () => {
      const n = blocks * OPTIMIZER_BLOCK
      const { host, views, check } = stateOf(one, n, blocks, scale)
      const g = uniform(n, 9, { low: -scale, high: scale })
      const slots = Uint32Array.from(ids(blocks, 4, 3), id => (id === 2 ? OPTIMIZER_SKIP : id % 2))
      slots[0] = 1
      const steps = settingsOf(one, 3)
      const [history, clip] = [uploadHistory(one, steps), gpu.from(Float32Array.of(0.75))]
      const [gradients, groupOf] = [gpu.from(g), gpu.from(slots)]
      optimizerDense(gpu, rule, {
        ...views,
        history,
        clip,
        groups: 2,
        g: gradients,
        slots: groupOf,
        blocks,
        step: 2,
      })
      const expected = host.map(values => Float64Array.from(values))
      for (const [block, group] of slots.entries()) {
        if (group === OPTIMIZER_SKIP) continue
        const [from, to] = [block * OPTIMIZER_BLOCK, (block + 1) * OPTIMIZER_BLOCK]
        const own = host.map(values => values.subarray(from, to))
        const grad = g.subarray(from, to).map(x => 0.75 * x)
        const next = one.step(own, grad, steps[2]![group]!, 3)
        for (const [k, values] of next.entries()) expected[k]!.set(Float64Array.from(values), from)
      }
      await check(expected, 1e-6, [blocks, OPTIMIZER_BLOCK])
      for (const view of [history, clip, gradients, groupOf]) gpu.release(view)
    })
  }

  for (const [V, H, group] of one.rule.byRow
    ? []
    : ([
        [5, 1, 0],
        [23, 7, 1],
        [40, 36, 0],
        [9, 130, 1],
      ] as const)) {
    for (const withGrad of [true, false]) {
      test(`${one.name}: rows of a table [${V}, ${H}] catch up${withGrad ? ' and take a step' : ''}`, async () => {
        const rows = Array.from({ length: V }, (_, row) => row).filter(row => row % 3 !== 1)
        const U = rows.length
        const steps = settingsOf(one, 6)
        const { host, views, check } = stateOf(one, V * H, V, 1)
        const stamp = Uint32Array.from(ids(V, 5, 5))
        const grads = uniform(U * H, 6)
        // Two entries of another launch stand before.
        const pairs = [0, 0, 1, 0, ...rows.flatMap(row => [row, stamp[row]!])]
        const [history, clip] = [uploadHistory(one, steps), gpu.from(Float32Array.of(1))]
        const entries = gpu.from(Uint32Array.from(pairs))
        const g = withGrad ? gpu.from(new Float32Array([...new Float32Array(2 * H), ...grads])) : undefined
        // Without a gradient the sixth step is replayed too.
        const until = withGrad ? 5 : 6
        const which = { entries, firstEntry: 2, n: U, width: H, group, until, g }
        optimizerRows(gpu, rule, { ...views, history, clip, groups: 2, ...which })
        const expected = host.map(values => Float64Array.from(values))
        for (const [u, row] of rows.entries()) {
          const [from, to] = [row * H, (row + 1) * H]
          let own: Arrays = expected.map(values => values.slice(from, to))
          for (let t = stamp[row]!; t < 6; t++) {
            const last = withGrad && t === 5
            const grad = last ? grads.subarray(u * H, (u + 1) * H) : new Float32Array(H)
            own = one.step(own, grad, steps[t]![group]!, t + 1)
          }
          for (const [k, values] of own.entries()) expected[k]!.set(Float64Array.from(values), from)
        }
        await check(expected, 2e-6, [V, H])
        for (const view of [history, clip, entries, ...(g ? [g] : [])]) gpu.release(view)
      })
    }
  }

  // Dense memory of 63 blocks is a table of 64 rows of 63, which are read value by value, and one of 63 rows of 64.
  for (const H of one.rule.byRow ? [] : [63, 64]) {
    test(`${one.name}: rows of ${H} that replay four steps and take a fifth have the bits of dense steps`, async () => {
      const n = 63 * 64
      const steps = settingsOf(one, 5)
      const { host } = stateOf(one, n, 7, 1)
      const [history, clip] = [uploadHistory(one, steps), gpu.from(Float32Array.of(0.3))]
      const [slots, none, g] = [
        gpu.from(new Uint32Array(63)),
        gpu.from(new Float32Array(n)),
        gpu.from(uniform(n, 8, { low: -2, high: 2 })),
      ]
      const memory = () => {
        const [w, ...states] = host.map(values => gpu.from(values))
        return { w: w!, states }
      }
      const [dense, rows] = [memory(), memory()]
      const shared = { history, clip, groups: 2 }
      for (let step = 0; step < 5; step++)
        optimizerDense(gpu, rule, { ...dense, ...shared, g: step < 4 ? none : g, slots, blocks: 63, step })
      const entries = gpu.from(Uint32Array.from({ length: (2 * n) / H }, (_, i) => (i % 2 ? 0 : i / 2)))
      const which = { entries, firstEntry: 0, n: n / H, width: H, group: 0, until: 4, g }
      optimizerRows(gpu, rule, { ...rows, ...shared, ...which })
      for (const [k, view] of [dense.w, ...dense.states].entries()) {
        const [a, b] = [await gpu.readUints(view), await gpu.readUints([rows.w, ...rows.states][k]!)]
        assert.equal(b.subarray(0, n), a.subarray(0, n), `array ${k}`)
      }
      for (const view of [history, clip, slots, none, g, entries]) gpu.release(view)
    })
  }

  test(`${one.name}: a negative coefficient counts gradients as zero`, async () => {
    const { host, views, check } = stateOf(one, OPTIMIZER_BLOCK, 3, 1)
    const steps = settingsOf(one, 1)
    const [history, clip] = [uploadHistory(one, steps), gpu.from(Float32Array.of(-1))]
    const [g, slots] = [
      gpu.from(new Float32Array(OPTIMIZER_BLOCK).fill(Number.NaN)),
      gpu.from(Uint32Array.of(0)),
    ]
    optimizerDense(gpu, rule, { ...views, history, clip, groups: 2, g, slots, blocks: 1, step: 0 })
    const zero = new Float32Array(OPTIMIZER_BLOCK)
    await check(one.step(host, zero, steps[0]![0]!, 1), 1e-6, [OPTIMIZER_BLOCK])
    for (const view of [history, clip, g, slots]) gpu.release(view)
  })
}

const ADAGRAD = SUBJECTS.at(-1)!
const adagrad = { ...ADAGRAD.rule, states: ADAGRAD.states }

for (const [V, H, group, scale, lanes] of [
  [5, 1, 0, 1, undefined],
  [23, 7, 1, 1e3, undefined],
  [40, 36, 0, 1e-4, undefined],
  [9, 130, 1, 1, undefined],
  [3, 516, 0, 1, undefined],
  [7, 37, 0, 1, 32], // as on GPUs
  [7, 260, 1, 1, 32],
] as const) {
  for (const coefficient of [0.5, -1]) {
    test(`row-wise adagrad: rows of a table [${V}, ${H}], gradients to ${scale} times ${coefficient}`, async () => {
      const rows = Array.from({ length: V }, (_, row) => row).filter(row => row % 3 !== 1)
      const U = rows.length
      const steps = settingsOf(ADAGRAD, 3)
      const { host, views, check } = hold([uniform(V * H, V), uniform(V, 2, { low: 0, high: scale * scale })])
      const grads = uniform(U * H, 6, { low: -scale, high: scale })
      const [history, clip] = [uploadHistory(ADAGRAD, steps), gpu.from(Float32Array.of(coefficient))]
      // An entry of another launch stands before.
      const entries = gpu.from(Uint32Array.from([1, 0, ...rows.flatMap(row => [row, 2])]))
      const given = coefficient < 0 ? grads.map(() => Number.POSITIVE_INFINITY) : grads
      const g = gpu.from(new Float32Array([...new Float32Array(H), ...given]))
      const which = { entries, firstEntry: 1, n: U, width: H, group, step: 2, g, lanes }
      optimizerByRow(gpu, adagrad, { ...views, history, clip, groups: 2, ...which })
      const expected = host.map(values => Float64Array.from(values))
      for (const [u, row] of rows.entries()) {
        const at = <T extends Float32Array | Float64Array>(x: T, i: number) => x.slice(i * H, (i + 1) * H)
        const next = reference.rowwiseAdagradStep({
          w: at(expected[0]!, row),
          sum: expected[1]!.slice(row, row + 1),
          g: at(grads, u).map(x => Math.max(coefficient, 0) * x),
          H,
          ...(steps[2]![group] as reference.AdagradSettings),
        })
        expected[0]!.set(next.w, row * H)
        expected[1]!.set(next.sum, row)
      }
      await check(expected, 2e-6, [V, H])
      for (const view of [history, clip, entries, g]) gpu.release(view)
    })
  }
}

test('nothing is launched for no rows', async () => {
  await gpu.compiled()
  const { launches } = gpu.counts
  const view = gpu.acquire(32)
  const memory = { w: view, states: [view], history: view, clip: view, groups: 1 }
  const none = { ...memory, entries: view, firstEntry: 0, n: 0, width: 4, group: 0 }
  optimizerRows(gpu, adagrad, { ...none, until: 1 })
  optimizerByRow(gpu, adagrad, { ...none, step: 0, g: view })
  await gpu.done()
  assert.is(gpu.counts.launches, launches)
  gpu.release(view)
})

test.after(() => gpu.close())
test.run()
