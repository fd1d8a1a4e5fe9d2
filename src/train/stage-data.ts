// The data of each stage of a run: its own where its settings name files, the run's otherwise.
import { expectOptions, shown } from '../check.ts'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { checkValues } from '../data/check-values.ts'
import { type Dataset, isStreamed, type StreamedDataset } from '../data/index.ts'
import { rowUnits, type Units, unitsOf } from '../data/lists.ts'
import { checkTextLengths } from '../data/place.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import type { Model } from '../models/index.ts'
import { checkData, isRead, type Loss } from './checks.ts'
import { checkScores } from './predict.ts'
import { normalizesRows, planStages, rowsAfter, type Stage } from './stages.ts'
import { needsLoss, stagesReading } from './teacher.ts'
import type { TrainerProgress } from './trainer-options.ts'
import type { TrainerState } from './trainer-state.ts'

/** Data of a stage whose settings name files, `train` or `eval`, in place of the run's. */
export interface StageData {
  /** Read with `trainingReads(model, config, stage)`. */
  train?: Dataset | StreamedDataset
  /** Read as the run's own. */
  evaluation?: Dataset
}

/** What one stage is trained and judged on. */
export interface StageRows {
  /** Of a stream, its first rows. */
  train: Dataset
  /** Where the rows are not all in memory. */
  stream?: StreamedDataset
  evaluation: Dataset | undefined
  /** Of `train`. */
  units: Units
}

interface Given {
  model: Model
  config: ResolvedTrainerConfig
  train?: Dataset | StreamedDataset | undefined
  evaluation?: Dataset | undefined
  stageData?: readonly (StageData | undefined)[] | undefined
}

/** @throws ConfigError where the data that is given is not the data that the settings of the stages name */
function checkGiven({ config, train, stageData }: Given): void {
  if (stageData !== undefined && !Array.isArray(stageData))
    throw new ArgumentError(
      `Trainer: stageData is ${shown(stageData)}, expected an array with an entry for each stage`,
    )
  const given = stageData ?? []
  if (given.length > config.stages.length)
    throw new ConfigError(
      `Trainer: stageData has ${given.length} entries, expected at most ${config.stages.length}, one for each of config.stages`,
    )
  for (const [i, entry] of given.entries())
    if (entry !== undefined) expectOptions(`Trainer: stageData[${i}]`, entry, ['train', 'evaluation'])
  for (const [i, stage] of config.stages.entries())
    for (const [named, as] of [
      ['train', 'train'],
      ['eval', 'evaluation'],
    ] as const) {
      const [files, data] = [stage[named], given[i]?.[as]]
      if (files && !data)
        throw new ConfigError(
          `Trainer: config.stages[${i}].${named} names ${files.join(', ')}, and stageData[${i}] has no ${as}: expected its rows, from loadDataset()`,
        )
      if (data && !files)
        throw new ConfigError(
          `Trainer: stageData[${i}] has ${as}, and config.stages[${i}] names no ${named} files; name them there, so that a resumed run knows its data`,
        )
    }
  if (train !== undefined) return
  const lacks = config.stages.findIndex(stage => !stage.train)
  if (lacks >= 0 || !config.stages.length)
    throw new ArgumentError(
      `Trainer: train is undefined, expected rows to train on, from loadDataset()${lacks < 0 ? '' : `: stages[${lacks}] has none of its own`}`,
    )
}

/**
 * What each stage is trained and judged on, in order, checked for what its loss and its evaluation read.
 * @throws naming the data, and the column and row of what it lacks or has wrong
 */
