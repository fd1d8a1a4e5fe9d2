import { type ColumnKind, type ColumnValues, type ParquetFile, writeParquetGroups } from '../../data/index.ts'
import { UsageError } from '../../errors.ts'
import { Evaluation, formatMetrics, type Scored } from '../../train/index.ts'
import { checkOutputs, folderInputs, inputs, isStdout, makeFolderOf } from '../outputs.ts'
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
  const toStdout = await isStdout(out)
  if (toStdout && json) throw new UsageError(`--out ${out} is stdout, where --json goes; name a file`)
  const stream = talkStream(json || toStdout)
  const { num_labels: classes } = await checkModel(options.model)
  const file = await openRows(data)
  const reads = [...inputs('--data', data), ...(await folderInputs('--model', options.model))]
  await checkOutputs({ reads, writes: [out] })
  await makeFolderOf(out)
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
