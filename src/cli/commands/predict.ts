import { type ColumnKind, type ColumnValues, type ParquetFile, writeParquetGroups } from '../../data/index.ts'
import { UsageError } from '../../errors.ts'
import { columnsOf } from '../../inputs.ts'
import type { Metric } from '../../metrics/index.ts'
import type { Model } from '../../models/index.ts'
import { readVectors } from '../../serve/index.ts'
import { formatMetrics, type Scored } from '../../train/index.ts'
import { useArchitecture } from '../architecture.ts'
import { checkOutputs, folderInputs, inputs, isStdout, makeFolderOf } from '../outputs.ts'
import { shown, talkStream } from '../say.ts'
import { checkModel, openRows, type ScoreOptions, scoredByVectors, scoredRows, withModel } from '../score.ts'
import { formatTable } from '../table.ts'

export interface PredictCommandOptions extends ScoreOptions {
  data: string
  out: string
  json?: boolean
  vectors?: string
}

/** Predicts a file one row group at a time, and tells the metrics where the file has labels. */
export async function run(options: PredictCommandOptions): Promise<void> {
  const { data, out, json, batchSize, truncate, vectors } = options
  const toStdout = await isStdout(out)
  if (toStdout && json) throw new UsageError(`--out ${out} is stdout, where --json goes; name a file`)
  const stream = talkStream(json || toStdout)
  if (options.architecture) await useArchitecture(options.architecture)
  const checked = await checkModel(options.model)
  const file = await openRows(data)
  const reads = [
    ...inputs('--data', data),
    ...inputs('--vectors', vectors),
    ...(await folderInputs('--model', options.model)),
  ]
  await checkOutputs({ reads, writes: [out] })
  await makeFolderOf(out)
  const output = new Output(file, checked)
  const kept = vectors === undefined ? undefined : await readVectors(vectors)
  await withModel(options, stream, model => {
    const given = { batchSize, truncate, trainOnly: 'optional', metric: output.metric } as const
    const scored = kept
      ? scoredByVectors(model, file, kept, given, stream)
      : scoredRows(model, file, given, stream)
    return writeParquetGroups(out, output.columns, output.groups(scored))
  })
  const metrics = output.metric?.result()
  if (json) {
    process.stdout.write(`${JSON.stringify({ out, rows: file.rows, metrics: metrics ?? null })}\n`)
    return
  }
  if (metrics)
    stream.write(`\n${formatTable(['metric', 'value'], Object.entries(formatMetrics(shown(metrics))))}\n`)
  stream.write(`\n${file.rows} rows in ${out}\n`)
}

/** The rows of a file on their way to another. */
class Output {
  readonly columns: { name: string; kind: ColumnKind }[]
  /** Where the file has all that the figures need. */
  readonly metric: Metric | undefined
  /** Columns of classes that the model learned from, as far as the file has them. */
  readonly #classes: string[]
  readonly #names: readonly (string | null)[]

  constructor(file: ParquetFile, model: Model) {
    const wanted = Object.values(model.inputs).filter(({ trainOnly }) => trainOnly)
    const there = wanted.filter(input => columnsOf(input).every(name => file.columns.includes(name)))
    this.#classes = there.flatMap(input => (input.kind === 'classes' ? [input.column] : []))
    this.metric = there.length === wanted.length ? model.metrics({ rows: file.rows }) : undefined
    this.#names = model.scoreNames()
    this.columns = [
      { name: 'row', kind: 'int64' },
      ...this.#classes.map(name => ({ name, kind: 'int64' as const })),
      ...this.#names.flatMap(name => (name === null ? [] : [{ name, kind: 'double' as const }])),
    ]
  }

  /** Row groups of the output. */
  async *groups(scored: AsyncIterable<Scored>): AsyncGenerator<Record<string, ColumnValues>> {
    const K = this.#names.length
    for await (const { rows, scores } of scored) {
      const { rowStart, length, ids } = rows
      const group: Record<string, ColumnValues> = {
        row: Float64Array.from({ length }, (_, i) => rowStart + i),
      }
      for (const name of this.#classes) group[name] = ids[name]!
      for (const [k, name] of this.#names.entries())
        if (name !== null) group[name] = Float64Array.from({ length }, (_, i) => scores[i * K + k]!)
      yield group
    }
  }
}
