// A side's texts of files to vectors, at the encoder's speed: row group by row group, some batches under way.
import { noGrad, scope } from '../autograd/index.ts'
import {
  COUNT,
  expectFlag,
  expectFunction,
  expectNumber,
  expectOneOf,
  expectOptions,
  shown,
} from '../check.ts'
import { collate, rebatch, streamChunks } from '../data/index.ts'
import { openParquet, type ParquetFile } from '../data/parquet.ts'
import type { ParquetSource } from '../data/source.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import { InFlight } from '../gpu/index.ts'
import type { PackedTokens } from '../inputs.ts'
import { inEval } from '../models/in-eval.ts'
import { readOptions, type SideName, vectorsToBytes } from '../models/index.ts'
import { expectSide, expectTwoSided, type TwoSidedModel, towerFingerprint } from './fingerprint.ts'
import {
  addIds,
  checkFinite,
  type Places,
  type VectorCache,
  type VectorId,
  type VectorStorage,
} from './vector-cache.ts'
import { idsOf, type VectorHead, type VectorRows, writeVectorRows } from './vector-file.ts'

const BATCH_SIZE = 256

/** How to make vectors of a side. */
export interface EmbedOptions {
  /** 'query' or 'ad'. */
  side: SideName
  /** Column that tells the vectors apart: whole numbers or text, none twice. Without it they are numbered by row, through all files. */
  id?: string
  /** 'float32' unless given; 'bytes' only of a model whose vectors lie in [-1, 1]: a quarter of the memory, off by 1/255 at most. */
  storage?: VectorStorage
  /** Rows a batch; default 256. */
  batchSize?: number
  /** Cut a text with more tokens than the model has positions, where it would be an error. */
  truncate?: boolean
  /** Hears how many rows are done. */
  onBatch?: (rowsDone: number) => void
}

/** Parquet files to make vectors of: one, or several that are taken one after the other. */
export type EmbedFiles = ParquetSource | ParquetFile | (ParquetSource | ParquetFile)[]

/**
 * Vectors of every row of one or several Parquet files, in memory. Only the columns of the side, and the ids, are read.
 *
 * @throws ConfigError for a model that does not keep its texts apart, or bytes where vectors are of any size; DataError naming file, column,
 * row and value of a bad one, and an id that is there twice
 *
 * @example
 * ```ts
 * import { loadModel, type TwinModel } from 'kernelgrad'
 * import { embed, writeVectors } from 'kernelgrad/serve'
 *
 * const model = await loadModel<TwinModel>(gpu, 'runs/twin')
 * const cache = await embed(model, 'ads.parquet', { side: 'ad', id: 'ad_id' })
 * await writeVectors('ads.vectors.parquet', cache)
 * ```
 */
export async function embed(
  model: TwoSidedModel,
  files: EmbedFiles,
  options: EmbedOptions,
): Promise<VectorCache> {
  const { head, rows } = await start('embed', model, files, options)
  const [ids, parts, places]: [VectorId[], VectorRows['vectors'][], Places] = [[], [], new Map()]
  for await (const group of rows) {
    addIds(places, group.ids, 'embed')
    checkFinite('embed', group.vectors, head.size, ids.length)
    for (const id of group.ids) ids.push(id)
    parts.push(group.vectors)
  }
  const length = ids.length * head.size
  const vectors = head.storage === 'bytes' ? new Uint8Array(length) : new Float32Array(length)
  let at = 0
  for (const part of parts) {
    vectors.set(part, at)
    at += part.length
  }
  return { ...head, ids, vectors }
}

/**
 * {@link embed} into a file that {@link readVectors} reads, a row group at a time, so that its size does not matter but for the ids.
 *
 * @returns how many vectors there are
 * @throws as {@link embed} does: then no file appears, and an older one stays
 */
export async function embedToFile(
  model: TwoSidedModel,
  files: EmbedFiles,
  out: string,
  options: EmbedOptions,
): Promise<number> {
  if (typeof out !== 'string' || !out)
    throw new ArgumentError(`embedToFile: out is ${shown(out)}, expected a path`)
  const { head, rows } = await start('embedToFile', model, files, options)
  return writeVectorRows(out, head, rows)
}

