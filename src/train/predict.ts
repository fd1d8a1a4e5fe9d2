import { noGrad, scope, type Tensor } from '../autograd/index.ts'
import { shown } from '../check.ts'
import { checkColumns } from '../data/check-columns.ts'
import {
  type Chunk,
  type Columns,
  collate,
  type ParquetFile,
  type ReadOptions,
  rebatch,
  streamChunks,
} from '../data/index.ts'
import { unitsOf } from '../data/lists.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { InFlight } from '../gpu/index.ts'
import type { AnyBatch } from '../inputs.ts'
import type { Metric } from '../metrics/index.ts'
import { inEval } from '../models/in-eval.ts'
import { type Model, readOptions } from '../models/index.ts'
import { checkPredictOptions, expectModel, expectTensor } from './checks.ts'

const BATCH_SIZE = 256

/** How to cut the rows into batches. */
export interface PredictOptions {
  /** Rows a batch, lists where the model reads a `list`; default 256. */
  batchSize?: number
  /** Cut a text with more tokens than the model has positions, where it would be an error. */
  truncate?: boolean
  /** Hears how many rows are done. */
  onBatch?: (rowsDone: number) => void
  /** Gets every batch with its scores, rows in order, list by list where the model reads lists. */
  metric?: Metric
  /** [rows] what `metric` tells rows apart by. */
  groups?: ArrayLike<unknown>
  /** What is drawn for a batch, such as masked tokens, follows from it and the row. Default 0. */
  seed?: number
}

/**
 * A model's scores of every row, [rows, K] row-major: class probabilities, of a classifier. No more than a few batches are on the device
 * at once. Calls may run side by side, on one model too, and beside its training: each batch is computed by the weights of its moment.
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
  model: Model,
  columns: Columns,
  given: PredictOptions = {},
): Promise<Float32Array<ArrayBuffer>> {
  expectModel('predict', model)
  checkColumns('predict', columns)
  checkPredictOptions('predict', given, 'trainOnly', 'extra')
  const { batchSize = BATCH_SIZE, truncate = false, seed = 0, onBatch, metric, groups } = given
  const { gpu } = model
  const K = model.scoreNames().length
  const scores = new Float32Array(columns.length * K)
  const inFlight = new InFlight()
  let before: Promise<void> = Promise.resolve()
  const units = unitsOf(columns, model.inputs, { whole: true })
  let rowsDone = 0
  for (let start = 0; start < units.count; start += batchSize) {
    const size = Math.min(batchSize, units.count - start)
    const rows = units.rowsOf(Uint32Array.from({ length: size }, (_, i) => start + i))
    const batch: AnyBatch = collate(columns, rows, model.inputs, { truncate, seed })
    const read = inEval(model, () => scope(() => noGrad(() => scoresOf(model, batch)).read()))
    // Metrics take rows in order.
    const turn = before
    before = read.then(async values => {
      await turn
      for (const [i, row] of rows.entries())
        for (let k = 0; k < K; k++) scores[row * K + k] = values[i * K + k]!
      metric?.add(batch, values, groups && Array.from(rows, row => groups[row]))
      rowsDone += rows.length
      onBatch?.(rowsDone)
    })
    await inFlight.push(gpu, before)
  }
  await inFlight.drain()
  return scores
}

/** A batch's scores, whose shape is what the model says. */
function scoresOf(model: Model, batch: AnyBatch): Tensor {
  const expected = [batch.size, model.scoreNames().length]
  const scores = model.scores(batch)
  expectTensor(model, 'scores', scores)
  if (String(scores.shape) === String(expected)) return scores
  throw new ShapeError(
    `${model.constructor.name}: scores have shape [${scores.shape}], expected [${expected}]: a row each, a column for every name in scoreNames`,
  )
}

/**
 * Asks a model for the scores of two rows, where there are, so that what cannot be evaluated shows before it is trained.
 * @throws ShapeError for scores of another shape than the model says; whatever `scores` throws.
 */
export function checkScores(model: Model, columns: Columns): void {
  const batch: AnyBatch = collate(columns, columns.length > 1 ? [0, 1] : [0], model.inputs, {
    truncate: true,
  })
  inEval(model, () => scope(() => noGrad(() => void scoresOf(model, batch))))
}

/** Rows of a file and what the model says of them. */
export interface Scored {
  /** The rows, and the columns asked for with `extra`. */
  rows: Chunk
  /** [rows, K], row-major. */
  scores: Float32Array<ArrayBuffer>
}

/**
 * A model's scores of every row of a file, row group by row group, so that its size does not matter. Batches are the same rows
 * as in {@link predict} over the whole file, whatever the row groups are: so are the results, to the bit. For a model that reads a `list`, the
 * whole file is in memory at once.
 * @param options.trainOnly Whether a file without what the loss alone reads is an error (default) or has none.
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
 * for await (const { rows, scores } of predictStream(model, file, { trainOnly: 'optional' }))
 *   console.log(rows.rowStart, scores.length)
 * ```
 */
export async function* predictStream(
  model: Model,
  file: ParquetFile,
  options: Omit<PredictOptions, 'groups'> & {
    trainOnly?: ReadOptions['trainOnly']
    extra?: string[]
    /** The column, one of `extra`, that `metric` tells rows apart by. */
    groupBy?: string
  } = {},
): AsyncGenerator<Scored> {
  expectModel('predictStream', model)
  if (typeof file !== 'object' || file === null || !('groups' in file))
    throw new ArgumentError(`predictStream: file is ${shown(file)}, expected a file from openParquet()`)
  checkPredictOptions('predictStream', options, 'trainOnly', 'extra', 'groupBy')
  const { batchSize = BATCH_SIZE, trainOnly, extra, onBatch, groupBy, ...rest } = options
  const chunks = streamChunks(file, { ...readOptions(model, trainOnly), extra })
  // The rows of a list may stand anywhere in the file.
  const lists = Object.values(model.inputs).some(({ kind }) => kind === 'list')
  for await (const rows of rebatch(chunks, lists ? Math.max(file.rows, 1) : batchSize)) {
    const { rowStart } = rows
    const scores = await predict(model, rows, {
      ...rest,
      batchSize,
      groups: groupBy === undefined ? undefined : rows.extra[groupBy],
      onBatch: onBatch && (done => onBatch(rowStart + done)),
    })
    yield { rows, scores }
  }
}
