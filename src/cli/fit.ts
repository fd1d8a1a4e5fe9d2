import { basename, join, resolve } from 'node:path'
import { files } from '#files'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { shownSize } from '../config/memory-size.ts'
import { writeJson } from '../data/files.ts'
import {
  type Dataset,
  isStreamed,
  openParquet,
  type StreamedDataset,
  type TextTokenizer,
} from '../data/index.ts'
import type { Gpu } from '../gpu/index.ts'
import { createModel, type Model, type ModelConfiguration } from '../models/index.ts'
import { alone, type Ranks } from '../ranks/index.ts'
import { metricOf, metricWith } from '../train/best-metric.ts'
import type { RawColumns } from '../train/explain/features.ts'
import { type ExplainBudget, explain } from '../train/explain/index.ts'
import {
  CONFIG_FILE,
  type Curves,
  evaluateTeachers,
  fingerprints,
  type ListCurves,
  type LogEntry,
  loadEncoder,
  loadWeights,
  type Metric,
  predict,
  REPORT_HTML,
  REPORT_JSON,
  type RunReport,
  runReport,
  type StageData,
  saveWeights,
  type TeacherEvaluation,
  Trainer,
  type TrainerCallback,
  type TrainerState,
  WEIGHTS_FILE,
  writeRunReport,
} from '../train/index.ts'
import { ARGUMENTS_FILE } from '../train/trainer-checkpoint.ts'
import { InterruptedError, onInterrupt } from './interrupt.ts'
import { createProgress } from './progress.ts'
import { metricsLine } from './say.ts'
import { count } from './table.ts'

export interface FitOptions {
  gpu: Gpu
  config: ModelConfiguration
  trainer: ResolvedTrainerConfig
  train?: Dataset | StreamedDataset | undefined
  evaluation?: Dataset | undefined
  /** Of the stages that name files of their own. */
  stageData?: readonly (StageData | undefined)[]
  /** The files of those rows, where the teachers of the run are to be evaluated on them too. */
  evaluationFiles?: readonly string[] | undefined
  /** For models that read text. */
  tokenizer?: TextTokenizer | undefined
  /** Folder for checkpoints. */
  output?: string
  /** Whether the caller has taken that folder. */
  locked?: boolean
  /** Go on from a checkpoint: its folder, or true for the newest in `output`. */
  resume?: string | true
  /** A saved model whose weights, all of them, this one starts from. */
  initFrom?: string | undefined
  /** Processes that train together; rank 0 evaluates the teachers. */
  ranks?: Ranks
  /** Where progress is told. */
  stream: NodeJS.WriteStream
  /** How much places are looked at beside the first, where the data's maker knows: beside what the model learns of them. */
  propensities?: readonly number[] | undefined
  /** The group of each evaluation row, that the figures at the end are told by. */
  groups?: readonly unknown[] | undefined
  /** What the report is to say of the model's features; nothing unless given. */
  explain?: Omit<ExplainBudget, 'trained'> & { raw?: RawColumns | undefined }
  /** Of the trainer. */
  callbacks?: TrainerCallback[]
  /** Gets every entry of the log as it is made. */
  onLog?: (entry: LogEntry) => void
  /** What the run is called in its report. */
  name: string
}

export interface Fitted {
  model: Model
  state: TrainerState
  /** Of the weights that the model holds now; absent without evaluation data. */
  metrics?: Record<string, number>
  /** On the same rows. */
  teachers: TeacherEvaluation[]
  report: RunReport
}

/**
 * Makes a model on the device and trains it, telling how it goes.
 * @throws InterruptedError when a signal ended it, with a checkpoint saved.
 */
