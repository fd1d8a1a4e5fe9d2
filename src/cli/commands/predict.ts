import { mkdir, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { reason } from '../../data/files.ts'
import { type ColumnKind, type ColumnValues, type ParquetFile, writeParquetGroups } from '../../data/index.ts'
import { DataError, UsageError } from '../../errors.ts'
import { Evaluation, formatMetrics, type Scored } from '../../train/index.ts'
import { shown, talkStream } from '../say.ts'
import { checkModel, openRows, type ScoreOptions, scoredRows, withModel } from '../score.ts'
import { formatTable } from '../table.ts'

export interface PredictCommandOptions extends ScoreOptions {
  data: string
  out: string
  json?: boolean
}

const LABEL = 'label'

/** Predicts a file one row group at a time, and tells the metrics where the file has labels. */
export async function run(options: PredictCommandOptions): Promise<void> {
  const { data, out, json, batchSize, truncate } = options
  const stream = talkStream(json)
  const { num_labels: classes } = await checkModel(options.model)
  const file = await openRows(data)
  await prepareOutputFile(out, data)
  const output = new Output(file, classes)
  await withModel(options, stream, model => {
    const scored = scoredRows(model, file, { batchSize, truncate, requireLabels: false }, stream)
    return writeParquetGroups(out, output.columns, output.groups(scored))
  })
  const metrics = output.evaluation?.metrics()
  if (json) {
    process.stdout.write(`${JSON.stringify({ out, rows: file.rows, metrics: metrics ?? null })}\n`)
    return
  }
  if (metrics)
    stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
  stream.write(`\n${file.rows} rows in ${out}\n`)
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
class Output {
  readonly columns: { name: string; kind: ColumnKind }[]
  /** Where the file has labels. */
  readonly evaluation: Evaluation | undefined
  readonly #classes: number

  constructor(file: ParquetFile, classes: number) {
    const labelled = file.columns.includes(LABEL)
    this.#classes = classes
    this.evaluation = labelled ? new Evaluation(classes, { rows: file.rows }) : undefined
    this.columns = [
      { name: 'row', kind: 'int64' },
      ...(labelled ? [{ name: LABEL, kind: 'int64' as const }] : []),
      ...this.#names().map(([name]) => ({ name, kind: 'double' as const })),
    ]
  }

  /** Row groups of the output. */
  async *groups(scored: AsyncIterable<Scored>): AsyncGenerator<Record<string, ColumnValues>> {
    const C = this.#classes
    for await (const { rows, probabilities } of scored) {
      const { rowStart, length, labels } = rows
      const group: Record<string, ColumnValues> = {
        row: Float64Array.from({ length }, (_, i) => rowStart + i),
      }
      if (labels) {
        group[LABEL] = labels
        this.evaluation!.add(labels, probabilities)
      }
      for (const [name, c] of this.#names())
        group[name] = Float64Array.from({ length }, (_, i) => probabilities[i * C + c]!)
      yield group
    }
  }

  /** Probability columns and the class of each. */
  #names(): [string, number][] {
    if (this.#classes === 2) return [['probability', 1]]
    return Array.from({ length: this.#classes }, (_, c) => [`probability_${c}`, c])
  }
}