export function rowsOfStages(given: Given): StageRows[] {
  checkGiven(given)
  const { model, config, train, evaluation, stageData = [] } = given
  const plan = planStages(config, 1)
  const seen = new Set<Dataset>()
  const check = (where: string, data: Dataset, loss: Loss) => {
    if (isStreamed(data))
      throw new DataError(`${where} is a stream, expected rows in memory, from loadDataset()`)
    if (seen.has(data)) return
    seen.add(data)
    checkData(where, data, model, { loss })
    const read = Object.entries(model.inputs).filter(([, input]) => isRead(input, loss))
    checkValues(where, data, Object.fromEntries(read), model.config.architecture)
    if (loss === true) model.checkTraining?.(where, data)
  }
  const first = (data: Dataset | StreamedDataset): Dataset => (isStreamed(data) ? data.head : data)
  if (train) check('Trainer: train', first(train), needsLoss(stagesReading(plan, undefined)))
  if (evaluation) check('Trainer: evaluation', evaluation, 'judged')
  for (const [i, own] of stageData.entries()) {
    if (own?.train)
      check(`Trainer: stageData[${i}].train`, first(own.train), needsLoss(stagesReading(plan, i)))
    if (own?.evaluation) check(`Trainer: stageData[${i}].evaluation`, own.evaluation, 'judged')
  }
  const units = new Map<Dataset | StreamedDataset, Units>()
  return plan.map((_, i) => {
    const own = stageData[i] ?? {}
    const rows = own.train ?? train!
    if (!units.has(rows))
      units.set(rows, isStreamed(rows) ? streamUnits(rows, model, config) : unitsOf(rows, model.inputs))
    return {
      train: first(rows),
      ...(isStreamed(rows) ? { stream: rows } : {}),
      evaluation: own.evaluation ?? evaluation,
      units: units.get(rows)!,
    }
  })
}

/** @throws ConfigError for what a stream cannot do */
function streamUnits(
  stream: StreamedDataset,
  model: Model,
  { stages, ...config }: ResolvedTrainerConfig,
): Units {
  const list = Object.entries(model.inputs).find(([, { kind }]) => kind === 'list')
  if (list)
    throw new ConfigError(
      `Trainer: train is a stream, and the model reads lists ('${list[0]}'), whose rows may stand anywhere; expected rows in memory, from loadDataset()`,
    )
  const byRows = [config, ...stages].find(one => one.per_device_train_batch_rows)?.per_device_train_batch_rows
  if (byRows)
    throw new ConfigError(
      `per_device_train_batch_rows is ${byRows}, and train is a stream, which has no lists; expected per_device_train_batch_size alone`,
    )
  return rowUnits(stream.length)
}

/** The plan of a run over such data. */
export const planOver = (
  model: Model,
  config: ResolvedTrainerConfig,
  rows: readonly StageRows[],
  ranks = 1,
): Stage[] =>
  planStages(
    config,
    rows.map(({ units }) => units),
    normalizesRows(model, rows[0]!.units),
    ranks,
  )

/** What training would meet only at its first evaluation. @throws naming what cannot be evaluated */
export function checkEvaluations(
  model: Model,
  { truncate }: ResolvedTrainerConfig,
  rows: readonly StageRows[],
): void {
  const all = new Set(rows.flatMap(({ evaluation }) => evaluation ?? []))
  if (!truncate) for (const data of all) checkTextLengths(data, model.inputs)
  for (const data of all.size ? all : [rows[0]!.train]) checkScores(model, data)
}

/** The step after which evaluations are of the data that a stage is judged by: figures of other data say nothing of what is best. */
export function judgedSince(plan: readonly Stage[], rows: readonly StageRows[], stage: number): number {
  let first = stage
  while (first > 0 && rows[first - 1]!.evaluation === rows[stage]!.evaluation) first--
  return plan[first]!.firstStep
}

/** A stage begins with patience; and without a best where it is judged by other data than the one before. */
export function beginJudging(state: TrainerState, rows: readonly StageRows[], stage: number): void {
  state.early_stopping_patience_counter = 0
  if (stage === 0 || rows[stage - 1]!.evaluation === rows[stage]!.evaluation) return
  Object.assign(state, { best_metric: null, best_global_step: null, best_model_checkpoint: null })
}

/** How far a run is, in steps and rows. */
export function progressOf(
  plan: readonly Stage[],
  stages: readonly StageRows[],
  { global_step: step, max_steps: maxSteps }: TrainerState,
  startStep: number,
): Omit<TrainerProgress, 'loss'> {
  const units = stages.map(({ units }) => units)
  const rows = (steps: number) => rowsAfter(plan, steps, units)
  return {
    step,
    maxSteps,
    rows: rows(step),
    totalRows: rows(maxSteps),
    startStep,
    startRows: rows(startStep),
  }
}
