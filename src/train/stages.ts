// What a run consists of, worked out before it starts: stages, their epochs and steps.
import type { ResolvedTrainerConfig, StageConfig } from '../config/index.ts'
import { stageOptim } from '../config/optimizer.ts'
import { type BatchSize, batchCount, batchStarts, type Units } from '../data/lists.ts'
import { ConfigError } from '../errors.ts'
import type { Model } from '../models/index.ts'
import { BatchNorm1d } from '../nn/index.ts'
import { type Schedule, schedule } from '../optim/index.ts'
import { epochOrder } from './batches.ts'

/** A part of a run with settings and an optimizer of its own. Steps and epochs are counted through all stages. */
export interface Stage {
  index: number
  /** The trainer's settings with the stage's in place. */
  config: ResolvedTrainerConfig
  /** Micro-batches and optimizer steps an epoch; the last window of an epoch may be short. */
  microBatches: number
  stepsPerEpoch: number
  /** Rows at the end of an epoch's order that are not trained on: those of a batch that cannot be normalized, of one row. */
  leftOut: number
  /** Optimizer steps of the stage, and where it starts. */
  steps: number
  firstStep: number
  firstEpoch: number
  /** Processes that each micro-batch is shared among: its rows are so many times those that the settings give a device. */
  ranks: number
  /** Files of its own, where its settings name them. */
  files: Pick<StageConfig, 'train' | 'eval'>
}

/** Where in a stage the next micro-batch stands. */
export interface Position {
  stage: number
  /** Counted from the stage's first. */
  epoch: number
  /** Equal to the number of micro-batches at the end of an epoch. */
  microBatch: number
}

/**
 * The stages of a run over such units, those of each stage; of a number of them, steps are only right where batches count them.
 * @param normalizes whether batches are normalized: one of a single row has no variance. A last row that would be one by itself is
 *   left out; which row that is differs by epoch where rows are shuffled.
 * @param ranks processes that share each micro-batch. Where rows are normalized, each has two of them or more: what is left over is left out.
 * @throws ConfigError where every batch would have one row; or for fewer units than ranks.
 */
export function planStages(
  config: ResolvedTrainerConfig,
  given: readonly Units[] | number,
  normalizes = false,
  ranks = 1,
): Stage[] {
  const plan: Stage[] = []
  let [firstStep, firstEpoch] = [0, 0]
  // What one stage freezes is not frozen in the next, unless that says so.
  const freeze = config.freeze ?? (config.stages.some(stage => stage.freeze) ? [] : undefined)
  for (const [index, stage] of (config.stages.length ? config.stages : [{} as StageConfig]).entries()) {
    const { train, eval: evaluation, ...changes } = stage
    const units = typeof given === 'number' ? given : given[index]!
    const count = typeof units === 'number' ? units : units.count
    const own: ResolvedTrainerConfig = { ...config, freeze, ...changes, ...stageOptim(config, changes) }
    const size = own.per_device_train_batch_size
    const all = size * ranks
    if (typeof units !== 'number' && count < ranks)
      throw new ConfigError(
        `the training data has ${count} ${units.lists ? 'lists' : 'rows'}, and there are ${ranks} ranks, expected one for each at least; start fewer ranks`,
      )
    if (normalizes && (size === 1 || count < 2 * ranks))
      throw new ConfigError(
        `${size === 1 ? 'per_device_train_batch_size is 1' : `the training data has ${count} ${count === 1 ? 'row' : `rows for ${ranks} ranks`}`}, and the model has batch normalization ` +
          '(BatchNorm1d), which takes batches of 2 rows or more while training',
      )
    const leftOut = normalizes && count % all < 2 * ranks ? count % all : 0
    const microBatches =
      leftOut || typeof units === 'number'
        ? Math.ceil((count - leftOut) / all)
        : batchCount(units, batchSizeOf(own, ranks))
    const stepsPerEpoch = Math.ceil(microBatches / own.gradient_accumulation_steps)
    const steps = own.max_steps ?? Math.ceil(own.num_train_epochs * stepsPerEpoch)
    const files = { train, eval: evaluation }
    plan.push({
      index,
      config: own,
      microBatches,
      stepsPerEpoch,
      leftOut,
      steps,
      firstStep,
      firstEpoch,
      ranks,
      files,
    })
    firstStep += steps
    firstEpoch += Math.ceil(steps / stepsPerEpoch)
  }
  return plan
}

/** Whether rows of a batch are normalized by one another. A model of lists is left alone: how many rows its batches have is its data's affair. */
export const normalizesRows = (model: Model, { lists }: Units): boolean =>
  !lists && [...model.namedModules()].some(([, module]) => module instanceof BatchNorm1d)

/** Optimizer steps of all stages. */
export function stepsOf(plan: readonly Stage[]): number {
  const { firstStep, steps } = plan.at(-1)!
  return firstStep + steps
}

/** Where micro-batch `microBatch` of step `step` (counted through all stages) stands. */
export function positionOf(plan: readonly Stage[], step: number, microBatch: number): Position {
  const stage = plan.findLast(({ firstStep }) => firstStep <= step)!
  const inStage = step - stage.firstStep
  return {
    stage: stage.index,
    epoch: Math.floor(inStage / stage.stepsPerEpoch),
    microBatch: (inStage % stage.stepsPerEpoch) * stage.config.gradient_accumulation_steps + microBatch,
  }
}

/** Rows that a run has gone through after `steps` steps, of data in such units, by stage. */
export function rowsAfter(plan: readonly Stage[], steps: number, all: readonly Units[]): number {
  let sum = 0
  for (const { index, config, firstStep, firstEpoch, stepsPerEpoch, leftOut, steps: own, ranks } of plan) {
    const units = all[index]!
    const taken = Math.min(Math.max(steps - firstStep, 0), own)
    const epochs = Math.floor(taken / stepsPerEpoch)
    const batches = (taken % stepsPerEpoch) * config.gradient_accumulation_steps
    sum += epochs * (units.rows - leftOut)
    if (units.lists && batches)
      sum += batchesOf(units, config, firstEpoch + epochs, [0, batches], ranks).length
    else sum += Math.min(batches * config.per_device_train_batch_size * ranks, units.count - leftOut)
  }
  return sum
}

/** How a stage cuts its epochs: into batches that so many processes share. */
export const batchSizeOf = (
  { per_device_train_batch_size: size, per_device_train_batch_rows: rows }: ResolvedTrainerConfig,
  ranks = 1,
): BatchSize => ({ batchSize: size * ranks, batchRows: rows && rows * ranks })

/** The rows of an epoch's micro-batches from one to before another. */
export function batchesOf(
  units: Units,
  config: ResolvedTrainerConfig,
  epoch: number,
  [first, end]: readonly [number, number],
  ranks = 1,
): Uint32Array {
  const order = epochOrder(units.count, config, epoch)
  const starts = batchStarts(units, order, batchSizeOf(config, ranks))
  const at = (i: number) => starts[Math.min(i, starts.length - 1)]
  return units.rowsOf(order.subarray(at(first), at(end)))
}

/** The learning rate's factor by step of the stage. */
export function scheduleOf({ config, steps }: Stage): Schedule {
  const { lr_scheduler_type, warmup_steps, warmup_ratio } = config
  const warmupSteps = warmup_steps || Math.ceil(warmup_ratio * steps)
  return schedule(lr_scheduler_type, { warmupSteps, totalSteps: steps })
}
