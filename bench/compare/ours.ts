// This library's side of a comparison.

import { scope } from '../../src/autograd/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { TextTabularModel } from '../../src/models/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { parameterGroups } from '../../src/train/index.ts'
import { setHashedWeights } from '../parity/full-case.ts'
import type { Answer } from './peer.ts'
import type { TrainWork } from './work.ts'

/** Something that runs in turns. */
export interface Job {
  run(count: number): Promise<Answer>
  dispose(): void
}

/** Trains on the work's batches, one a step; the losses are read when a turn's steps are recorded. */
export function train(gpu: Gpu, model: TextTabularModel, work: TrainWork): Job {
  model.to(gpu, { seed: 1 })
  setHashedWeights(model, work.scale)
  const [encoder_learning_rate, learning_rate] = work.lr
  const groups = parameterGroups(model, { encoder_learning_rate, learning_rate })
  const optimizer = new AdamW(gpu, groups, {
    weightDecay: work.weightDecay,
    ...(work.eps !== undefined && { eps: work.eps }),
  })
  const batches = work.batches.map(batch => collatePadded(batch, { padTokenId: work.pad }))
  const losses = gpu.acquire(4 * batches.length, 'losses')
  let next = 0
  return {
    async run(count) {
      const started = performance.now()
      const first = next
      for (; next < first + count; next++) {
        scope(() => {
          const { loss } = model.forward(batches[next]!)
          loss!.backward()
          gpu.copy(loss!.view, { ...losses, offset: 4 * next }, 4)
        })
        optimizer.step({ maxGradNorm: work.clip })
        optimizer.zeroGrad()
      }
      const read = await gpu.readFloats({ ...losses, offset: 4 * first, size: 4 * count })
      return { losses: [...read], ms: performance.now() - started }
    },
    dispose() {
      gpu.release(losses)
      optimizer.dispose()
      model.free()
    },
  }
}
