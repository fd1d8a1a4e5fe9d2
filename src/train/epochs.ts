// The batches of a stage's epochs: of rows in memory in an order, or of a stream in its own.
import { createLoader } from '../data/index.ts'
import type { Part } from '../data/lists.ts'
import { cutsOf, rowsBetween, windowsOf } from '../data/stream-plan.ts'
import type { AnyBatch, Inputs } from '../inputs.ts'
import type { Model } from '../models/index.ts'
import { epochOrder } from './batches.ts'
import type { StageRows } from './stage-data.ts'
import { batchesOf, batchSizeOf, type Stage } from './stages.ts'

/** A stage's batches. */
export interface Epochs {
  /** From one of an epoch on, which is counted through all stages. */
  from(epoch: number, microBatch: number): AsyncGenerator<AnyBatch, undefined>
  close(): Promise<void>
}

/** Opens the batches of a stage, of what `inputs` read. */
export async function openEpochs(
  { train, stream, units }: StageRows,
  { config, ranks }: Stage,
  inputs: Inputs,
  model: Model,
  cut?: { part: Part },
): Promise<Epochs> {
  const { truncate, seed, shuffle } = config
  if (stream) {
    const onWindow = model.checkTraining?.bind(model, 'Trainer: train')
    const { batchSize } = batchSizeOf(config)
    const how = { batchSize, truncate, seed, shuffle, ...cut, ...(onWindow ? { onWindow } : {}) }
    // Loaded on use: rows in memory need no decoders.
    const { createStreamLoader } = await import('../data/stream-loader.ts')
    const loader = createStreamLoader(stream, inputs, how)
    return {
      from: (epoch, first) => loader.batches({ epoch, first }) as AsyncGenerator<AnyBatch, undefined>,
      close: loader.close,
    }
  }
  const loader = createLoader(train, inputs, { ...batchSizeOf(config, ranks), ...cut, truncate, seed })
  return {
    from: (epoch, first) =>
      loader.batches(epochOrder(units.count, config, epoch), { first, epoch }) as AsyncGenerator<
        AnyBatch,
        undefined
      >,
    close: loader.close,
  }
}

/** Numbers of the rows, through all files, of an epoch's micro-batches from one to before another. */
export function trainedRows(
  { stream, units }: StageRows,
  { config, ranks }: Stage,
  epoch: number,
  [first, end]: readonly [number, number],
): Uint32Array {
  if (!stream) return batchesOf(units, config, epoch, [first, end], ranks)
  const { shuffle, seed } = config
  const all = Array.from({ length: ranks }, (_, rank) => {
    const part = { rank, size: ranks }
    const { startOf } = cutsOf(stream.length, batchSizeOf(config).batchSize, part)
    const how = { shuffle, seed, windowBytes: stream.windowBytes, part }
    return [...rowsBetween(windowsOf(stream.groups, epoch, how), epoch, how, [startOf(first), startOf(end)])]
  })
  return Uint32Array.from(all.flat())
}