/** @throws ConfigError where bytes cannot hold a model's vectors */
export function expectStorage(where: string, model: Pick<TwoSidedModel, 'bytes'>, storage: unknown): void {
  expectOneOf(`${where}: storage`, storage, ['float32', 'bytes'])
  if (storage === 'bytes' && !model.bytes)
    throw new ConfigError(
      `${where}: storage is 'bytes', which holds numbers in [-1, 1], and a ${(model as object).constructor.name}'s vectors may be of any size here; take 'float32', or a TwinModel with downscale, which ends in tanh`,
    )
}

async function start(where: string, model: TwoSidedModel, sources: EmbedFiles, options: EmbedOptions) {
  expectTwoSided(where, model)
  const known = ['side', 'id', 'storage', 'batchSize', 'truncate', 'onBatch']
  expectOptions(`${where}: options`, options, known)
  const { side, id, storage = 'float32', batchSize = BATCH_SIZE, truncate = false, onBatch } = options
  expectSide(where, side)
  expectNumber(`${where}: batchSize`, batchSize, COUNT)
  expectFlag(`${where}: truncate`, truncate)
  if (onBatch !== undefined) expectFunction(`${where}: onBatch`, onBatch)
  if (id !== undefined && (typeof id !== 'string' || !id))
    throw new ArgumentError(`${where}: id is ${shown(id)}, expected the name of a column`)
  expectStorage(where, model, storage)
  const list = Array.isArray(sources) ? sources : [sources]
  const files: ParquetFile[] = []
  for (const source of list)
    files.push(typeof source === 'object' && 'groups' in source ? source : await openParquet(source))
  if (!files.some(({ rows }) => rows > 0))
    throw new DataError(
      `${where}: ${files.map(({ name }) => name).join(', ') || 'no file'}: no rows to make vectors of`,
    )
  const fingerprint = await towerFingerprint(model, side)
  const head: VectorHead = { side, size: model.vectorSize, storage, fingerprint, idColumn: id ?? 'row' }
  return { head, rows: vectorRows(model, files, { side, id, storage, batchSize, truncate, onBatch }) }
}

interface Plan {
  side: SideName
  id: string | undefined
  storage: VectorStorage
  batchSize: number
  truncate: boolean
  onBatch: ((rowsDone: number) => void) | undefined
}

async function* vectorRows(
  model: TwoSidedModel,
  files: ParquetFile[],
  { side, id, storage, batchSize, truncate, onBatch }: Plan,
): AsyncGenerator<VectorRows> {
  const inputs = { [side]: model.sides[side] }
  const reading = readOptions({ inputs, tokenizer: model.tokenizer }, 'none')
  const size = model.vectorSize
  let rowsDone = 0
  for (const file of files) {
    const chunks = streamChunks(file, { ...reading, extra: id === undefined ? [] : [id] })
    for await (const rows of rebatch(chunks, batchSize)) {
      const before = rowsDone
      const vectors = new Float32Array(rows.length * size)
      const inFlight = new InFlight()
      for (let first = 0; first < rows.length; first += batchSize) {
        const length = Math.min(batchSize, rows.length - first)
        const batch = collate(
          rows,
          Uint32Array.from({ length }, (_, i) => first + i),
          inputs,
          { truncate },
        )
        const read = inEval(model, () =>
          scope(() => noGrad(() => model.encode(side, batch[side] as PackedTokens)).read()),
        )
        await inFlight.push(
          model.gpu,
          read.then(values => {
            vectors.set(values, first * size)
            rowsDone += length
            onBatch?.(rowsDone)
          }),
        )
      }
      await inFlight.drain()
      const where = `${file.name}: column ${id}`
      const ids =
        id === undefined
          ? Array.from({ length: rows.length }, (_, i) => before + i)
          : idsOf(rows.extra[id]!, where, rows.rowStart)
      yield { ids, vectors: storage === 'bytes' ? vectorsToBytes(vectors) : vectors }
    }
  }
}
