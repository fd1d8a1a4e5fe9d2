import { columnOf } from '../../data/parquet.ts'
import { DataError, UsageError } from '../../errors.ts'
import { formatMetrics } from '../../train/index.ts'
import { useArchitecture } from '../architecture.ts'
import { checkOutputs, folderInputs, inputs } from '../outputs.ts'
import { allShown, talkStream } from '../say.ts'
import { checkModel, openRows, type ScoreOptions, scoredRows, withModel } from '../score.ts'
import { formatTable } from '../table.ts'

export interface EvaluateCommandOptions extends ScoreOptions {
  data: string
  groupBy?: string
  json?: boolean
}

/** Tells how good a model is on a labelled file, read one row group at a time. */
export async function run(options: EvaluateCommandOptions): Promise<void> {
  const { data, json, groupBy, batchSize, truncate } = options
  const stream = talkStream(json)
  if (options.architecture) await useArchitecture(options.architecture)
  const metric = (await checkModel(options.model)).metrics()
  const file = await openRows(data)
  await checkOutputs({
    reads: [...inputs('--data', data), ...(await folderInputs('--model', options.model))],
    writes: [],
  })
  if (groupBy !== undefined) {
    if (!metric.takesGroups)
      throw new UsageError(`--group-by needs a model of 2 classes, which the one in ${options.model} is not`)
    const { kind, list, description } = columnOf(file, groupBy)
    if (list || kind === 'other') {
      throw new DataError(
        `${data}: column ${groupBy} is ${description}, a number or text per row is expected`,
      )
    }
  }
  await withModel(options, stream, async model => {
    const extra = groupBy === undefined ? [] : [groupBy]
    const scored = scoredRows(
      model,
      file,
      { batchSize, truncate, extra, groupBy, metric, trainOnly: 'judged' as const },
      stream,
    )
    for await (const _ of scored);
  })
  const metrics = metric.result()
  if (json) {
    process.stdout.write(`${JSON.stringify({ model: options.model, data, rows: file.rows, metrics })}\n`)
    return
  }
  const rows = Object.entries(formatMetrics(allShown(metrics)))
  stream.write(`\n${formatTable(['metric', 'value'], rows)}\n\n${file.rows} rows of ${data}\n`)
}
