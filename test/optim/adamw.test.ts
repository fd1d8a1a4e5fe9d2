import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  allocateDense,
  DenseParameter,
  readParameter,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { generator, openTestGpu, seeded } from '../support/gpu.ts'
import { denseParameter, shardedGpu, tableParameter } from '../support/parameters.ts'
import { readSafetensors } from '../support/read-safetensors.ts'

const gpu = await openTestGpu()
const zero = { kind: 'constant', value: 0 } as const

function setGrad(parameter: DenseParameter, values: Float32Array): void {
  gpu.upload(parameter.gradTarget().view, values)
}

const {
  betas,
  eps,
  weight_decay: weightDecay,
  steps,
} = JSON.parse(readFileSync('test/golden/adamw/case.json', 'utf8'))
const golden = readSafetensors('test/golden/adamw/adamw.safetensors')
const floats = (name: string) => Float32Array.from(golden.get(name)!.data as ArrayLike<number>)
const [, touched] = golden.get('ids')!.shape as [number, number]
const [rows, width] = golden.get('w0')!.shape as [number, number]
const ids = Array.from(golden.get('ids')!.data as ArrayLike<number>)
const rates = Array.from(golden.get('lr')!.data as ArrayLike<number>)

/** Row ids and gradients of one step, sorted by id. */
function goldenStep(step: number): { rows: Uint32Array; values: Float32Array } {
  const order = Array.from({ length: touched }, (_, i) => i).sort(
    (a, b) => ids[step * touched + a]! - ids[step * touched + b]!,
  )
  const grads = floats('grads')
  const values = new Float32Array(touched * width)
  for (const [to, from] of order.entries()) {
    const start = (step * touched + from) * width
    values.set(grads.subarray(start, start + width), to * width)
  }
  return { rows: Uint32Array.from(order, i => ids[step * touched + i]!), values }
}

test('300 steps agree with torch.optim.AdamW in float64, sparse and dense alike, and with each other to the bit', async () => {
  const table = tableParameter(gpu, floats('w0'), [rows, width])
  const dense = denseParameter(gpu, floats('w0'), [rows, width])
  const options = { betas, eps, weightDecay, lr: 1 }
  const [sparseOptimizer, denseOptimizer] = [
    new AdamW(gpu, [{ params: [table] }], options),
    new AdamW(gpu, [{ params: [dense] }], options),
  ]
  for (let step = 0; step < steps; step++) {
    const grad = goldenStep(step)
    for (const optimizer of [sparseOptimizer, denseOptimizer]) optimizer.groups[0]!.lr = rates[step]!
    table.beforeRead!(grad.rows)
    table.grads.push({ rows: grad.rows, values: tensor(gpu, grad.values, [touched, width]) })
    const scattered = new Float32Array(rows * width)
    for (const [i, row] of grad.rows.entries())
      scattered.set(grad.values.subarray(i * width, (i + 1) * width), row * width)
    setGrad(dense, scattered)
    for (const optimizer of [sparseOptimizer, denseOptimizer]) {
      optimizer.step()
      optimizer.zeroGrad()
    }
    if ([1, 10, 100, steps].includes(step + 1)) {
      const [a, b] = [await readParameter(table), await readParameter(dense)]
      assert.equal(
        new Uint32Array(a.buffer),
        new Uint32Array(b.buffer),
        `weights after step ${step + 1}, bit for bit`,
      )
      expectClose(a, floats(`w${step + 1}_float64`), 1e-5, { label: `weights after step ${step + 1}` })
    }
  }
  const [a, b] = [await sparseOptimizer.readState(table), await denseOptimizer.readState(dense)]
  assert.equal(new Uint32Array(a.expAvg.buffer), new Uint32Array(b.expAvg.buffer), 'exp_avg, bit for bit')
  assert.equal(
    new Uint32Array(a.expAvgSq.buffer),
    new Uint32Array(b.expAvgSq.buffer),
    'exp_avg_sq, bit for bit',
  )
  expectClose(a.expAvg, floats('m_float64'), 1e-5)
  expectClose(a.expAvgSq, floats('v_float64'), 1e-5)
})

