// What predict and evaluate share: a saved model over the rows of a Parquet file.
import { join } from 'node:path'
import { readJson } from '../data/files.ts'
import { openParquet, type ParquetFile } from '../data/index.ts'
import { DataError } from '../errors.ts'
import { type Gpu, openGpu } from '../gpu/index.ts'
import { createModel, type Model, parseConfiguration, tokenizerOf } from '../models/index.ts'
import {
  type PredictVectorsOptions,
  predictWithVectors,
  type TwoSidedModel,
  type VectorCache,
} from '../serve/index.ts'
import {
  CONFIG_FILE,
  checkWeights,
  loadModel,
  predictStream,
  type Scored,
  WEIGHTS_FILE,
} from '../train/index.ts'
import { createProgress } from './progress.ts'

export interface ScoreOptions {
  /** Folder with configuration and weights. */
  model: string
  architecture?: string
  adapter?: string
  batchSize: number
  truncate?: boolean
}

/**
 * Makes the model of a configuration, without memory, and checks that the weights fit it; their values are left on disk.
 * @throws ConfigError or CheckpointError naming the file.
 */
export async function checkModel(folder: string): Promise<Model> {
  const path = join(folder, CONFIG_FILE)
  const model = createModel(parseConfiguration(await readJson(path), path))
  await tokenizerOf(model, folder)
  await checkWeights(model, join(folder, WEIGHTS_FILE))
  return model
}

/**
 * Opens a Parquet file that has rows.
 * @throws DataError naming the file.
 */
export async function openRows(path: string): Promise<ParquetFile> {
  const file = await openParquet(path)
  if (file.rows === 0) throw new DataError(`${path} has no rows`)
  return file
}

/** Runs `use` with a device and a model on it, having told which adapter it is. */
export async function withModel<T>(
  { model: folder, adapter }: ScoreOptions,
  stream: NodeJS.WriteStream,
  use: (model: Model) => Promise<T>,
): Promise<T> {
  const gpu: Gpu = await openGpu({ adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    return await use(await loadModel(gpu, folder))
  } finally {
    gpu.close()
  }
}

/** The same of a model of two sides, one of which is kept. */
export async function* scoredByVectors(
  model: Model,
  file: ParquetFile,
  vectors: VectorCache,
  options: PredictVectorsOptions,
  stream: NodeJS.WriteStream,
): AsyncGenerator<Scored> {
  const progress = createProgress({ total: file.rows, label: 'row', stream })
  const onBatch = (done: number) => progress.update({ done, rows: done, totalRows: file.rows })
  try {
    yield* predictWithVectors(model as TwoSidedModel, file, vectors, { ...options, onBatch })
  } finally {
    progress.stop()
  }
}

/** The rows of a file with their scores, in order, telling how far it is. */
export async function* scoredRows(
  model: Model,
  file: ParquetFile,
  options: Parameters<typeof predictStream>[2],
  stream: NodeJS.WriteStream,
): AsyncGenerator<Scored> {
  const progress = createProgress({ total: file.rows, label: 'row', stream })
  const onBatch = (done: number) => progress.update({ done, rows: done, totalRows: file.rows })
  try {
    yield* predictStream(model, file, { ...options, onBatch })
  } finally {
    progress.stop()
  }
}
