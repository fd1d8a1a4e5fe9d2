import { noGrad, scope, softmax } from '../autograd/index.ts'
import { shown } from '../check.ts'
import { checkColumns } from '../data/check-columns.ts'
import { type Chunk, type Columns, collate, type ParquetFile, rebatch, streamChunks } from '../data/index.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { InFlight } from '../gpu/index.ts'
import { checkPredictOptions, expectModel } from './checks.ts'
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

/**
 * Class probabilities of every row, [rows, C] row-major. No more than a few batches are on the device at once. Calls may run side by side,
 * on one model too, and beside its training: each batch is computed by the weights of its moment.
 *
 * @example
 * ```ts
 * import { predict } from 'kernelgrad'
 * import { clickProbability } from 'kernelgrad/train'
 *
 * const clicks = clickProbability(await predict(model, dataset))
 * ```
 */
export async function predict(
  model: ClickModel,
  columns: Columns,
  given: PredictOptions = {},
): Promise<Float32Array<ArrayBuffer>> {
  expectModel('predict', model)
  checkColumns('predict', columns)
  checkPredictOptions('predict', given, 'requireLabels', 'extra')
  const { batchSize = BATCH_SIZE, truncate = false, onBatch } = given
  const { gpu } = model
  const options = collateOptions(model, { truncate })
  const C = model.config.num_labels
  const probabilities = new Float32Array(columns.length * C)
  const inFlight = new InFlight()
  for (let start = 0; start < columns.length; start += batchSize) {
    const size = Math.min(batchSize, columns.length - start)
    const batch = collate(
      columns,
      Uint32Array.from({ length: size }, (_, i) => start + i),
      options,
    )
    const read = inEval(model, () =>
      scope(() => noGrad(() => softmax(model.forward({ ...batch, labels: undefined }).logits)).read()),
    )
    await inFlight.push(
      gpu,
      read.then(values => {
        probabilities.set(values, start * C)
        onBatch?.(start + size)
      }),
    )
  }
  await inFlight.drain()
  return probabilities
}

/**
 * Runs `body`, which records work and waits for nothing, with the model in evaluation mode, and leaves every module as it was: between
 * two batches, others may train the model or predict with it.
 */
function inEval<T>(model: ClickModel, body: () => T): T {
  const training = [...model.namedModules()].map(([, module]) => module).filter(module => module.training)
  for (const module of training) module.training = false
  try {
    return body()
  } finally {
    for (const module of training) module.training = true
  }
}

/** Rows of a file and what the model says of them. */
export interface Scored {
  /** The rows, and the columns asked for with `extra`. */
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
 *
 * @example
 * ```ts
 * import { openParquet } from 'kernelgrad'
 * import { predictStream } from 'kernelgrad/train'
 *
 * const file = await openParquet('large.parquet')
 * for await (const { rows, probabilities } of predictStream(model, file, { requireLabels: false }))
 *   console.log(rows.rowStart, probabilities.length)
 * ```
 */
export async function* predictStream(
  model: ClickModel,
  file: ParquetFile,
  options: PredictOptions & { requireLabels?: boolean; extra?: string[] } = {},
): AsyncGenerator<Scored> {
  expectModel('predictStream', model)
  if (typeof file !== 'object' || file === null || !('groups' in file))
    throw new ArgumentError(`predictStream: file is ${shown(file)}, expected a file from openParquet()`)
  checkPredictOptions('predictStream', options, 'requireLabels', 'extra')
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
  if (!ArrayBuffer.isView(probabilities) && !Array.isArray(probabilities))
    throw new ArgumentError(
      `clickProbability: probabilities is ${shown(probabilities)}, expected a Float32Array`,
    )
  if (probabilities.length % 2)
    throw new ShapeError(`clickProbability: ${probabilities.length} probabilities, expected two a row`)
  return Float32Array.from({ length: probabilities.length / 2 }, (_, i) => probabilities[2 * i + 1]!)
}
