import {
  BELOW_ONE,
  COUNT,
  expectFunction,
  expectNumber,
  expectOptions,
  NATURAL,
  NON_NEGATIVE,
  POSITIVE,
  shown,
} from '../check.ts'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import type { Dataset, StreamedDataset } from '../data/index.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import type { Metric } from '../metrics/index.ts'
import { checkModel } from '../models/check.ts'
import type { Model, ModelClass } from '../models/index.ts'
import { configurationOf } from '../models/registry.ts'
import { expectRanks } from '../ranks/given.ts'
import { alone, type Ranks } from '../ranks/index.ts'
import type { TrainerCallback } from './callbacks.ts'
import { expectModel, expectPath } from './checks.ts'
import { planOver, rowsOfStages, type StageData, type StageRows } from './stage-data.ts'
import type { Stage } from './stages.ts'
import { type EventWriter, eventWriter } from './tensorboard/writer.ts'
import type { LogEntry } from './trainer-state.ts'

/** How far a run is. */
export interface TrainerProgress {
  /** Optimizer steps taken. */
  step: number
  /** Optimizer steps of the whole run. */
  maxSteps: number
  /** Rows trained on. */
  rows: number
  /** Rows of the whole run, each counted once an epoch. */
  totalRows: number
  /** Steps and rows that the checkpoint brought, which a run went on from. */
  startStep: number
  startRows: number
  /** Mean loss of recent steps, once one has been read. */
  loss?: number
}

/** What a trainer works with. */
export interface TrainerOptions {
  /** On a device; where the text features are strings, with its tokenizer. */
  model: Model
  /** Settings with every default, from `parseTrainerConfig`. */
  config: ResolvedTrainerConfig
  /**
   * Rows to train on, with labels; read with `trainingReads`, where the settings have `distillation`. May be left out where every stage has rows of its
   * own. With `openDataset`, rows that do not fit into memory.
   */
  train?: Dataset | StreamedDataset | undefined
  /** Rows to evaluate on, with labels. */
  evaluation?: Dataset
  /** Of the stages that name files of their own, by their number: the rows of those. */
  stageData?: readonly (StageData | undefined)[]
  /** Folder for checkpoints; nothing is saved without one. One trainer has it at a time. */
  output?: string
  /** The caller has taken `output` with `lockOutputFolder`, and gives it back; otherwise `train` does. */
  locked?: boolean
  /** Called in order. */
  callbacks?: TrainerCallback[]
  /** Called about once a second, and after a stage's last step. */
  onProgress?: (progress: TrainerProgress) => void
  /** Gets every entry of the log history. */
  onLog?: (entry: LogEntry) => void
  /** Gets the metric of every evaluation, with all rows in it, for curves, before its figures are logged. */
  onEvaluation?: (metric: Metric, step: number) => void
  /**
   * The processes that train the model together, as this one sees them; `alone` unless given. Each takes its part of every micro-batch, which has
   * `per_device_train_batch_size` rows a rank, and all end with the same weights. Every rank is given the same model, data and settings, checked when
   * training starts; rank 0 writes into `output`.
   */
  ranks?: Ranks
  /** What a run should know that goes on from a checkpoint; `console.warn` unless given. */
  onWarning?: (message: string) => void
}

/** How a call of `Trainer.train` starts. */
export interface TrainOptions {
  /**
   * Go on from a checkpoint: a folder (a checkpoint, or a run whose newest whole one is taken), or true for the newest in
   * `output`.
   */
  resumeFromCheckpoint?: boolean | string
}

const HEARERS = ['onProgress', 'onLog', 'onEvaluation', 'onWarning'] as const
const KNOWN = [
  'model',
  'config',
  'train',
  'evaluation',
  'stageData',
  'output',
  'locked',
  'callbacks',
  'ranks',
  ...HEARERS,
]

const NUMBERS = {
  num_train_epochs: POSITIVE,
  per_device_train_batch_size: COUNT,
  per_device_eval_batch_size: COUNT,
  gradient_accumulation_steps: COUNT,
  learning_rate: NON_NEGATIVE,
  encoder_learning_rate: NON_NEGATIVE,
  weight_decay: NON_NEGATIVE,
  adam_beta1: BELOW_ONE,
  adam_beta2: BELOW_ONE,
  adam_epsilon: POSITIVE,
  warmup_steps: NATURAL,
  seed: NATURAL,
} as const
/** null stands for none. */
const OR_NULL = {
  memory: COUNT,
  per_device_train_batch_rows: COUNT,
  max_steps: COUNT,
  max_grad_norm: POSITIVE,
  eval_steps: COUNT,
  save_steps: COUNT,
  save_total_limit: COUNT,
  logging_steps: COUNT,
} as const

