import { cast, noGrad, scope, type Tensor } from '../autograd/index.ts'
import { expectOneOf, shown } from '../check.ts'
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
import { partOf, unitsOf } from '../data/lists.ts'
import { ArgumentError, ConfigError, ShapeError } from '../errors.ts'
import { InFlight } from '../gpu/index.ts'
import type { AnyBatch } from '../inputs.ts'
import { batchInvariant } from '../kernels/batch-forms.ts'
import type { Metric } from '../metrics/index.ts'
import { inEval } from '../models/in-eval.ts'
import { type Model, type ModelClass, readOptions } from '../models/index.ts'
import { alone, type Ranks } from '../ranks/index.ts'
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
  /** What is asked of the model: its scores, or with 'logits' its logits, [rows, C]. */
  output?: 'scores' | 'logits'
  /** Processes that share the batches, each with the same model and rows: every one gets all answers, as one alone would, to the bit. */
  ranks?: Ranks
}

/**
 * A model's scores of every row, [rows, K] row-major: class probabilities, of a classifier. A row's are the same to the bit in whatever batch it is. No more than a few batches are on the device
 * at once. Calls may run side by side, on one model too, and beside its training: each batch is computed by the weights of its moment.
 *
 * @example
 * ```ts
 * import { predict } from 'kernelgrad'
 * import { clickProbability } from 'kernelgrad/train'
 *
 * const clicks = clickProbability(await predict(model, dataset))
 * const logits = await predict(model, dataset, { output: 'logits' })
 * ```
 */
export async function predict(
  model: Model,
  columns: Columns,
  given: PredictOptions = {},
): Promise<Float32Array<ArrayBuffer>> {
  expectModel('predict', model)
  checkColumns('predict', columns)
  checkPredictOptions('predict', given, 'trainOnly', 'extra', 'output')
  const { output = 'scores', metric } = given
  expectOneOf('predict: output', output, ['scores', 'logits'])
  if (output === 'scores') return (await answers(model, columns, given, { scores: true })).scores
  if (metric) throw new ConfigError("predict: metric is given with output 'logits', expected 'scores'")
  return (await answers(model, columns, given, { logits: true })).logits
}

/** What is asked of a model's batches. */
interface Asked {
  scores?: boolean
  logits?: boolean
}
type Answers = Record<keyof Asked, Float32Array<ArrayBuffer>>

/**
 * {@link predict} of some rows, the only ones that batches and lists are made of.
 * @returns [rows of `columns`, K]; 0 of those that were not asked for.
 */
export async function predictAmong(
  model: Model,
  columns: Columns,
  among: Uint32Array,
  given: Pick<PredictOptions, 'batchSize' | 'truncate' | 'onBatch'>,
): Promise<Float32Array<ArrayBuffer>> {
  return (await answers(model, columns, given, { scores: true }, among)).scores
}

/** The answers to every row, or to some, row-major; empty where not asked for. */
async function answers(
  model: Model,
  columns: Columns,
  given: PredictOptions,
  asked: Asked,
  among?: Uint32Array,
): Promise<Answers> {
  const { batchSize = BATCH_SIZE, truncate = false, seed = 0, onBatch, metric, groups, ranks = alone } = given
  const { gpu } = model
  const out: Answers = { scores: new Float32Array(0), logits: new Float32Array(0) }
  if (asked.logits) expectLogits('predict', model)
  const inFlight = new InFlight()
  let before: Promise<void> = Promise.resolve()
  const units = unitsOf(columns, model.inputs, { whole: true, among })
  const add = (batch: AnyBatch, scores: Float32Array, rows: Uint32Array) =>
    metric?.add(batch, scores, groups && Array.from(rows, row => groups[row]))
  let rowsDone = 0
  const rowsAt = (start: number) => {
    const size = Math.min(batchSize, units.count - start)
    return units.rowsOf(Uint32Array.from({ length: size }, (_, i) => start + i))
  }
  const collated = (rows: Uint32Array): AnyBatch => collate(columns, rows, model.inputs, { truncate, seed })
  const starts = Uint32Array.from({ length: Math.ceil(units.count / batchSize) }, (_, i) => i * batchSize)
  for (const start of partOf(starts, ranks)) {
    const rows = rowsAt(start)
    const batch = collated(rows)
    const reads = inEval(model, () =>
      scope(() =>
        noGrad(() =>
          batchInvariant(() => [
            asked.scores ? scoresOf(model, batch).read() : undefined,
            asked.logits ? logitsOf(model, batch).read() : undefined,
          ]),
        ),
      ),
    )
    const read = Promise.all(reads)
    // Metrics take rows in order.
    const turn = before
    before = read.then(async ([scores, logits]) => {
      await turn
      if (scores) out.scores = spread(out.scores, scores, rows, columns.length)
      if (logits) out.logits = spread(out.logits, logits, rows, columns.length)
      // What others have of the rows comes before or between.
      if (scores && ranks.size === 1) add(batch, scores, rows)
      rowsDone += rows.length
      onBatch?.(rowsDone)
    })
    await inFlight.push(gpu, before)
  }
  await inFlight.drain()
  if (ranks.size === 1) return out
  onBatch?.(units.rows)
  for (const asked of ['scores', 'logits'] as const)
    out[asked] = await joinAnswers(ranks, out[asked], starts, rowsAt, columns.length)
  const K = out.scores.length / columns.length
  for (const start of metric && asked.scores ? starts : []) {
    const rows = rowsAt(start)
    const scores = new Float32Array(rows.length * K)
    for (const [i, row] of rows.entries()) scores.set(out.scores.subarray(row * K, (row + 1) * K), i * K)
    add(collated(rows), scores, rows)
  }
  return out
}