export async function fit(options: FitOptions): Promise<Fitted> {
  const {
    gpu,
    config,
    trainer,
    train,
    tokenizer,
    output,
    resume,
    stream,
    stageData = [],
    ranks = alone,
  } = options
  // What the weights at the end are judged by.
  const evaluation = stageData.at(-1)?.evaluation ?? options.evaluation
  const model: Model = createModel(config).to(gpu, { seed: trainer.seed })
  model.tokenizer = tokenizer
  if (config.use_pretrained) {
    const notes = new Set<string>()
    for (const [role, encoder] of Object.entries(model.encoders()))
      await loadEncoder(encoder, config.model_name!, { role, note: text => notes.add(text) })
    for (const text of notes) stream.write(`note: ${text}\n`)
  }
  if (options.initFrom !== undefined && resume === undefined)
    await loadWeights(model, join(options.initFrom, WEIGHTS_FILE))
  const started = performance.now()
  const teachers = ranks.rank === 0 ? await teachersOf(model, options) : []
  const taught = performance.now()
  const drawn = new Map<number, Drawn>()
  let auc: number | undefined
  let trained = 0
  const run = new Trainer({
    model,
    // The best of no evaluations is not to be had.
    config: {
      ...trainer,
      load_best_model_at_end: trainer.load_best_model_at_end && evaluation !== undefined,
    },
    train,
    evaluation: options.evaluation,
    stageData,
    output,
    locked: options.locked,
    ranks,
    callbacks: options.callbacks ?? [],
    onWarning: message => stream.write(`warning: ${message}\n`),
    onProgress({ step, ...more }) {
      trained = more.rows
      progress.update({ ...more, done: step, auc })
    },
    onEvaluation(done, step) {
      // Of the earlier ones, the best may still be the one that is kept.
      for (const old of drawn.keys()) if (old !== run.state.best_global_step) drawn.delete(old)
      drawn.set(step, drawnOf(done))
    },
    onLog(entry) {
      options.onLog?.(entry)
      const metrics = metricsOfEntry(entry)
      if (!metrics) return
      auc = metrics.roc_auc
      progress.note(`step ${entry.step}, epoch ${entry.epoch.toFixed(2)}: ${metricsLine(metrics)}`)
    },
  })
  // Without a folder there is nothing to save, and a signal ends the process as it always does.
  const letGo = output
    ? onInterrupt(() => run.interrupt(), ranks.rank === 0 ? 'saving after this step' : undefined)
    : () => {}
  const evaluated = evaluation ? `, ${count(evaluation.length)} to evaluate on` : ''
  stream.write(
    `${model.constructor.name}: ${count(model.numParameters())} parameters, ${count(rowsOf(options))} rows to train on${evaluated}\n`,
  )
  for (const data of new Set([train, ...stageData.map(own => own?.train)]))
    if (isStreamed(data))
      stream.write(
        `the training rows do not fit into ${shownSize(trainer.memory!)}: they are read anew each epoch, ${count(data.groups.length)} row groups in windows of ${shownSize(data.windowBytes)}\n`,
      )
  const progress = createProgress({ total: run.state.max_steps, label: 'step', stream })
  try {
    await run.train({ resumeFromCheckpoint: resume })
  } finally {
    letGo()
    progress.stop()
  }
  const { global_step: step, max_steps: last, kernel_tuning: tuning } = run.state
  if (tuning.settled || tuning.kept_for_later)
    stream.write(
      `kernel forms: ${tuning.settled} chosen before the first step, ${tuning.kept_for_later} kept for the next run, ${tuning.seconds.toFixed(1)} s\n`,
    )
  if (run.interrupted) {
    throw new InterruptedError(
      `interrupted after step ${step} of ${last}; ${output}/checkpoint-${step} is saved, --resume goes on from it`,
    )
  }
  const stopped = performance.now()
  const stepKept = keptStep(run.state, trainer)
  let metrics = evaluation && loggedMetrics(run.state, stepKept)
  if (evaluation && (options.groups || !(metrics && drawn.has(stepKept)))) {
    const { per_device_eval_batch_size: batchSize, truncate } = trainer
    const metric = metricWith(model, [metricOf(trainer)], { rows: evaluation.length })
    await predict(model, evaluation, { batchSize, truncate, metric, groups: options.groups, ranks })
    metrics = metric.result()
    drawn.set(stepKept, drawnOf(metric))
  }
  const judged = performance.now()
  const explained =
    evaluation && options.explain && ranks.rank === 0
      ? await explain(model, evaluation, trainer, { ...options.explain, trained })
      : {}
  const ended = performance.now()
  const report = runReport({
    name: options.name,
    adapter: gpu.adapter.line,
    config: { ...config, trainer },
    model: { architecture: model.constructor.name, parameters: model.numParameters() },
    rows: {
      train: rowsOf(options),
      evaluation: evaluation?.length,
      ...(stageData.some(own => own?.train) ? { trained } : {}),
    },
    evaluationData: (await fingerprints(train, evaluation)).evaluation,
    state: run.state,
    stepKept,
    seconds: (ended - started) / 1000,
    timings: {
      ...run.timings,
      ...(teachers.length ? { 'teacher evaluation': (taught - started) / 1000 } : {}),
      'final evaluation': (judged - stopped) / 1000,
      ...(options.explain ? { 'features and slices': (ended - judged) / 1000 } : {}),
    },
    // Of groups, the report has a table; there may be one for each user.
    metrics:
      metrics && Object.fromEntries(Object.entries(metrics).filter(([name]) => !/ \(.*\)$/.test(name))),
    ...drawn.get(stepKept),
    ...explained,
    teachers,
    lists: await listsOf(model, drawn.get(stepKept)?.lists, options.propensities),
  })
  return { model, state: run.state, metrics, teachers, report }
}

