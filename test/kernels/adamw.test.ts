// One AdamW step and its replay over rows, by the launchers alone, against float64. test/optim has whole runs.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ADAMW_BLOCK, ADAMW_SKIP, adamw, adamwHistory, adamwRows } from '../../src/kernels/adamw.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded, ids, uniform } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const GROUPS = [
  { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1 },
  { lr: 3e-3, beta1: 0.8, beta2: 0.99, eps: 1e-6, weightDecay: 0 },
]
/** Steps of both groups, each with a learning rate of its own. */
const settings = (steps: number) =>
  Array.from({ length: steps }, (_, step) => GROUPS.map(group => ({ ...group, lr: group.lr / (1 + step) })))
const uploadHistory = (steps: ReturnType<typeof settings>) =>
  gpu.from(
    Float32Array.from(
      steps.flatMap((groups, step) => groups.flatMap(group => adamwHistory(group, step + 1))),
    ),
  )

/** Weights and moments of n elements in guarded memory, and the same on the host. */
function state(n: number, seed: number, scale: number) {
  const host = {
    w: uniform(n, seed),
    m: uniform(n, seed + 1, { low: -scale, high: scale }),
    v: uniform(n, seed + 2, { low: 0, high: scale * scale }),
  }
  const memory = { w: guarded(gpu, n), m: guarded(gpu, n), v: guarded(gpu, n) }
  for (const name of ['w', 'm', 'v'] as const) gpu.upload(memory[name].view, host[name])
  return {
    host,
    views: { w: memory.w.view, m: memory.m.view, v: memory.v.view },
    async check(expected: Record<'w' | 'm' | 'v', ArrayLike<number>>, bound: number, shape: number[]) {
      for (const name of ['w', 'm', 'v'] as const) {
        expectClose(await gpu.readFloats(memory[name].view), expected[name], bound, { label: name, shape })
        await memory[name].checkNeighbours()
        memory[name].release()
      }
    },
  }
}

for (const [blocks, scale] of [
  [1, 1],
  [7, 1e-4],
  [37, 1e3],
] as const) {
  test(`a dense step: ${blocks} blocks of two groups, some left alone, gradients to ${scale}`, async () => {
    const n = blocks * ADAMW_BLOCK
    const { host, views, check } = state(n, blocks, scale)
    const g = uniform(n, 9, { low: -scale, high: scale })
    const slots = Uint32Array.from(ids(blocks, 4, 3), id => (id === 2 ? ADAMW_SKIP : id))
    slots[0] = 1
    const steps = settings(3)
    const [history, clip] = [uploadHistory(steps), gpu.from(Float32Array.of(0.75))]
    const [gradients, groupOf] = [gpu.from(g), gpu.from(slots)]
    adamw(gpu, { ...views, history, clip, groups: 2, g: gradients, slots: groupOf, blocks, step: 2 })
    const expected = {
      w: Float64Array.from(host.w),
      m: Float64Array.from(host.m),
      v: Float64Array.from(host.v),
    }
    for (const [block, group] of slots.entries()) {
      if (group === ADAMW_SKIP) continue
      const part = <T extends Float32Array>(x: T) =>
        x.subarray(block * ADAMW_BLOCK, (block + 1) * ADAMW_BLOCK)
      const own = { w: part(host.w), m: part(host.m), v: part(host.v), g: part(g).map(x => 0.75 * x) }
      const next = reference.adamwStep({ ...own, ...steps[2]![group]!, step: 3 })
      for (const name of ['w', 'm', 'v'] as const) expected[name].set(next[name], block * ADAMW_BLOCK)
    }
    await check(expected, 1e-6, [blocks, ADAMW_BLOCK])
    for (const view of [history, clip, gradients, groupOf]) gpu.release(view)
  })
}

for (const [V, H, group] of [
  [5, 1, 0],
  [23, 7, 1],
  [40, 36, 0],
  [9, 130, 1],
] as const) {
  for (const withGrad of [true, false]) {
    test(`rows of a table [${V}, ${H}] catch up${withGrad ? ' and take a step' : ''}`, async () => {
      const rows = Array.from({ length: V }, (_, row) => row).filter(row => row % 3 !== 1)
      const U = rows.length
      const steps = settings(6)
      const { host, views, check } = state(V * H, V, 1)
      const stamp = Uint32Array.from(ids(V, 5, 5))
      const grads = uniform(U * H, 6)
      // Two entries of another launch stand before.
      const pairs = [0, 0, 1, 0, ...rows.flatMap(row => [row, stamp[row]!])]
      const [history, clip] = [uploadHistory(steps), gpu.from(Float32Array.of(1))]
      const entries = gpu.from(Uint32Array.from(pairs))
      const g = withGrad ? gpu.from(new Float32Array([...new Float32Array(2 * H), ...grads])) : undefined
      const memory = { ...views, history, clip, groups: 2 }
      // Without a gradient the sixth step is replayed too.
      const until = withGrad ? 5 : 6
      adamwRows(gpu, { ...memory, entries, firstEntry: 2, n: U, width: H, group, until, g })
      const expected = reference.adamwRows({
        ...host,
        stamp,
        rows,
        grads: withGrad ? grads : undefined,
        H,
        history: steps.map(groups => groups[group]!),
      })
      await check(expected, 2e-6, [V, H])
      for (const view of [history, clip, entries, ...(g ? [g] : [])]) gpu.release(view)
    })
  }
}

test('a negative coefficient counts gradients as zero', async () => {
  const { host, views, check } = state(ADAMW_BLOCK, 3, 1)
  const steps = settings(1)
  const [history, clip] = [uploadHistory(steps), gpu.from(Float32Array.of(-1))]
  const [g, slots] = [gpu.from(new Float32Array(ADAMW_BLOCK).fill(Number.NaN)), gpu.from(Uint32Array.of(0))]
  adamw(gpu, { ...views, history, clip, groups: 2, g, slots, blocks: 1, step: 0 })
  const zero = new Float32Array(ADAMW_BLOCK)
  await check(reference.adamwStep({ ...host, g: zero, ...steps[0]![0]!, step: 1 }), 1e-6, [ADAMW_BLOCK])
  for (const view of [history, clip, g, slots]) gpu.release(view)
})

test('nothing is launched for no rows', async () => {
  await gpu.compiled()
  const { launches } = gpu.counts
  const view = gpu.acquire(32)
  const memory = { w: view, m: view, v: view, history: view, clip: view, groups: 1 }
  adamwRows(gpu, { ...memory, entries: view, firstEntry: 0, n: 0, width: 4, group: 0, until: 1 })
  await gpu.done()
  assert.is(gpu.counts.launches, launches)
  gpu.release(view)
})

test.after(() => gpu.close())
test.run()
