// How much a device is given at once: rows that sat out many steps catch up in slices, and long work is submitted in parts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter, scope } from '../../src/autograd/index.ts'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'
import { SUBMIT_WORK } from '../../src/gpu/work.ts'
import { UPDATE_WORK } from '../../src/kernels/optimizer.ts'
import { AdamW } from '../../src/optim/index.ts'
import { slicesOf } from '../../src/optim/table-state.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { makeOptimizer, setRows, setScattered } from '../support/optimizers.ts'
import { denseParameter, tableParameter } from '../support/parameters.ts'
import { smallBatch, smallModel } from '../support/small-model.ts'

const gpu = await openTestGpu()
const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)

/** Slices that follow each other, hold every entry once, and pass the bound only where one entry does. */
function checkSlices(pairs: Uint32Array, first: number, n: number, until: number, most: number): number {
  const slices = slicesOf(pairs, { first, n, until, most })
  let next = first
  for (const [i, slice] of slices.entries()) {
    assert.is(slice.firstEntry, next)
    next += slice.n
    let steps = 0
    for (let entry = slice.firstEntry; entry < next; entry++) steps += until - pairs[2 * entry + 1]!
    assert.is(slice.steps, steps)
    assert.ok(slice.n === 1 || steps <= most, `${steps} steps of ${slice.n} rows`)
    const following = slices[i + 1] && until - pairs[2 * next + 1]!
    if (following !== undefined) assert.ok(steps + following > most, 'a slice has room for the next entry')
  }
  assert.is(next, first + n)
  return slices.length
}

test('a table of 147,799 rows of 768 that sat out 4,096 steps catches up in launches of at most 2e9 values times steps', () => {
  const [n, width, until] = [147_799, 768, 4096]
  const most = SUBMIT_WORK / UPDATE_WORK / width
  assert.is(most * width, 2e9)
  const count = checkSlices(new Uint32Array(2 * n), 0, n, until, most)
  assert.is(count, Math.ceil(n / Math.floor(most / until)))
})

test('slices hold rows of any age, from any entry on', () => {
  const pairs = Uint32Array.from(seededInts(2 * 500, 3, 90))
  for (const [first, n, until, most] of [
    [0, 500, 90, 300],
    [7, 400, 100, 1],
    [499, 1, 4096, 17],
    [3, 497, 90, 1e9],
  ] as const)
    checkSlices(pairs, first, n, until, most)
})

/** What an optimizer with a table of which most rows idle ends with, and what bringing them up to date took. */
async function idle(device: Gpu, rule: 'adamw_torch' | 'sgd', V: number, H: number, steps: number) {
  const table = tableParameter(device, seeded(V * H, 1), [V, H])
  const optimizer = makeOptimizer(device, rule, table, rule === 'sgd' ? { lr: 0.01, momentum: 0.9 } : {})
  const dense = denseParameter(device, seeded(V * H, 1), [V, H])
  const twin = makeOptimizer(device, rule, dense, rule === 'sgd' ? { lr: 0.01, momentum: 0.9 } : {})
  for (let step = 0; step < steps; step++) {
    const rows = Uint32Array.from(step ? [step % 5] : Array.from({ length: V }, (_, row) => row))
    const values = seeded(rows.length * H, 100 + step)
    setRows(device, table, rows, values)
    setScattered(device, dense, rows, values)
    for (const one of [optimizer, twin]) {
      one.step()
      one.zeroGrad()
    }
  }
  await device.done()
  const { launches, submits } = device.counts
  optimizer.synchronize()
  device.flush()
  const took = { launches: device.counts.launches - launches, submits: device.counts.submits - submits }
  const values = [await readParameter(table), await readParameter(dense)] as const
  for (const one of [optimizer, twin]) one.dispose()
  return { took, values }
}

for (const rule of ['adamw_torch', 'sgd'] as const) {
  test(`${rule}: rows catch up in slices, each submitted by itself, to the same bits as dense`, async () => {
    const [V, H, steps] = [41, 12, 30]
    // Rows 5 to 40 sat out 29 steps; of the others, row r the steps since its last.
    const ages = [4, 3, 2, 1, 0].map((_, r) => steps - 1 - lastOf(r, steps))
    const behind = [...ages.filter(age => age > 0), ...Array<number>(V - 5).fill(steps - 1)]
    const most = 100
    const small = await openGpu({ poison: true, workLimit: most * H * UPDATE_WORK })
    const whole = await idle(gpu, rule, V, H, steps)
    const cut = await idle(small, rule, V, H, steps)
    small.close()
    let [slices, steps_] = [1, 0]
    for (const age of behind) {
      if (steps_ && steps_ + age > most) {
        slices++
        steps_ = 0
      }
      steps_ += age
    }
    assert.equal(whole.took, { launches: 1, submits: 1 })
    assert.ok(slices > 10)
    assert.equal(cut.took, { launches: slices, submits: slices })
    for (const values of [...whole.values, ...cut.values]) assert.equal(bits(values), bits(whole.values[1]))
  })
}

/** The last step, from 0, at which row r of five in turn had a gradient; the first step had all. */
function lastOf(r: number, steps: number): number {
  for (let step = steps - 1; step > 0; step--) if (step % 5 === r) return step
  return 0
}

test('a step of four micro-batches is one submit, and more where the device takes less at once; the weights are the same', async () => {
  async function train(device: Gpu) {
    const { model } = smallModel(device)
    const optimizer = new AdamW(device, [{ params: model.parameters() }])
    const step = () => {
      for (let micro = 0; micro < 4; micro++)
        scope(() => model.forward(smallBatch(6, 9, micro)).loss!.backward())
      optimizer.step({ maxGradNorm: 1 })
      optimizer.zeroGrad()
    }
    step()
    await device.done()
    step() // another set of buffers
    await device.done()
    const { launches, submits } = device.counts
    step()
    const took = { launches: device.counts.launches - launches, submits: device.counts.submits - submits }
    await device.done()
    const values = []
    for (const parameter of model.parameters()) values.push(bits(await readParameter(parameter)))
    return { took, values }
  }
  const small = await openGpu({ poison: true, workLimit: 2e5 })
  const [whole, cut] = [await train(gpu), await train(small)]
  small.close()
  assert.is(whole.took.submits, 1)
  assert.ok(cut.took.submits > 4, `${cut.took.submits} submits`)
  assert.is(cut.took.launches, whole.took.launches)
  assert.equal(cut.values, whole.values)
})

test.after(() => gpu.close())
test.run()