test('rows that sit out 1 to 250 steps catch up to the bit, over shards, odd widths, clipping and micro-batches', async () => {
  const [V, H] = [37, 5]
  const start = seeded(V * H, 1)
  const table = tableParameter(shardedGpu(gpu, 7 * H * 4), start, [V, H])
  assert.is(table.shards.length, 6)
  const dense = denseParameter(gpu, start, [V, H])
  const [a, b] = [new AdamW(gpu, [{ params: [table] }]), new AdamW(gpu, [{ params: [dense] }])]
  const next = generator(5)
  // Row r is touched every so many steps; a few never.
  const period = Array.from({ length: V }, (_, r) =>
    r % 9 === 8 ? Number.POSITIVE_INFINITY : 1 + Math.floor(next() ** 3 * 250),
  )
  for (let step = 0; step < 300; step++) {
    const scattered = new Float32Array(V * H)
    const touchedRows = period.flatMap((p, r) => ((step + r) % p === 0 ? [r] : []))
    const uses = [touchedRows, touchedRows.filter(r => r % 2)].map((list, use) => {
      const values = seeded(list.length * H, 1000 + step * 2 + use, 3)
      for (const [i, row] of list.entries()) {
        for (let c = 0; c < H; c++)
          scattered[row * H + c] = Math.fround(scattered[row * H + c]! + values[i * H + c]!)
      }
      return { rows: Uint32Array.from(list), values }
    })
    for (const { rows: list, values } of uses) {
      table.beforeRead!(list)
      table.grads.push({ rows: list, values: tensor(gpu, values, [list.length, H]) })
    }
    setGrad(dense, scattered)
    for (const optimizer of [a, b]) {
      optimizer.groups[0]!.lr = 1e-2 * (1 - step / 400)
      optimizer.step()
      optimizer.zeroGrad()
    }
  }
  const [sparse, full] = [await readParameter(table), await readParameter(dense)]
  assert.equal(new Uint32Array(sparse.buffer), new Uint32Array(full.buffer))
})

test('groups have their own rates, frozen and unused parameters stay as they are', async () => {
  const values = seeded(70, 3)
  const parameters = Array.from({ length: 4 }, () => new DenseParameter([7, 10], zero))
  allocateDense(gpu, parameters)
  for (const parameter of parameters) writeParameter(parameter, values)
  const [fast, slow, frozen, unused] = parameters as [
    DenseParameter,
    DenseParameter,
    DenseParameter,
    DenseParameter,
  ]
  frozen.requiresGrad = false
  const optimizer = new AdamW(gpu, [
    { params: [fast, frozen, unused], lr: 0.1 },
    { params: [slow], lr: 0.001, weightDecay: 0 },
  ])
  for (const parameter of [fast, slow, frozen]) setGrad(parameter, new Float32Array(70).fill(1))
  optimizer.step()
  expectClose(
    await readParameter(fast),
    values.map(w => w * (1 - 0.1 * 0.01) - 0.1),
    1e-6,
  )
  expectClose(
    await readParameter(slow),
    values.map(w => w - 0.001),
    1e-6,
  )
  assert.equal(await readParameter(frozen), values)
  assert.equal(await readParameter(unused), values)
})

test('clipping scales gradients as torch.nn.utils.clip_grad_norm_', async () => {
  const values = seeded(33, 4)
  const grad = seeded(33, 5, 10)
  const norm = Math.hypot(...grad)
  const [clipped, scaled] = [denseParameter(gpu, values, [33]), denseParameter(gpu, values, [33])]
  const [a, b] = [
    new AdamW(gpu, [{ params: [clipped] }], { eps: 1 }),
    new AdamW(gpu, [{ params: [scaled] }], { eps: 1 }),
  ]
  setGrad(clipped, grad)
  setGrad(
    scaled,
    grad.map(g => g / (norm + 1e-6)),
  )
  a.step({ maxGradNorm: 1 })
  b.step()
  assert.ok(Math.abs((await a.gradNorm()) - norm) < norm * 1e-6)
  expectClose(await readParameter(clipped), await readParameter(scaled), 1e-6)
  assert.not.equal(await readParameter(clipped), values)
})

test('a parameter in two groups is refused', () => {
  const parameter = denseParameter(gpu, seeded(3, 1), [3])
  assert.throws(
    () => new AdamW(gpu, [{ params: [parameter] }, { params: [parameter] }]),
    /two parameter groups/,
  )
})

test.after(() => gpu.close())
test.run()
