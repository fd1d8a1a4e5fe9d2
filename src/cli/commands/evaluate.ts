import { columnOf } from '../../data/parquet.ts'
import { DataError, UsageError } from '../../errors.ts'
import { FusedEvaluation, ListEvaluation, type Metric } from '../../metrics/index.ts'
import type { Model } from '../../models/index.ts'
import type { Ranks } from '../../ranks/index.ts'
import { formatMetrics } from '../../train/index.ts'
import { useArchitecture } from '../architecture.ts'
import { checkOutputs, folderInputs, inputs } from '../outputs.ts'
import { onRanks, talkOf } from '../ranked.ts'
import { openScored, type Rows } from '../raw.ts'
import { allShown } from '../say.ts'
import { checkModel, type ScoreOptions, scoredRows, withModel } from '../score.ts'
import { formatTable } from '../table.ts'

export interface EvaluateCommandOptions extends ScoreOptions {
  data: string[]
  groupBy?: string
  fuse?: string
  json?: boolean
}

/** Tells how good a model is on a labelled file, read one row group at a time. */
export const run = (options: EvaluateCommandOptions): Promise<void> => onRanks(ranks => runOn(ranks, options))

async function runOn(ranks: Ranks, options: EvaluateCommandOptions): Promise<void> {
  const { data, json, groupBy, fuse } = options
  const stream = talkOf(ranks, json)
  if (options.architecture) await useArchitecture(options.architecture)
  const checked = await checkModel(options.model)
  const metric: Metric = fuse === undefined ? checked.metrics() : fused(checked, fuse, options)
  await checkOutputs({
    reads: [...inputs('--data', data), ...(await folderInputs('--model', options.model))],
    writes: [],
  })
  if (groupBy !== undefined && !metric.takesGroups)
    throw new UsageError(`--group-by needs a model of 2 classes, which the one in ${options.model} is not`)
  const kept = groupBy === undefined ? [] : [groupBy]
  const opened = await openScored(data, { model: options.model, kept, labels: 'required', stream })
  try {
    await evaluateRows(options, { opened, metric, stream, ranks })
  } finally {
    await opened.close()
  }
}

/** Lists ordered by several heads together: the weights that are given, or that are to be found. */
function fused(model: Model, text: string, { model: folder, groupBy }: EvaluateCommandOptions): Metric {
  const names = model.scoreNames?.() ?? []
  const heads = names.filter(name => name !== null)
  if (heads.length < 2 || !(model.metrics() instanceof ListEvaluation))
    throw new UsageError(
      `--fuse ${text}: the model in ${folder} has no heads to put together, expected a ranker of several, as a CrossEncoder with skip or dwell`,
    )
  if (groupBy !== undefined)
    throw new UsageError('--fuse gives figures of all lists, expected no --group-by beside it')
  const click = Math.max(names.indexOf(null), 0)
  if (text === 'fit') return new FusedEvaluation({ names, click, loss: 'listwise' })
  const weights: Record<string, number> = {}
  for (const part of text.split(',')) {
    const [name = '', value = ''] = part.split('=').map(one => one.trim())
    if (!heads.includes(name) || Object.hasOwn(weights, name) || !value || !Number.isFinite(Number(value)))
      throw new UsageError(
        `--fuse ${text}: '${part}', expected fit, or a head once with its weight, with commas between: ${heads.join(', ')}, as ${heads[0]}=1,${heads[1]}=-0.5`,
      )
    weights[name] = Number(value)
  }
  return new FusedEvaluation({ names, click, loss: 'listwise', weights })
}

interface Ready {
  opened: Rows
  metric: Metric
  stream: NodeJS.WriteStream
  ranks: Ranks
}

async function evaluateRows(
  { data, json, groupBy, fuse: _, batchSize, truncate, ...options }: EvaluateCommandOptions,
  { opened: { file, nameOf }, metric, stream, ranks }: Ready,
): Promise<void> {
  const group = groupBy === undefined ? undefined : nameOf(groupBy)
  if (group !== undefined) {
    const { kind, list, description } = columnOf(file, group)
    if (list || kind === 'other') {
      throw new DataError(
        `${data.join(', ')}: column ${groupBy} is ${description}, a number or text per row is expected`,
      )
    }
  }
  await withModel({ ...options, batchSize }, stream, async model => {
    const extra = group === undefined ? [] : [group]
    const scored = scoredRows(
      model,
      file,
      { batchSize, truncate, extra, groupBy: group, metric, trainOnly: 'judged' as const, ranks },
      stream,
    )
    for await (const _ of scored);
  })
  if (ranks.rank > 0) return
  const metrics = metric.result()
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ model: options.model, data: data.length > 1 ? data : data[0], rows: file.rows, metrics })}\n`,
    )
    return
  }
  const rows = Object.entries(formatMetrics(allShown(metrics)))
  stream.write(`\n${formatTable(['metric', 'value'], rows)}\n\n${file.rows} rows of ${data.join(', ')}\n`)
}
