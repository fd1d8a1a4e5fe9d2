import { noGrad, scope, softmax } from '../autograd/index.ts'
import { type Chunk, type Columns, collate, type ParquetFile, rebatch, streamChunks } from '../data/index.ts'
import { InFlight } from '../gpu/index.ts'
import { type ClickModel, collateOptions, readOptions } from './model.ts'

const BATCH_SIZE = 256

/** How to cut the rows into batches. */
export interface PredictOptions {
  /** Rows a batch, default 256. */
  batchSize?: number
  /** Cut a text with more tokens than the encoder has positions, where it would be an error. */
  truncate?: boolean
  /** Hears how many rows are done. */
  onBatch?: (rowsDone: number) => void
}

/** Class probabilities of every row, [rows, C] row-major. No more than a few batches are on the device at once. */
export async function predict(
  model: ClickModel,
  columns: Columns,
  { batchSize = BATCH_SIZE, truncate = false, onBatch }: PredictOptions = {},
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

/** Rows of a file and what the model says of them. */
export interface Scored {
  rows: Chunk
  /** [rows, C], row-major. */
  probabilities: Float32Array<ArrayBuffer>
}

/**
 * Class probabilities of every row of a file, row group by row group, so that its size does not matter. Batches are the same rows
 * as in {@link predict} over the whole file, whatever the row groups are: so are the results, to the bit.
 * @param options.requireLabels Whether a file without labels is an error (default) or has none.
 * @param options.extra Further columns to hand through.
 * @param options.onBatch Gets the rows of the file that are done.
 * @throws DataError naming file, column, row and value of a bad one.
 */
export async function* predictStream(
  model: ClickModel,
  file: ParquetFile,
  options: PredictOptions & { requireLabels?: boolean; extra?: string[] } = {},
): AsyncGenerator<Scored> {
  const { batchSize = BATCH_SIZE, requireLabels, extra, onBatch } = options
  const chunks = streamChunks(file, {
    ...readOptions(model.config, { requireLabels, tokenizer: model.tokenizer }),
    extra,
  })
  for await (const rows of rebatch(chunks, batchSize)) {
    const { rowStart } = rows
    const probabilities = await predict(model, rows, {
      ...options,
      batchSize,
      onBatch: onBatch && (done => onBatch(rowStart + done)),
    })
    yield { rows, probabilities }
  }
}

/** The probability of class 1, of probabilities [rows, 2]. */
export function clickProbability(probabilities: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: probabilities.length / 2 }, (_, i) => probabilities[2 * i + 1]!)
}
