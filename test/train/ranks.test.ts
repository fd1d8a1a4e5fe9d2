// Several ranks train as one process does that has the whole batch.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TrainerConfig } from '../../src/config/index.ts'
import { runLocal } from '../../src/ranks/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { bitsOf, makeRun } from '../support/small-run.ts'

const gpu = await openTestGpu()

/** Losses of every step, and what is left, of a run on some ranks. */
async function losses(size: number, settings: TrainerConfig) {
  const ends = await runLocal(size, async ranks => {
    const trace =
      (n: string) =>
      (...a: unknown[]) =>
        void (process.env.TR && console.log(ranks.rank, n, ...a))
    for (const n of ['sum', 'gather', 'barrier'] as const) {
      const f = (ranks as any)[n].bind(ranks)
      ;(ranks as any)[n] = async (x: any) => {
        trace(n)('in', x?.length)
        const r = await f(x)
        trace(n)('out')
        return r
      }
    }
    const { trainer, model } = await makeRun(gpu, { ...settings, ...STEPWISE }, size > 1 ? { ranks } : {})
    try {
      const { log_history } = await trainer.train()
      const bits = await bitsOf(model)
      const steps = log_history.flatMap(entry => entry.loss ?? [])
      return { bits, steps, norms: log_history.flatMap(entry => entry.grad_norm ?? []), log_history }
    } finally {
      model.free()
    }
  })
  for (const end of ends) {
    assert.equal(end.bits, ends[0]!.bits)
    assert.equal(end.log_history, ends[0]!.log_history)
  }
  return ends[0]!
}
const STEPWISE = { logging_steps: 1 }

const far = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))

test('x', async () => {
  const settings = { per_device_train_batch_size: 8 }
  const one = await losses(1, settings)
  console.log('one done')
  const two = await losses(2, { per_device_train_batch_size: 4 })
  console.log(one.steps, two.steps, far(one.steps, two.steps))
  console.log(one.log_history.slice(-3), two.log_history.slice(-3))
})

test.run()
