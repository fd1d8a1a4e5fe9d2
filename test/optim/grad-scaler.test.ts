import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  allocateDense,
  backward,
  DenseParameter,
  halfView,
  linear,
  readParameter,
  scope,
  sum,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import { cast } from '../../src/kernels/cast.ts'
import { AdamW, GradScaler } from '../../src/optim/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { generator, openTestGpu, seeded } from '../support/gpu.ts'
import { denseParameter, tableParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()
const zero = { kind: 'constant', value: 0 } as const
const settings = { growthFactor: 2, backoffFactor: 0.5, growthInterval: 5 }
const bits = (values: Float32Array) => new Uint32Array(values.slice().buffer)

test('through overflows a table equals the dense parameter to the bit, and both the oracle', async () => {
  const [V, H] = [23, 5]
  const start = seeded(V * H, 1)
  const table = tableParameter(gpu, start, [V, H])
  const dense = denseParameter(gpu, start, [V, H])
  const options = { lr: 1e-2, weightDecay: 0.1 }
  const optimizers = [
    new AdamW(gpu, [{ params: [table] }], options),
    new AdamW(gpu, [{ params: [dense] }], options),
  ]
  const scalers = optimizers.map(() => new GradScaler(gpu, { ...settings, initScale: 1024 }))
  let state: reference.ScalerState = { scale: 1024, growthTracker: 0, taken: 0, skipped: 0 }
  let oracle: reference.AdamWState = {
    w: Float64Array.from(start),
    m: new Float64Array(V * H),
    v: new Float64Array(V * H),
  }
  const next = generator(3)
  for (let step = 0; step < 40; step++) {
    // Every row has gradients of its own now and then; some steps have an infinity or a NaN in one place.
    const rows = Uint32Array.from(Array.from({ length: V }, (_, r) => r).filter(() => next() < 0.4))
    const broken = [3, 4, 17, 30].includes(step) && rows.length > 0
    const values = seeded(rows.length * H, 100 + step, 2)
    const scaled = values.map(v => v * state.scale)
    if (broken) scaled[Math.floor(next() * scaled.length)] = step % 2 ? Number.POSITIVE_INFINITY : Number.NaN
    const scattered = new Float32Array(V * H)
    const unscaled = new Float64Array(V * H)
    for (const [i, row] of rows.entries()) {
      scattered.set(scaled.subarray(i * H, (i + 1) * H), row * H)
      unscaled.set(values.subarray(i * H, (i + 1) * H), row * H)
    }
    table.beforeRead!(rows)
    table.grads.push({ rows, values: tensor(gpu, scaled, [rows.length, H]) })
    gpu.upload(dense.gradTarget().view, scattered)
    const before = broken ? await readParameter(dense) : undefined
    for (const [i, optimizer] of optimizers.entries()) {
      optimizer.groups[0]!.lr = 1e-2 * (1 - step / 80)
      // Without clipping: the norm adds up a table's rows and a dense gradient in different orders.
      optimizer.step({ scaler: scalers[i]! })
      optimizer.zeroGrad()
    }
    state = reference.scalerStep({ state, overflow: broken, ...settings })
    if (before) assert.equal(bits(await readParameter(dense)), bits(before), `step ${step} changes nothing`)
    else {
      const norm = Math.sqrt(reference.sumOfSquares([unscaled]))
      oracle = reference.adamwStep({
        ...oracle,
        g: unscaled,
        lr: 1e-2 * (1 - step / 80),
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weightDecay: 0.1,
        step: state.taken,
      })
      const measured = await optimizers[1]!.gradNorm()
      assert.ok(Math.abs(measured - norm) <= 1e-5 * norm, `the norm ${measured} is unscaled: ${norm}`)
    }
    for (const scaler of scalers) assert.equal(await scaler.read(), state)
  }
  assert.ok(state.skipped >= 3 && state.scale !== 1024)
  const [a, b] = [await readParameter(table), await readParameter(dense)]
  assert.equal(bits(a), bits(b), 'weights, bit for bit')
  expectClose(b, oracle.w, 1e-5)
  const [c, d] = [await optimizers[0]!.readState(table), await optimizers[1]!.readState(dense)]
  assert.equal(bits(c.expAvg), bits(d.expAvg))
  assert.equal(bits(c.expAvgSq), bits(d.expAvgSq))
  expectClose(d.expAvg, oracle.m, 1e-5)
  expectClose(d.expAvgSq, oracle.v, 1e-5)
})

test('a scaled loss and an unscaled one train to nearly the same weights', async () => {
  const x = seeded(6 * 8, 2)
  const start = seeded(3 * 8, 4)
  const [plain, scaled] = [denseParameter(gpu, start, [3, 8]), denseParameter(gpu, start, [3, 8])]
  const [a, b] = [new AdamW(gpu, [{ params: [plain] }]), new AdamW(gpu, [{ params: [scaled] }])]
  const scaler = new GradScaler(gpu)
  for (let step = 0; step < 5; step++) {
    scope(() => backward(sum(linear(tensor(gpu, x, [6, 8]), plain)), { scale: 0.5 }))
    scope(() => {
      const loss = sum(linear(tensor(gpu, x, [6, 8]), scaled))
      scaler.scale(loss).backward({ scale: 0.5 })
      assert.not(loss.disposed, 'the loss can still be read')
    })
    a.step({ maxGradNorm: 1 })
    b.step({ maxGradNorm: 1, scaler })
    for (const optimizer of [a, b]) optimizer.zeroGrad()
  }
  expectClose(await readParameter(scaled), await readParameter(plain), 1e-6)
  assert.equal(await scaler.read(), { scale: 65536, growthTracker: 5, taken: 5, skipped: 0 })
})

test('a scaler goes on from what was read', async () => {
  const [scaler, other] = [new GradScaler(gpu), new GradScaler(gpu)]
  const state = { scale: 4096, growthTracker: 7, taken: 12, skipped: 3 }
  scaler.load(state)
  other.load(await scaler.read())
  assert.equal(await other.read(), state)
})

test('factors that do not grow or back off are refused', () => {
  assert.throws(() => new GradScaler(gpu, { growthFactor: 1 }), /growthFactor > 1.*got 1 and 0.5/)
  assert.throws(() => new GradScaler(gpu, { backoffFactor: 2 }), /got 2 and 2/)
})

test('f16 copies of parameters follow the optimizer and what is written', async () => {
  const values = seeded(5 * 12, 6)
  const parameters = [new DenseParameter([7], zero), new DenseParameter([5, 12], zero)]
  const [, weight] = parameters as [DenseParameter, DenseParameter]
  allocateDense(gpu, parameters)
  for (const parameter of parameters) writeParameter(parameter, seeded(parameter.size, 1))
  const half = async () => {
    const out = gpu.acquire(60 * 4)
    cast(gpu, { x: halfView(weight), y: out, n: 60, to: 'f32' })
    return gpu.readFloats({ ...out, size: 60 * 4 })
  }
  const rounded = async () => Float32Array.from(reference.roundF16(await readParameter(weight)))
  assert.equal(await half(), await rounded())
  writeParameter(weight, values)
  assert.equal(await half(), Float32Array.from(reference.roundF16(values)))
  const optimizer = new AdamW(gpu, [{ params: parameters }], { lr: 0.1 })
  gpu.upload(weight.gradTarget().view, seeded(60, 9))
  optimizer.step()
  assert.equal(await half(), await rounded())
  assert.not.equal(await half(), Float32Array.from(reference.roundF16(values)))
})

test.after(() => gpu.close())
test.run()
