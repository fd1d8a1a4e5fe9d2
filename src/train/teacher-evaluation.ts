// What a run's teachers say of its evaluation data: their figures and curves stand beside the student's in its report.
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { checkValues } from '../data/check-values.ts'
import { collate, loadDataset, type ParquetFile } from '../data/index.ts'
import { unitsOf } from '../data/lists.ts'
import type { AnyBatch, Inputs } from '../inputs.ts'
import { columnsOf } from '../inputs.ts'
import type { Curves, Metric } from '../metrics/index.ts'
import type { Model } from '../models/index.ts'
import { loadFrozen } from './checkpoint.ts'
import { isRead } from './checks.ts'
import { predictStream } from './predict.ts'
import { planStages } from './stages.ts'
import { describeTeacher } from './teacher.ts'

/** A teacher's figures of the rows that its student is evaluated on. */
export interface TeacherEvaluation {
  /** Its folder, or the columns of its logits. */
  teacher: string
  metrics: Record<string, number>
  /** Of a teacher of two classes. */
  curves?: Curves
}

/** How to evaluate teachers. */
export interface TeacherEvaluationOptions {
  /** Told which teacher is not evaluated, and what the files lack. */
  note?: (text: string) => void
}

/**
 * Evaluates each teacher of a run's stages once over the student's evaluation files: a folder's model as `evaluate` does, or the logits that
 * stand there as columns, by the student's own metric. One whose columns the files lack is left out, and `note` told.
 * @param model the student, on a device.
 * @throws as `evaluate` does for a file that a teacher cannot read; CheckpointError for a folder that is missing or damaged
 *
 * @example
 * ```ts
 * import { openParquet, parseTrainerConfig } from 'kernelgrad'
 * import { evaluateTeachers } from 'kernelgrad/train'
 *
 * const config = parseTrainerConfig({ distillation: { teacher: 'runs/teacher' } }, 'trainer')
 * for (const { teacher, metrics } of await evaluateTeachers(model, config, [await openParquet('test.parquet')]))
 *   console.log(teacher, metrics.roc_auc)
 * ```
 */
export async function evaluateTeachers(
  model: Model,
  config: ResolvedTrainerConfig,
  files: readonly ParquetFile[],
  { note = () => {} }: TeacherEvaluationOptions = {},
): Promise<TeacherEvaluation[]> {
  const found = new Map<string, TeacherEvaluation>()
  const told = new Set<string>()
  for (const { config: settings } of planStages(config, 1)) {
    const { teacher: folder, columns } = settings.distillation ?? {}
    const teacher = folder ?? columns?.join(', ')
    if (teacher === undefined || found.has(teacher) || told.has(teacher)) continue
    const leaveOut = (why: string) => {
      told.add(teacher)
      note(`the teacher ${teacher} is not evaluated: ${why}`)
    }
    const metric = folder
      ? await ofFolder(model, folder, config, files, leaveOut)
      : await ofColumns(model, columns!, files, leaveOut)
    if (metric) found.set(teacher, { teacher, metrics: metric.result(), curves: metric.curves?.() })
  }
  return [...found.values()]
}

type LeaveOut = (why: string) => void

/** What files lack of inputs, in words. */
function missing(files: readonly ParquetFile[], inputs: Inputs): string | undefined {
  const names = Object.values(inputs).flatMap(columnsOf)
  for (const { name, columns } of files) {
    const lacked = names.find(column => !columns.includes(column))
    if (lacked !== undefined) return `${name} has no column ${lacked}`
  }
  return undefined
}

const labelsOf = ({ inputs }: Model): Inputs =>
  Object.fromEntries(
    Object.entries(inputs as Inputs).filter(([, { trainOnly, lossOnly }]) => trainOnly && !lossOnly),
  )
const namesOf = (inputs: Inputs): string => Object.values(inputs).flatMap(columnsOf).sort().join(', ')
const rowsOf = (files: readonly ParquetFile[]): number => files.reduce((sum, { rows }) => sum + rows, 0)

async function ofFolder(
  model: Model,
  folder: string,
  { per_device_eval_batch_size: batchSize, truncate }: ResolvedTrainerConfig,
  files: readonly ParquetFile[],
  leaveOut: LeaveOut,
): Promise<Metric | undefined> {
  const described = await describeTeacher(folder)
  const read = Object.entries(described.inputs as Inputs).filter(([, input]) => isRead(input, 'judged'))
  const why = missing(files, Object.fromEntries(read))
  if (why !== undefined) return void leaveOut(`${why}, which it reads`)
  const [own, others] = [namesOf(labelsOf(model)), namesOf(labelsOf(described))]
  if (own !== others)
    return void leaveOut(`it is judged by ${others || 'no column'}, and its student by ${own}`)
  const teacher = await loadFrozen(model.gpu, folder)
  try {
    const metric = teacher.metrics({ rows: rowsOf(files) })
    for (const file of files)
      for await (const _ of predictStream(teacher, file, {
        batchSize,
        truncate,
        metric,
        trainOnly: 'judged',
      }));
    return metric
  } finally {
    teacher.free()
  }
}

/** Rows whose logits are turned into probabilities at once. */
const ROWS = 4096

async function ofColumns(
  model: Model,
  columns: readonly string[],
  files: readonly ParquetFile[],
  leaveOut: LeaveOut,
): Promise<Metric | undefined> {
  const all = Object.entries(model.inputs as Inputs)
  const judged = all.filter(
    ([, { trainOnly, lossOnly, kind }]) => (trainOnly && !lossOnly) || kind === 'list',
  )
  const logits = 'teacher logits'
  const inputs: Inputs = {
    ...Object.fromEntries(judged),
    [logits]: { kind: 'floats', columns: [...columns] },
  }
  const why = missing(files, inputs)
  if (why !== undefined) return void leaveOut(why)
  const [C, K] = [columns.length, model.scoreNames().length]
  if (K !== Math.max(C, 2)) return void leaveOut(`${C} logits a row are no ${K} scores`)
  const data = await loadDataset([...files], { inputs })
  checkValues('the evaluation data', data, inputs, 'distillation')
  const metric = model.metrics({ rows: data.length })
  const units = unitsOf(data, inputs, { whole: true })
  for (let start = 0; start < units.count; start += ROWS) {
    const size = Math.min(ROWS, units.count - start)
    const rows = units.rowsOf(Uint32Array.from({ length: size }, (_, i) => start + i))
    const batch: AnyBatch = collate(data, rows, inputs, { truncate: true })
    const values = batch[logits] as Record<string, Float32Array>
    metric.add(
      batch as never,
      probabilities(
        columns.map(name => values[name]!),
        rows.length,
      ),
    )
  }
  return metric
}

/** [rows, K] row-major, softmax of logits by column; one logit z stands for [0, z]. */
function probabilities(columns: Float32Array[], rows: number): Float32Array<ArrayBuffer> {
  const logits = columns.length === 1 ? [new Float32Array(rows), ...columns] : columns
  const K = logits.length
  const out = new Float32Array(rows * K)
  for (let b = 0; b < rows; b++) {
    const most = Math.max(...logits.map(column => column[b]!))
    const powers = logits.map(column => Math.exp(column[b]! - most))
    const sum = powers.reduce((total, power) => total + power, 0)
    for (const [k, power] of powers.entries()) out[b * K + k] = power / sum
  }
  return out
}