/** The answers of all ranks, each of which has those of its batches' rows. */
async function joinAnswers(
  ranks: Ranks,
  own: Float32Array<ArrayBuffer>,
  starts: Uint32Array,
  rowsAt: (start: number) => Uint32Array,
  length: number,
): Promise<Float32Array<ArrayBuffer>> {
  const rowsOf = (rank: number) =>
    Array.from(partOf(starts, { rank, size: ranks.size })).flatMap(start => [...rowsAt(start)])
  const mine = rowsOf(ranks.rank)
  const K = own.length / length
  const sent = new Float32Array(mine.length * K)
  for (const [i, row] of mine.entries()) sent.set(own.subarray(row * K, (row + 1) * K), i * K)
  let all = own
  for (const [rank, bytes] of (await ranks.gather(new Uint8Array(sent.buffer))).entries()) {
    const values = new Float32Array(bytes.slice().buffer)
    if (rank !== ranks.rank && values.length)
      all = spread(all, values, Uint32Array.from(rowsOf(rank)), length)
  }
  return all
}

/** Puts a batch's values in the places of its rows, of `length`. */
function spread(
  all: Float32Array<ArrayBuffer>,
  values: Float32Array,
  rows: Uint32Array,
  length: number,
): Float32Array<ArrayBuffer> {
  const K = values.length / rows.length
  const out = all.length ? all : new Float32Array(length * K)
  for (const [i, row] of rows.entries()) for (let k = 0; k < K; k++) out[row * K + k] = values[i * K + k]!
  return out
}

/** @throws ConfigError for a model that has no logits. */
export function expectLogits(where: string, model: Model): void {
  if (typeof model.logits === 'function') return
  throw new ConfigError(
    `${where}: ${(model.constructor as ModelClass).architecture} has no logits, expected a model with the method logits(batch)`,
  )
}

/** A batch's logits, float32, a row each. */
export function logitsOf(model: Model, batch: AnyBatch): Tensor {
  const logits: unknown = model.logits!(batch)
  expectTensor(model, 'logits', logits)
  const [rows, C] = logits.shape
  if (logits.shape.length === 2 && rows === batch.size && C! > 0) return cast(logits, 'f32')
  throw new ShapeError(
    `${model.constructor.name}: logits have shape [${logits.shape}], expected [${batch.size}, classes]: a row each`,
  )
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
  /** [rows, C], row-major, where they are asked for. */
  logits?: Float32Array<ArrayBuffer>
}

/**
 * A model's scores of every row of a file, row group by row group, so that its size does not matter. Batches are the same rows
 * as in {@link predict} over the whole file, whatever the row groups are: so are the results, to the bit. For a model that reads a `list`, the
 * whole file is in memory at once.
 * @param options.trainOnly Whether a file without what the loss alone reads is an error (default) or has none.
 * @param options.extra Further columns to hand through.
 * @param options.output What is asked of the model: its scores (default), its logits, or both; what is not asked for is empty.
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
  options: Omit<PredictOptions, 'groups' | 'output'> & {
    output?: 'scores' | 'logits' | 'both'
    trainOnly?: ReadOptions['trainOnly']
    extra?: string[]
    /** The column, one of `extra`, that `metric` tells rows apart by. */
    groupBy?: string
  } = {},
): AsyncGenerator<Scored> {
  expectModel('predictStream', model)
  if (typeof file !== 'object' || file === null || !('groups' in file))
    throw new ArgumentError(`predictStream: file is ${shown(file)}, expected a file from openParquet()`)
  checkPredictOptions('predictStream', options, 'trainOnly', 'extra', 'groupBy', 'output')
  const { batchSize = BATCH_SIZE, trainOnly, extra, onBatch, groupBy, output = 'scores', ...rest } = options
  expectOneOf('predictStream: output', output, ['scores', 'logits', 'both'])
  const asked = { scores: output !== 'logits', logits: output !== 'scores' }
  const chunks = streamChunks(file, { ...readOptions(model, trainOnly), extra })
  // The rows of a list may stand anywhere in the file.
  const lists = Object.values(model.inputs).some(({ kind }) => kind === 'list')
  for await (const rows of rebatch(chunks, lists ? Math.max(file.rows, 1) : batchSize)) {
    const { rowStart } = rows
    const how = {
      ...rest,
      batchSize,
      groups: groupBy === undefined ? undefined : rows.extra[groupBy],
      onBatch: onBatch && ((done: number) => onBatch(rowStart + done)),
    }
    const { scores, logits } = await answers(model, rows, how, asked)
    yield asked.logits ? { rows, scores, logits } : { rows, scores }
  }
}
