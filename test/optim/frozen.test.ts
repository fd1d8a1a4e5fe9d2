// Freezing under a running optimizer, dense parameters and tables alike.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  allocateDense,
  DenseParameter,
  packParameters,
  readParameter,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'
import { denseParameter, tableParameter } from '../support/parameters.ts'

const gpu = await openTestGpu()
const zero = { kind: 'constant', value: 0 } as const
const bits = (values: Float32Array) => new Uint32Array(values.buffer)

test('a table and a dense parameter frozen for some steps agree to the bit, and stand still meanwhile', async () => {
  const [V, H] = [11, 5]
  const start = seeded(V * H, 1)
  const [table, dense] = [tableParameter(gpu, start, [V, H]), denseParameter(gpu, start, [V, H])]
  // Another parameter keeps the steps going.
  const other = denseParameter(gpu, seeded(3, 2), [3])
  const options = { lr: 0.05, weightDecay: 0.3 }
  const optimizer = new AdamW(gpu, [{ params: [table, dense, other] }], options)
  let frozenAt: Float32Array | undefined
  for (let step = 0; step < 30; step++) {
    const frozen = step >= 10 && step < 20
    table.requiresGrad = dense.requiresGrad = !frozen
    gpu.upload(other.gradTarget().view, seeded(3, step))
    if (!frozen) {
      const rows = Uint32Array.from([step % 4, 5 + (step % 3)])
      const values = seeded(2 * H, 100 + step)
      const scattered = new Float32Array(V * H)
      for (const [i, row] of rows.entries()) scattered.set(values.subarray(i * H, (i + 1) * H), row * H)
      table.beforeRead!(rows)
      table.grads.push({ rows, values: tensor(gpu, values, [2, H]) })
      gpu.upload(dense.gradTarget().view, scattered)
    }
    optimizer.step()
    optimizer.zeroGrad()
    if (step === 9 || step === 19) {
      const [a, b] = [await readParameter(table), await readParameter(dense)]
      assert.equal(bits(a), bits(b), `weights after step ${step + 1}`)
      if (frozenAt) assert.equal(a, frozenAt)
      frozenAt = a
    }
  }
  const [a, b] = [await readParameter(table), await readParameter(dense)]
  assert.equal(bits(a), bits(b))
  assert.not.equal(a, frozenAt)
  const [m, n] = [await optimizer.readState(table), await optimizer.readState(dense)]
  assert.equal(bits(m.expAvg), bits(n.expAvg))
  assert.equal(bits(m.expAvgSq), bits(n.expAvgSq))
  optimizer.dispose()
})

test('trained and frozen blocks of one arena: each trained one moves as it would alone', async () => {
  // 100,000 elements are a gap worth a stretch of its own, 70 are not.
  const sizes = [33, 100_000, 65, 70, 1, 100_000, 129]
  const frozen = [1, 3, 5]
  const make = (which: number[]) => {
    const parameters = which.map(i => new DenseParameter([sizes[i]!], zero))
    allocateDense(gpu, parameters)
    for (const [j, i] of which.entries()) writeParameter(parameters[j]!, seeded(sizes[i]!, 10 + i))
    return parameters
  }
  const all = make(sizes.map((_, i) => i))
  const trained = sizes.map((_, i) => i).filter(i => !frozen.includes(i))
  const alone = make(trained)
  for (const i of frozen) all[i]!.requiresGrad = false
  const before = gpu.memory.inUse
  const optimizer = new AdamW(gpu, [{ params: all }], { lr: 0.1, weightDecay: 0.2 })
  assert.ok(gpu.memory.inUse - before < 400_000, `${gpu.memory.inUse - before} bytes of state`)
  const reference = new AdamW(gpu, [{ params: alone }], { lr: 0.1, weightDecay: 0.2 })
  for (let step = 0; step < 3; step++) {
    for (const [j, i] of trained.entries()) {
      const grad = seeded(sizes[i]!, 1000 * step + i, 5)
      for (const parameter of [all[i]!, alone[j]!]) gpu.upload(parameter.gradTarget().view, grad)
    }
    for (const each of [optimizer, reference]) {
      each.step({ maxGradNorm: 1 })
      each.zeroGrad()
    }
    // The squares are summed in another order: the norm may differ in its last bit.
    const [a, b] = [await optimizer.gradNorm(), await reference.gradNorm()]
    assert.ok(Math.abs(a / b - 1) < 1e-6, `${a} and ${b}`)
  }
  for (const [j, i] of trained.entries()) {
    const [got, wanted] = [await readParameter(all[i]!), await readParameter(alone[j]!)]
    for (const [at, value] of got.entries())
      assert.ok(
        Math.abs(value - wanted[at]!) < 1e-6,
        `parameter ${i}, element ${at}: ${value}, alone ${wanted[at]}`,
      )
    const [m, n] = [await optimizer.readState(all[i]!), await reference.readState(alone[j]!)]
    assert.is(m.expAvg.length, sizes[i])
    assert.ok(m.expAvg.every((value, at) => Math.abs(value - n.expAvg[at]!) < 1e-6))
  }
  for (const i of frozen) assert.equal(await readParameter(all[i]!), seeded(sizes[i]!, 10 + i))
  for (const each of [optimizer, reference]) each.dispose()
})

test('a pack of which only a part is frozen is refused', () => {
  const parts = [0, 1, 2].map(() => new DenseParameter([2, 3], zero))
  packParameters(parts)
  allocateDense(gpu, parts)
  const optimizer = new AdamW(gpu, [{ params: parts }])
  parts[1]!.requiresGrad = false
  parts[0]!.root.gradTarget()
  assert.throws(() => optimizer.step(), /only some are frozen/)
  parts[0]!.root.requiresGrad = false
  assert.ok(parts.every(({ requiresGrad }) => !requiresGrad))
  optimizer.step()
  optimizer.dispose()
})

test.after(() => gpu.close())
test.run()