/** What a report draws of an evaluation. */
interface Drawn {
  curves?: Curves | undefined
  lists?: ListCurves | undefined
  confusion?: number[][] | undefined
}

const drawnOf = (metric: Metric): Drawn => ({
  curves: metric.curves?.(),
  lists: metric.listCurves?.(),
  confusion: metric.confusion?.(),
})

/** Rows of all the data that some stage is trained on. */
function rowsOf({ train, stageData = [] }: FitOptions): number {
  const all = new Set([train, ...stageData.map(own => own?.train)])
  return [...all].reduce((sum, data) => sum + (data?.length ?? 0), 0)
}

/** What the run's teachers say of the evaluation rows. They answer before the student learns: what they cannot read is told first. */
async function teachersOf(model: Model, options: FitOptions): Promise<TeacherEvaluation[]> {
  const { trainer, evaluationFiles = [], stream } = options
  if (!evaluationFiles.length) return []
  const opened = await Promise.all(evaluationFiles.map(path => openParquet(path)))
  const found = await evaluateTeachers(model, trainer, opened, {
    note: text => stream.write(`note: ${text}\n`),
  })
  for (const { teacher, metrics } of found) stream.write(`teacher ${teacher}: ${metricsLine(metrics)}\n`)
  return found
}

/** With what the model learned of places, beside what is true of them. */
async function listsOf(
  model: Model,
  curves: ListCurves | undefined,
  truth: readonly number[] | undefined,
): Promise<RunReport['lists']> {
  const learned = await model.placesLookedAt?.()
  if (!curves || !learned) return curves
  return { ...curves, propensities: { learned, ...(truth ? { truth: [...truth] } : {}) } }
}

/** The step whose weights are left at the end. */
function keptStep(state: TrainerState, { load_best_model_at_end }: ResolvedTrainerConfig): number {
  // The best evaluation may fall between two saves; what is loaded is the best that was saved.
  const loaded = load_best_model_at_end && /checkpoint-(\d+)$/.exec(state.best_model_checkpoint ?? '')
  return loaded ? Number(loaded[1]) : state.global_step
}

/** The logged evaluation of a step's weights, if there was one. */
function loggedMetrics(state: TrainerState, step: number): Record<string, number> | undefined {
  const entry = state.log_history.findLast(entry => entry.step === step && 'eval_loss' in entry)
  return entry && metricsOfEntry(entry)
}

function metricsOfEntry(entry: LogEntry): Record<string, number> | undefined {
  if (!('eval_loss' in entry)) return undefined
  const named = Object.entries(entry).filter(([name]) => name.startsWith('eval_'))
  return Object.fromEntries(named.map(([name, value]) => [name.slice('eval_'.length), value]))
}

/** Writes the model into a folder, which may hold other files; `loadModel` reads it. The report lies beside it. */
export async function saveResult({ model, report }: Fitted, folder: string): Promise<void> {
  await files.makeFolder(folder)
  await saveWeights(model, join(folder, WEIGHTS_FILE))
  const texts = { [CONFIG_FILE]: model.config, ...model.tokenizer?.files }
  for (const [name, value] of Object.entries(texts)) await writeJson(join(folder, name), value)
  await writeRunReport(folder, report)
}

/** The files that a run leaves in its folder, beside its checkpoints. */
export const resultFiles = (folder: string, tokenizer?: TextTokenizer): string[] =>
  [
    WEIGHTS_FILE,
    CONFIG_FILE,
    ARGUMENTS_FILE,
    REPORT_JSON,
    REPORT_HTML,
    ...Object.keys(tokenizer?.files ?? {}),
  ].map(name => join(folder, name))

/** What a run is called in a report: its folder's name. */
export const runName = (folder: string): string => basename(resolve(folder))
