// What predict and evaluate share: a saved model over the rows of a Parquet file.
import { join } from 'node:path'
import { parseModelConfig, type ResolvedModelConfig } from '../config/index.ts'
import { readJson } from '../data/files.ts'
import { openParquet, type ParquetFile } from '../data/index.ts'
import { DataError } from '../errors.ts'
import { type Gpu, openGpu } from '../gpu/index.ts'
import {
  type ClickModel,
  CONFIG_FILE,
  checkWeights,
  createModel,
  loadModel,
  type PredictOptions,
  predictStream,
  type Scored,
  tokenizerOf,
  WEIGHTS_FILE,
} from '../train/index.ts'
import { createProgress } from './progress.ts'

export interface ScoreOptions {
  /** Folder with configuration and weights. */
  model: string
  adapter?: string
  batchSize: number
  truncate?: boolean
}

/**
 * Reads a model's configuration and checks that the weights fit it; their values are left on disk.
 * @throws ConfigError or CheckpointError naming the file.
 */
export async function checkModel(folder: string): Promise<ResolvedModelConfig> {
  const path = join(folder, CONFIG_FILE)
  const config = parseModelConfig(await readJson(path), path)
  await tokenizerOf(config, folder)
  await checkWeights(createModel(config), join(folder, WEIGHTS_FILE))
  return config
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
  use: (model: ClickModel) => Promise<T>,
): Promise<T> {
  const gpu: Gpu = await openGpu({ adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    return await use(await loadModel(gpu, folder))
  } finally {
    gpu.close()
  }
}

/** The rows of a file with their probabilities, in order, telling how far it is. */
export async function* scoredRows(
  model: ClickModel,
  file: ParquetFile,
  options: PredictOptions & { requireLabels?: boolean; extra?: string[] },
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
