// What the engine does for every rule: replay over shards and micro-batches, loss scaling, freezing, memory, refusals.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter, tensor } from '../../src/autograd/index.ts'
import { Adam, AdamW, GradScaler, type Optimizer, RowwiseAdagrad, SGD } from '../../src/optim/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { generator, openTestGpu, seeded } from '../support/gpu.ts'
import { makeOptimizer, type RuleName, setRows, setScattered } from '../support/optimizers.ts'
import { denseParameter, shardedGpu, tableParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()
const bits = (values: Float32Array) => new Uint32Array(values.slice().buffer)

/** Rules that move idle rows, and plain SGD, which does not; in each a table equals the dense parameter. */
const EXACT: [string, RuleName, Record<string, unknown>][] = [
  ['Adam', 'adam', {}],
  ['Adam with decay', 'adam', { weight_decay: 0.2, betas: [0.7, 0.95], eps: 1e-6 }],
  ['SGD', 'sgd', {}],
  ['SGD with decay', 'sgd', { weight_decay: 0.2 }],
  ['SGD with momentum', 'sgd', { momentum: 0.97 }],
  ['SGD with Nesterov', 'sgd', { momentum: 0.9, nesterov: true, weight_decay: 0.1 }],
  ['SGD with dampening', 'sgd', { momentum: 0.9, dampening: 0.4, weight_decay: 0.1 }],
]

for (const [name, rule, options] of EXACT) {
  test(`${name}: rows that sit out up to all steps equal dense ones to the bit, over shards, odd widths and micro-batches`, async () => {
    const [V, H] = [23, 5]
    const start = seeded(V * H, 1)
    const table = tableParameter(shardedGpu(gpu, 7 * H * 4), start, [V, H])
    assert.is(table.shards.length, 4)
    const dense = denseParameter(gpu, start, [V, H])
    const optimizers = [makeOptimizer(gpu, rule, table, options), makeOptimizer(gpu, rule, dense, options)]
    const next = generator(5)
    const period = Array.from({ length: V }, (_, r) =>
      r % 9 === 8 ? Number.POSITIVE_INFINITY : 1 + Math.floor(next() ** 3 * 90),
    )
    for (let step = 0; step < 100; step++) {
      const rows = period.flatMap((p, r) => ((step + r) % p === 0 ? [r] : []))
      const scattered = new Float32Array(V * H)
      for (const [use, list] of [rows, rows.filter(row => row % 2)].entries()) {
        const values = seeded(list.length * H, 1000 + step * 2 + use, 3)
        for (const [i, row] of list.entries())
          for (let c = 0; c < H; c++)
            scattered[row * H + c] = Math.fround(scattered[row * H + c]! + values[i * H + c]!)
        table.beforeRead!(Uint32Array.from(list))
        table.grads.push({ rows: Uint32Array.from(list), values: tensor(gpu, values, [list.length, H]) })
      }
      gpu.upload(dense.gradTarget().view, scattered)
      for (const optimizer of optimizers) {
        optimizer.groups[0]!.lr = 1e-2 * (1 - step / 120)
        optimizer.step()
        optimizer.zeroGrad()
      }
    }
    assert.equal(bits(await readParameter(table)), bits(await readParameter(dense)), 'weights')
    const [a, b] = (await Promise.all([
      optimizers[0]!.readState(table),
      optimizers[1]!.readState(dense),
    ])) as Record<string, Float32Array>[]
    assert.equal(Object.keys(a!), Object.keys(b!))
    for (const key of Object.keys(a!)) assert.equal(bits(a![key]!), bits(b![key]!), key)
    for (const optimizer of optimizers) optimizer.dispose()
  })
}

test('row-wise Adagrad: shards change no bit, rows without a gradient keep theirs, and decay with them', async () => {
  const [V, H] = [17, 6]
  const start = seeded(V * H, 1)
  const tables = [gpu, shardedGpu(gpu, 5 * H * 4)].map(device => tableParameter(device, start, [V, H]))
  const optimizers = tables.map(table => new RowwiseAdagrad(gpu, [{ params: [table] }], { weightDecay: 0.5 }))
  const rows = Uint32Array.of(0, 4, 5, 16)
  for (let step = 0; step < 5; step++) {
    for (const [i, table] of tables.entries()) {
      setRows(gpu, table, rows, seeded(rows.length * H, 20 + step, 3))
      optimizers[i]!.step({ maxGradNorm: 1 })
      optimizers[i]!.zeroGrad()
    }
  }
  const [whole, sharded] = await Promise.all(tables.map(readParameter))
  assert.equal(bits(whole!), bits(sharded!))
  const [a, b] = await Promise.all(tables.map((table, i) => optimizers[i]!.readState(table)))
  assert.equal(bits(a!.sum), bits(b!.sum))
  assert.is(a!.sum.length, V)
  for (let row = 0; row < V; row++) {
    const at = (values: Float32Array) => bits(values.subarray(row * H, (row + 1) * H))
    assert.is(rows.includes(row), String(at(whole!)) !== String(at(start)), `row ${row} moved`)
    assert.is(rows.includes(row), a!.sum[row]! > 0, `the sum of row ${row}`)
  }
  for (const optimizer of optimizers) optimizer.dispose()
})

/** Oracles over all rows; the last two have a gradient of zero where there is none. */
const ORACLES: Record<
  string,
  (state: Float64Array[], g: ArrayLike<number>, lr: number, step: number) => Float64Array[]
> = {
  'Adam with decay': ([w, m, v], g, lr, step) => {
    const settings = { lr, beta1: 0.7, beta2: 0.95, eps: 1e-6, weightDecay: 0.2 }
    const next = reference.adamStep({ w: w!, m: m!, v: v!, g, ...settings, step })
    return [next.w, next.m, next.v]
  },
  'SGD with dampening': ([w, m], g, lr, step) => {
    const settings = { lr, momentum: 0.9, dampening: 0.4, weightDecay: 0.1, nesterov: false }
    const next = reference.sgdStep({ w: w!, m: m!, g, ...settings, step })
    return [next.w, next.m]
  },
  'SGD with decay': ([w], g, lr, step) => {
    const settings = { lr, momentum: 0, dampening: 0, weightDecay: 0.2, nesterov: false }
    return [reference.sgdStep({ w: w!, m: w!.map(() => 0), g, ...settings, step }).w]
  },
}

for (const [name, rule, options] of EXACT.filter(([name]) => name in ORACLES)) {
  test(`${name}: through overflows, the first step's too, a table equals the dense parameter to the bit, and the oracle`, async () => {
    const [V, H] = [13, 4]
    const start = seeded(V * H, 1)
    const [table, dense] = [tableParameter(gpu, start, [V, H]), denseParameter(gpu, start, [V, H])]
    const optimizers = [makeOptimizer(gpu, rule, table, options), makeOptimizer(gpu, rule, dense, options)]
    const settings = { growthFactor: 2, backoffFactor: 0.5, growthInterval: 5 }
    const scalers = optimizers.map(() => new GradScaler(gpu, { ...settings, initScale: 1024 }))
    let state: reference.ScalerState = { scale: 1024, growthTracker: 0, taken: 0, skipped: 0 }
    let oracle: Float64Array[] = [Float64Array.from(start), new Float64Array(V * H), new Float64Array(V * H)]
    const next = generator(3)
    for (let step = 0; step < 25; step++) {
      const rows = Uint32Array.from(
        Array.from({ length: V }, (_, r) => r).filter(r => r === 0 || next() < 0.3),
      )
      const broken = [0, 1, 7, 16].includes(step)
      const values = seeded(rows.length * H, 100 + step, 2)
      const scaled = values.map(v => v * state.scale)
      if (broken) scaled[step % scaled.length] = step % 2 ? Number.POSITIVE_INFINITY : Number.NaN
      setRows(gpu, table, rows, scaled)
      setScattered(gpu, dense, rows, scaled)
      const lr = 1e-2 * (1 - step / 80)
      for (const [i, optimizer] of optimizers.entries()) {
        optimizer.groups[0]!.lr = lr
        optimizer.step({ scaler: scalers[i]! })
        optimizer.zeroGrad()
      }
      state = reference.scalerStep({ state, overflow: broken, ...settings })
      if (broken) continue
      const g = new Float64Array(V * H)
      for (const [i, row] of rows.entries()) g.set(values.subarray(i * H, (i + 1) * H), row * H)
      oracle = ORACLES[name]!(oracle, g, lr, state.taken)
    }
    assert.is(state.skipped, 4)
    for (const scaler of scalers) assert.equal(await scaler.read(), state)
    const [a, b] = [await readParameter(table), await readParameter(dense)]
    assert.equal(bits(a), bits(b))
    expectClose(a, oracle[0]!, 1e-5)
    const kept = Object.values(await optimizers[0]!.readState(table)) as Float32Array[]
    for (const [k, values] of kept.entries())
      expectClose(values, oracle[k + 1]!, 1e-5, { label: `state ${k}` })
    for (const each of [...optimizers, ...scalers]) each.dispose()
  })
}

test('row-wise Adagrad: a void step changes neither weights nor sums, of a table or a dense parameter', async () => {
  const [V, H] = [7, 4]
  const start = seeded(V * H, 1)
  const [table, dense] = [tableParameter(gpu, start, [V, H]), denseParameter(gpu, start, [V, H])]
  const optimizer = new RowwiseAdagrad(gpu, [{ params: [table, dense] }], { weightDecay: 0.1 })
  const scaler = new GradScaler(gpu, { initScale: 8 })
  const rows = Uint32Array.of(1, 5)
  const step = (values: Float32Array) => {
    setRows(gpu, table, rows, values)
    setScattered(gpu, dense, rows, values)
    optimizer.step({ scaler })
    optimizer.zeroGrad()
  }
  const all = async () => [
    await readParameter(table),
    await readParameter(dense),
    (await optimizer.readState(table)).sum,
    (await optimizer.readState(dense)).sum,
  ]
  const values = seeded(2 * H, 4)
  step(values.map(value => 8 * value))
  const before = await all()
  const unscaled = new Float64Array(V * H)
  for (const [i, row] of rows.entries()) unscaled.set(values.subarray(i * H, (i + 1) * H), row * H)
  const settings = { lr: 0.01, eps: 1e-8, weightDecay: 0.1 }
  const whole = reference.rowwiseAdagradStep({
    w: start,
    sum: new Float64Array(V * H),
    g: unscaled,
    H: 1,
    ...settings,
  })
  expectClose(before[1]!, whole.w, 1e-6)
  expectClose(before[3]!, whole.sum, 1e-6)
  const broken = seeded(2 * H, 5)
  broken[3] = Number.POSITIVE_INFINITY
  step(broken)
  assert.equal((await all()).map(bits), before.map(bits))
  assert.is((await scaler.read()).skipped, 1)
  for (const each of [optimizer, scaler]) each.dispose()
})

for (const [name, rule, options] of [
  ...EXACT.slice(1, 6),
  ['row-wise Adagrad', 'rowwise_adagrad', {}] as const,
]) {
  test(`${name}: a table and a dense parameter stand still while frozen, and go on from where they were`, async () => {
    const [V, H] = [9, 4]
    const start = seeded(V * H, 1)
    const [table, dense] = [tableParameter(gpu, start, [V, H]), denseParameter(gpu, start, [V, H])]
    const optimizers = [makeOptimizer(gpu, rule, table, options), makeOptimizer(gpu, rule, dense, options)]
    let frozenAt: Float32Array[] = []
    for (let step = 0; step < 15; step++) {
      const frozen = step >= 5 && step < 10
      table.requiresGrad = dense.requiresGrad = !frozen
      const rows = Uint32Array.of(step % 3, 4 + (step % 2))
      if (!frozen) {
        const values = seeded(2 * H, 100 + step)
        setRows(gpu, table, rows, values)
        setScattered(gpu, dense, rows, values)
      }
      for (const optimizer of optimizers) {
        optimizer.step()
        optimizer.zeroGrad()
      }
      if (step !== 4 && step !== 9) continue
      const now = [await readParameter(table), await readParameter(dense)]
      if (step === 9) assert.equal(now.map(bits), frozenAt.map(bits))
      frozenAt = now
    }
    const [a, b] = [await readParameter(table), await readParameter(dense)]
    assert.not.equal(bits(a), bits(frozenAt[0]!))
    if (rule !== 'rowwise_adagrad') assert.equal(bits(a), bits(b))
    for (const optimizer of optimizers) optimizer.dispose()
  })
}

test('what is kept takes no more memory than the rule says, and idle rows cost nothing where they do not move', async () => {
  const [V, H] = [1000, 64]
  const bytesOf = async (make: () => Optimizer) => {
    const before = gpu.memory.inUse
    const optimizer = make()
    const bytes = gpu.memory.inUse - before
    optimizer.dispose()
    return bytes
  }
  const table = tableParameter(gpu, seeded(V * H, 1), [V, H])
  const of = (rule: RuleName, options: Record<string, unknown> = {}) =>
    bytesOf(() => makeOptimizer(gpu, rule, table, options))
  const plain = await of('sgd')
  const HISTORY = 4096 * 4 * 8
  assert.ok(plain <= HISTORY, `${plain} bytes without state`)
  const state = async (rule: RuleName, options?: Record<string, unknown>) => (await of(rule, options)) - plain
  assert.ok(Math.abs((await state('sgd', { momentum: 0.9 })) - V * H * 4) <= HISTORY)
  assert.ok(Math.abs((await state('adam')) - 2 * V * H * 4) <= HISTORY)
  assert.ok((await state('rowwise_adagrad')) <= V * 4 + HISTORY)
  for (const rule of ['sgd', 'rowwise_adagrad'] as const) {
    const optimizer = makeOptimizer(gpu, rule, table)
    setRows(gpu, table, Uint32Array.of(3), seeded(H, 1))
    optimizer.step()
    optimizer.zeroGrad()
    await gpu.compiled()
    const { launches } = gpu.counts
    optimizer.synchronize()
    await gpu.done()
    assert.is(gpu.counts.launches, launches, `${rule} has nothing to catch up with`)
    optimizer.dispose()
  }
})

test('groups have settings of their own: one without momentum beside one with it', async () => {
  const values = seeded(12, 3)
  const [plain, heavy] = [denseParameter(gpu, values, [12]), denseParameter(gpu, values, [12])]
  const optimizer = new SGD(
    gpu,
    [
      { params: [plain], momentum: 0 },
      { params: [heavy], lr: 0.5 },
    ],
    {
      lr: 0.1,
      momentum: 0.5,
    },
  )
  for (let step = 0; step < 2; step++) {
    for (const parameter of [plain, heavy])
      gpu.upload(parameter.gradTarget().view, new Float32Array(12).fill(1))
    optimizer.step()
    optimizer.zeroGrad()
  }
  expectClose(
    await readParameter(plain),
    values.map(w => w - 0.2),
    1e-6,
  )
  expectClose(
    await readParameter(heavy),
    values.map(w => w - 0.5 * (1 + 1.5)),
    1e-6,
  )
  optimizer.dispose()
})

test('options that a rule does not have, and values that cannot be right, are refused by name', () => {
  const params = [denseParameter(gpu, seeded(3, 1), [3])]
  const refused: [new (...given: never[]) => unknown, Record<string, unknown>, RegExp][] = [
    [AdamW, { amsgrad: true }, /AdamW has no option 'amsgrad'; its options are lr, betas, eps, weightDecay/],
    [Adam, { maximize: true }, /Adam has no option 'maximize'/],
    [SGD, { weight_decay: 0.1 }, /SGD has no option 'weight_decay'; .*weightDecay/],
    [RowwiseAdagrad, { momentum: 0.9 }, /RowwiseAdagrad has no option 'momentum'/],
    [AdamW, { lr: -1 }, /AdamW: parameter group 0: lr is -1, expected a number of at least 0/],
    [AdamW, { lr: Number.NaN }, /lr is NaN/],
    [Adam, { betas: [0.9, 1] }, /Adam: parameter group 0: betas\[1\] is 1, expected a number in \[0, 1\)/],
    [Adam, { betas: 0.9 }, /betas\[1\] is undefined/],
    [Adam, { eps: -1e-8 }, /eps is -1e-8/],
    [AdamW, { weightDecay: Number.POSITIVE_INFINITY }, /weightDecay is Infinity/],
    [SGD, { momentum: -0.1 }, /momentum is -0.1/],
    [SGD, { lr: '0.1' }, /lr is 0.1, expected a number/],
    [SGD, { nesterov: 1 }, /nesterov is 1, expected true or false/],
    [
      SGD,
      { nesterov: true },
      /nesterov is true, expected false, or a momentum and no dampening, got 0 and 0/,
    ],
    [SGD, { nesterov: true, momentum: 0.9, dampening: 0.1 }, /got 0.9 and 0.1/],
    [SGD, { momentum: 0.9, dampening: Number.NaN }, /dampening is NaN/],
    [RowwiseAdagrad, { eps: Number.NaN }, /eps is NaN/],
  ]
  for (const [Made, options, message] of refused) {
    const make = Made as unknown as new (...given: unknown[]) => Optimizer
    assert.throws(() => new make(gpu, [{ params }], options), message)
    assert.throws(() => new make(gpu, [{ params, ...options }]), message)
  }
  const [first, second] = [denseParameter(gpu, seeded(3, 1), [3]), denseParameter(gpu, seeded(3, 1), [3])]
  assert.throws(
    () => new SGD(gpu, [{ params: [first] }, { params: [second], lr: -2 }]),
    /parameter group 1: lr is -2/,
  )
})

test('a setting changed between steps is checked; one that memory or replay rests on cannot change', () => {
  const table = tableParameter(gpu, seeded(8, 1), [2, 4])
  const optimizer = new SGD(gpu, [{ params: [table] }])
  const [group] = optimizer.groups
  const before = optimizer.stepCount
  group!.lr = Number.NaN
  assert.throws(() => optimizer.step(), /SGD: parameter group 0: lr is NaN/)
  Object.assign(group!, { lr: 0.1, momentum: 0.9 })
  assert.throws(() => optimizer.step(), /SGD: a setting was changed to or from 0/)
  Object.assign(group!, { momentum: 0, weightDecay: 0.1 })
  assert.throws(() => optimizer.step(), /make a new optimizer/)
  assert.is(optimizer.stepCount, before)
  Object.assign(group!, { weightDecay: 0 })
  optimizer.step()
  assert.is(optimizer.stepCount, before + 1)
  optimizer.dispose()
})

test('dampening is refused where a parameter has no gradient in the first step', () => {
  const [used, unused] = [denseParameter(gpu, seeded(3, 1), [3]), denseParameter(gpu, seeded(5, 1), [5])]
  const optimizer = new SGD(gpu, [{ params: [used, unused] }], { momentum: 0.9, dampening: 0.5 })
  const scaler = new GradScaler(gpu)
  gpu.upload(used.gradTarget().view, seeded(3, 2))
  const refusal =
    /SGD: dampening does not count in a parameter's first step, .*shape \[5\] in parameter group 0 has no gradient/
  assert.throws(() => optimizer.step(), refusal)
  gpu.upload(unused.gradTarget().view, seeded(5, 2))
  optimizer.step()
  optimizer.zeroGrad()
  gpu.upload(used.gradTarget().view, seeded(3, 3))
  optimizer.step()
  // With a scaler, only the device knows which step was the first that was taken.
  assert.throws(() => optimizer.step({ scaler }), refusal)
  for (const each of [optimizer, scaler]) each.dispose()
})

test.after(() => gpu.close())
test.run()
