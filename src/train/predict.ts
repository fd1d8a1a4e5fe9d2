import { noGrad, scope, softmax } from '../autograd/index.ts'
import { type Columns, collate } from '../data/index.ts'
import { InFlight } from '../gpu/index.ts'
import { type ClickModel, collateOptions } from './model.ts'

export interface PredictOptions {
  /** Rows a batch. */
  batchSize?: number
  truncate?: boolean
  onBatch?: (rowsDone: number) => void
}

/** Class probabilities of every row, [rows, C] row-major. No more than a few batches are on the device at once. */
export async function predict(
  model: ClickModel,
  columns: Columns,
  { batchSize = 256, truncate = false, onBatch }: PredictOptions = {},
): Promise<Float32Array<ArrayBuffer>> {
  const { gpu } = model
  const options = collateOptions(model, { truncate })
  const C = model.config.num_labels
  const probabilities = new Float32Array(columns.length * C)
  const inFlight = new InFlight()
  const wasTraining = model.training
  model.eval()
  try {
    for (let start = 0; start < columns.length; start += batchSize) {
      const size = Math.min(batchSize, columns.length - start)
      const batch = collate(
        columns,
        Uint32Array.from({ length: size }, (_, i) => start + i),
        options,
      )
      const read = scope(() => {
        const { logits } = noGrad(() => model.forward({ ...batch, labels: undefined }))
        return noGrad(() => softmax(logits)).read()
      })
      await inFlight.push(
        gpu,
        read.then(values => {
          probabilities.set(values, start * C)
          onBatch?.(start + size)
        }),
      )
    }
    await inFlight.drain()
  } finally {
    model.train(wasTraining)
  }
  return probabilities
}

/** The probability of class 1, of probabilities [rows, 2]. */
export function clickProbability(probabilities: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: probabilities.length / 2 }, (_, i) => probabilities[2 * i + 1]!)
}
