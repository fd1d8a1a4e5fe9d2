// Scores of a file's rows whose ad vectors are kept: the ad's texts are neither read nor encoded.
import { noGrad, scope, tensor } from '../autograd/index.ts'
import { COUNT, expectFlag, expectFunction, expectNumber, expectOptions, shown } from '../check.ts'
import { collate, type ParquetFile, type ReadOptions, rebatch, streamChunks } from '../data/index.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { InFlight } from '../gpu/index.ts'
import type { AnyBatch, PackedTokens } from '../inputs.ts'
import type { Metric } from '../metrics/index.ts'
import { probabilities } from '../models/click.ts'
import { inEval } from '../models/in-eval.ts'
import { readOptions, type SideName, type TableBatch } from '../models/index.ts'
import type { Scored } from '../train/index.ts'
import { expectTwoSided, type TwoSidedModel } from './fingerprint.ts'
import { checkCache, expectCacheOf, type VectorCache, vectorsOf } from './vector-cache.ts'
import { idsOf } from './vector-file.ts'

/** As for `predictStream`. */
export interface PredictVectorsOptions {
  /** Rows a batch; default 256. */
  batchSize?: number
  /** Cut a text with more tokens than the model has positions. */
  truncate?: boolean
  /** Whether a file without what the loss alone reads is an error (default) or has none. */
  trainOnly?: ReadOptions['trainOnly']
  /** The file's column that says which vector a row takes; the cache's own unless given. */
  id?: string
  /** Hears how many rows are done. */
  onBatch?: (rowsDone: number) => void
  /** Gets every batch with its scores, rows in order. */
  metric?: Metric
}

/**
 * A two-sided model's scores of every row of a file, one side's vectors taken from a cache by the row's id; only the other side is encoded. They
 * equal the model's own to the bit where float32 vectors were encoded in the same batches, as `embed` of the same rows by the same `batchSize`; otherwise to the
 * rounding of float32: in a batch of other tokens a vector's sums may be cut otherwise, and its last bits differ.
 *
 * @throws DataError for a cache of other weights, size or side before anything is read, and for a row whose id has no vector
 *
 * @example
 * ```ts
 * import { loadModel, openParquet, type TwinModel } from 'kernelgrad'
 * import { predictWithVectors, readVectors } from 'kernelgrad/serve'
 *
 * const model = await loadModel<TwinModel>(gpu, 'runs/twin')
 * const [file, ads] = [await openParquet('clicks.parquet'), await readVectors('ads.vectors.parquet')]
 * for await (const { rows, scores } of predictWithVectors(model, file, ads, { trainOnly: 'optional' }))
 *   console.log(rows.rowStart, scores.length)
 * ```
 */
export async function* predictWithVectors(
  model: TwoSidedModel,
  file: ParquetFile,
  cache: VectorCache,
  options: PredictVectorsOptions = {},
): AsyncGenerator<Scored> {
  const where = 'predictWithVectors'
  expectTwoSided(where, model)
  if (typeof file !== 'object' || file === null || !('groups' in file))
    throw new ArgumentError(`${where}: file is ${shown(file)}, expected a file from openParquet()`)
  const known = ['batchSize', 'truncate', 'trainOnly', 'id', 'onBatch', 'metric']
  expectOptions(`${where}: options`, options, known)
  const { batchSize = 256, truncate = false, trainOnly, onBatch, metric } = options
  expectNumber(`${where}: batchSize`, batchSize, COUNT)
  expectFlag(`${where}: truncate`, truncate)
  if (onBatch !== undefined) expectFunction(`${where}: onBatch`, onBatch)
  const places = checkCache(`${where}: cache`, cache)
  const { side, idColumn } = cache
  await expectCacheOf(`${where}: cache`, model, cache, side)
  const id = options.id ?? idColumn
  const { [side]: _, ...inputs } = model.inputs as Record<string, (typeof model.inputs)[string]>
  const other: SideName = side === 'ad' ? 'query' : 'ad'
  const reading = readOptions({ inputs, tokenizer: model.tokenizer }, trainOnly)
  const { gpu } = model
  const K = model.scoreNames().length
  let rowsDone = 0
  for await (const rows of rebatch(streamChunks(file, { ...reading, extra: [id] }), batchSize)) {
    const at = `${file.name}: column ${id}`
    const own = idsOf(rows.extra[id]!, at, rows.rowStart).map((value, i) => {
      const place = places.get(value)
      if (place === undefined)
        throw new DataError(
          `${at}, row ${rows.rowStart + i}: id ${shown(value)} is not among the ${places.size} vectors; make them of all rows, by kernelgrad embed`,
        )
      return place
    })
    const scores = new Float32Array(rows.length * K)
    const inFlight = new InFlight()
    let before: Promise<void> = Promise.resolve()
    for (let first = 0; first < rows.length; first += batchSize) {
      const length = Math.min(batchSize, rows.length - first)
      const batch: AnyBatch = collate(
        rows,
        Uint32Array.from({ length }, (_, i) => first + i),
        inputs,
        { truncate },
      )
      const kept = vectorsOf(cache, own.slice(first, first + length))
      const read = inEval(model, () =>
        scope(() =>
          noGrad(() => {
            const encoded = model.encode(other, batch[other] as PackedTokens)
            const taken = tensor(gpu, kept, [length, cache.size])
            const [query, ad] = side === 'ad' ? [encoded, taken] : [taken, encoded]
            return probabilities(model.cross(query, ad, batch as TableBatch)).read()
          }),
        ),
      )
      const turn = before
      before = read.then(async values => {
        await turn
        scores.set(values, first * K)
        metric?.add(batch, values)
        rowsDone += length
        onBatch?.(rowsDone)
      })
      await inFlight.push(gpu, before)
    }
    await inFlight.drain()
    yield { rows, scores }
  }
}
