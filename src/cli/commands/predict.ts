import { mkdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseModelConfig } from '../../config/index.ts'
import { readJson, reason } from '../../data/files.ts'
import {
  type ColumnKind,
  type ColumnValues,
  openParquet,
  type ParquetFile,
  streamChunks,
  writeParquetGroups,
} from '../../data/index.ts'
import { DataError, UsageError } from '../../errors.ts'
import { openGpu } from '../../gpu/index.ts'
import {
  type ClickModel,
  CONFIG_FILE,
  checkWeights,
  createModel,
  formatMetrics,
  loadModel,
  metricsOf,
  predict,
  readOptions,
  tokenizerOf,
  WEIGHTS_FILE,
} from '../../train/index.ts'
import { createProgress, type Progress } from '../progress.ts'
import { shown, talkStream } from '../say.ts'
import { formatTable } from '../table.ts'

export interface PredictCommandOptions {
  model: string
  data: string
  out: string
  batchSize: number
  truncate?: boolean
  adapter?: string
  json?: boolean
}

const LABEL = 'label'

/** Predicts a file one row group at a time, and tells the metrics where the file has labels. */
export async function run(options: PredictCommandOptions): Promise<void> {
  const { model: folder, data, out, json } = options
  const stream = talkStream(json)
  await checkModel(folder)
  const file = await openParquet(data)
  if (file.rows === 0) throw new DataError(`${data} has no rows`)
  await prepareOutputFile(out, data)
  const gpu = await openGpu({ adapter: options.adapter })
  const progress = createProgress({ total: file.rows, label: 'row', stream })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    const model = await loadModel(gpu, folder)
    const scored = new Scored(file, model.config.num_labels)
    await writeParquetGroups(out, scored.columns, scored.groups(model, options, progress))
    progress.stop()
    const metrics = scored.metrics()
    if (json) {
      process.stdout.write(`${JSON.stringify({ out, rows: file.rows, metrics: metrics ?? null })}\n`)
      return
    }
    if (metrics)
      stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
    stream.write(`\n${file.rows} rows in ${out}\n`)
  } finally {
    gpu.close()
  }
}

/** Configuration and weights fit together; the weights' values are left on disk. */
async function checkModel(folder: string): Promise<void> {
  const path = join(folder, CONFIG_FILE)
  const config = parseModelConfig(await readJson(path), path)
  await tokenizerOf(config, folder)
  await checkWeights(createModel(config), join(folder, WEIGHTS_FILE))
}

/** Makes the folder to write into; a path that cannot be written must show before the work is done. */
async function prepareOutputFile(out: string, data: string): Promise<void> {
  try {
    await mkdir(dirname(out), { recursive: true })
  } catch (error) {
    throw new DataError(`cannot write ${out}: ${reason(error)}`, { cause: error })
  }
  const there = await stat(out).catch(() => undefined) // Nothing there is the usual case.
  if (there?.isDirectory()) throw new DataError(`cannot write ${out}: it is a folder`)
  if (there && (await realpath(out)) === (await realpath(data)))
    throw new UsageError(`--out ${out} is the file that --data reads; name another`)
}

/** The rows of a file on their way to another, with what the metrics need of them. */
class Scored {
  readonly columns: { name: string; kind: ColumnKind }[]
  readonly #file: ParquetFile
  readonly #classes: number
  readonly #labels: Uint32Array | undefined
  readonly #probabilities: Float32Array

  constructor(file: ParquetFile, classes: number) {
    const labelled = file.columns.includes(LABEL)
    this.#file = file
    this.#classes = classes
    this.#labels = labelled ? new Uint32Array(file.rows) : undefined
    this.#probabilities = new Float32Array(labelled ? file.rows * classes : 0)
    this.columns = [
      { name: 'row', kind: 'int64' },
      ...(labelled ? [{ name: LABEL, kind: 'int64' as const }] : []),
      ...this.#names().map(([name]) => ({ name, kind: 'double' as const })),
    ]
  }

  /** Row groups of the output. */
  async *groups(
    model: ClickModel,
    { batchSize, truncate }: PredictCommandOptions,
    progress: Progress,
  ): AsyncGenerator<Record<string, ColumnValues>> {
    const started = Date.now()
    const C = this.#classes
    const reading = readOptions(model.config, { requireLabels: false, tokenizer: model.tokenizer })
    for await (const chunk of streamChunks(this.#file, reading)) {
      const { rowStart, length, labels } = chunk
      const onBatch = (rows: number) => {
        const done = rowStart + rows
        progress.update({ done, rowsPerSecond: (done / (Date.now() - started)) * 1000 })
      }
      const probabilities = await predict(model, chunk, { batchSize, truncate, onBatch })
      const group: Record<string, ColumnValues> = {
        row: Float64Array.from({ length }, (_, i) => rowStart + i),
      }
      if (labels) {
        group[LABEL] = labels
        this.#labels!.set(labels, rowStart)
        this.#probabilities.set(probabilities, rowStart * C)
      }
      for (const [name, c] of this.#names())
        group[name] = Float64Array.from({ length }, (_, i) => probabilities[i * C + c]!)
      yield group
    }
  }

  /** As `evaluate` gives them; nothing without labels. */
  metrics(): Record<string, number> | undefined {
    return this.#labels && metricsOf(this.#labels, this.#probabilities, this.#classes)
  }

  /** Probability columns and the class of each. */
  #names(): [string, number][] {
    if (this.#classes === 2) return [['probability', 1]]
    return Array.from({ length: this.#classes }, (_, c) => [`probability_${c}`, c])
  }
}