/** What a configuration that was never parsed lacks, or has wrong. */
function checkConfig(config: ResolvedTrainerConfig): void {
  const hint = 'parseTrainerConfig() checks a configuration and fills the defaults in'
  if (typeof config !== 'object' || config === null)
    throw new ConfigError(`Trainer: config is ${shown(config)}, expected an object; ${hint}`)
  for (const name of [...Object.keys(NUMBERS), ...Object.keys(OR_NULL), 'stages', 'fp16', 'shuffle'])
    if (!(name in config)) throw new ConfigError(`Trainer: config.${name} is missing; ${hint}`)
  for (const [name, range] of Object.entries(NUMBERS))
    expectNumber(`Trainer: config.${name}`, config[name as keyof typeof NUMBERS], range)
  for (const [name, range] of Object.entries(OR_NULL)) {
    const value = config[name as keyof typeof OR_NULL]
    if (value !== null) expectNumber(`Trainer: config.${name}`, value, range)
  }
  if (!Array.isArray(config.stages))
    throw new ConfigError(`Trainer: config.stages is ${shown(config.stages)}, expected an array; ${hint}`)
}

/** Options that can be right, with what they come to. */
export interface CheckedOptions extends TrainerOptions {
  /** By stage. */
  rows: StageRows[]
  plan: Stage[]
  /** With `report_to`, on rank 0; its callback is the first of `callbacks`. */
  events: EventWriter | undefined
  ranks: Ranks
}

/** The options, once all of them can be right. */
export function checkTrainerOptions(options: TrainerOptions): CheckedOptions {
  expectOptions('Trainer: options', options, KNOWN)
  const { model, output, callbacks } = options
  expectModel('Trainer', model)
  checkModel(model)
  const { config } = options
  checkConfig(config)
  const rows = rowsOfStages(options)
  if (output !== undefined) {
    expectPath('Trainer: output', output)
    // What a checkpoint will hold can be read again.
    const saved = JSON.parse(JSON.stringify(model.config))
    configurationOf(model.constructor as ModelClass, saved, 'Trainer: model.config')
  }
  if (callbacks !== undefined) checkCallbacks(callbacks)
  for (const name of HEARERS)
    if (options[name] !== undefined) expectFunction(`Trainer: ${name}`, options[name])
  const { ranks = alone } = options
  expectRanks('Trainer: ranks', ranks)
  const plan = planOver(model, config, rows, ranks.size)
  tellLeftOut(plan, rows, options)
  const patience = plan.find(
    ({ index, config }) => config.early_stopping_patience && !rows[index]!.evaluation,
  )
  if (patience)
    throw new ConfigError(
      `early_stopping_patience is ${patience.config.early_stopping_patience}, and there is no evaluation data to go by`,
    )
  const written = eventsOf(options)
  const events = ranks.rank === 0 ? written?.() : undefined
  const heard = events ? { callbacks: [events.callback, ...(callbacks ?? [])] } : {}
  return { ...options, ...heard, rows, plan, ranks, events }
}

/** @throws ConfigError where there is no folder for them */
function eventsOf({ config: { report_to = [] }, output }: TrainerOptions): (() => EventWriter) | undefined {
  if (!Array.isArray(report_to) || report_to.some(name => name !== 'tensorboard'))
    throw new ConfigError(`Trainer: config.report_to is ${shown(report_to)}, expected [] or ['tensorboard']`)
  if (!report_to.length) return undefined
  if (output === undefined)
    throw new ConfigError("report_to is 'tensorboard', and there is no output folder for its files")
  return () => eventWriter(output)
}

/** Warns of rows that are not trained on. */
function tellLeftOut(
  plan: readonly Stage[],
  rows: readonly StageRows[],
  { onWarning = console.warn }: TrainerOptions,
): void {
  const stage = plan.find(({ leftOut }) => leftOut)
  const one = stage?.leftOut === 1
  if (stage)
    onWarning(
      `${rows[stage.index]!.units.count} rows in batches of ${stage.config.per_device_train_batch_size * stage.ranks} leave ` +
        `${one ? 'one' : stage.leftOut} for the last batch of an epoch, which batch normalization cannot take${one ? '' : ` on ${stage.ranks} ranks`}: ` +
        `${one ? 'that row is left out' : 'those rows are left out'}${stage.config.shuffle ? `, ${one ? 'another one' : 'others'} each epoch` : ''}`,
    )
}

const HOOKS = [
  'onTrainBegin',
  'onEpochBegin',
  'onStepEnd',
  'onLog',
  'onEvaluate',
  'onSave',
  'onEpochEnd',
  'onTrainEnd',
] as const

function checkCallbacks(callbacks: unknown): void {
  if (!Array.isArray(callbacks))
    throw new ArgumentError(
      `Trainer: callbacks is ${shown(callbacks)}, expected an array of objects with onStepEnd and so on`,
    )
  for (const [i, callback] of callbacks.entries()) {
    if (typeof callback !== 'object' || callback === null)
      throw new ArgumentError(
        `Trainer: callbacks[${i}] is ${shown(callback)}, expected an object with onStepEnd and so on`,
      )
    for (const name of HOOKS)
      if (callback[name] !== undefined) expectFunction(`Trainer: callbacks[${i}].${name}`, callback[name])
  }
}

/** Where a call of `train` goes on from. */
export function checkTrainOptions(options: TrainOptions): boolean | string {
  expectOptions('Trainer.train: options', options, ['resumeFromCheckpoint'])
  const { resumeFromCheckpoint = false } = options
  if (typeof resumeFromCheckpoint !== 'boolean')
    expectPath('Trainer.train: resumeFromCheckpoint', resumeFromCheckpoint)
  return resumeFromCheckpoint
}
