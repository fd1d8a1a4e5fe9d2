// A small training that goes on and on, on batches of varying lengths, with evaluations and saves between the steps; and what it holds.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { scope } from '../../src/autograd/index.ts'
import { collate } from '../../src/data/index.ts'
import { type Gpu, InFlight } from '../../src/gpu/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { generator } from '../../src/testing/index.ts'
import { parameterGroups, predict, saveModel } from '../../src/train/index.ts'
import { folder, makeRun } from './small-run.ts'

/** What must be the same at the end of every cycle once all batches have been seen. */
export interface Held {
  buffers: number
  inUse: number
  allocated: number
  created: number
  kernels: number
  bindGroups: number
  files: number
}

/** Batches repeat after so many steps; an evaluation and a save end each cycle. */
export const CYCLE = 25

/** Trains, and tells after each cycle what is held. */
export async function* train(gpu: Gpu, steps: number): AsyncGenerator<{ step: number; held: Held }> {
  const { model, train } = await makeRun(gpu)
  const optimizer = new AdamW(
    gpu,
    parameterGroups(model, { learning_rate: 1e-3, encoder_learning_rate: 1e-4 }),
  )
  const random = generator(3)
  const batches = Array.from({ length: CYCLE }, () => {
    const size = 1 + Math.floor(random() * 20)
    const rows = Uint32Array.from({ length: size }, () => Math.floor(random() * train.length))
    return collate(train, rows, model.inputs)
  })
  const inFlight = new InFlight()
  for (let step = 1; step <= steps; step++) {
    scope(() => model.loss(batches[step % CYCLE]!).backward())
    optimizer.step({ maxGradNorm: 1 })
    optimizer.zeroGrad()
    await inFlight.push(gpu)
    if (step % CYCLE) continue
    await inFlight.drain()
    optimizer.synchronize()
    await predict(model, train, { batchSize: 64 })
    await saveModel(model, join(folder, 'endurance'))
    await gpu.done()
    const { buffers, inUse, allocated, created } = gpu.memory
    const { kernels, bindGroups } = gpu.caches
    const files = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
    yield { step, held: { buffers, inUse, allocated, created, kernels, bindGroups, files } }
    model.train()
  }
  optimizer.dispose()
  model.free()
}
