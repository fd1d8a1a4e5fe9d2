// The training loop, in the terms of the transformers Trainer.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { autocast, scope } from '../autograd/index.ts'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { collate, type Dataset, shuffledOrder } from '../data/index.ts'
import { KernelgradError } from '../errors.ts'
import { type Gpu, InFlight } from '../gpu/index.ts'
import { type Choices, choicesOf } from '../kernels/tuning.ts'
import { AdamW, GradScaler, type Schedule, schedule } from '../optim/index.ts'
import { loadWeights, prepareOutputFolder, saveModel, WEIGHTS_FILE } from './checkpoint.ts'
import { LossLog } from './loss-log.ts'
import { accuracy, binaryMetrics, logLossMulti } from './metrics.ts'
import { type ClickModel, collateOptions } from './model.ts'
import { parameterGroups } from './parameter-groups.ts'
import { clickProbability, predict } from './predict.ts'

/** One entry of the log history, as the transformers Trainer writes it. */
export type LogEntry = { step: number; epoch: number } & Record<string, number>

/** What a training run leaves behind. */
export interface TrainerState {
  global_step: number
  epoch: number
  max_steps: number
  best_metric: number | null
  best_global_step: number | null
  best_model_checkpoint: string | null
  log_history: LogEntry[]
  /** Kernel forms that were measured to be fastest and are used instead of the built-in ones: they decide the last bits. */
  kernel_choices: Choices
}

export interface TrainerProgress {
  step: number
  maxSteps: number
  rows: number
  totalRows: number
  /** Mean loss of recent steps, once one has been read. */
  loss?: number
}

export interface TrainerOptions {
  model: ClickModel
  config: ResolvedTrainerConfig
  train: Dataset
  evaluation?: Dataset
  /** Folder for checkpoints; nothing is saved without one. */
  output?: string
  onProgress?: (progress: TrainerProgress) => void
  onLog?: (entry: LogEntry) => void
}

const READ_EVERY_MS = 1000

/** Trains a model on a data set, evaluating and saving on the way. */
export class Trainer {
  readonly state: TrainerState
  readonly optimizer: AdamW
  /** With `fp16`. */
  readonly scaler: GradScaler | undefined
  readonly #options: TrainerOptions
  readonly #gpu: Gpu
  readonly #schedule: Schedule
  readonly #baseRates: number[]
  readonly #microBatches: number
  readonly #stepsPerEpoch: number
  #saved: number[] = []

  constructor(options: TrainerOptions) {
    const { model, config, train } = options
    this.#options = options
    this.#gpu = model.gpu
    this.#microBatches = Math.ceil(train.length / config.per_device_train_batch_size)
    this.#stepsPerEpoch = Math.ceil(this.#microBatches / config.gradient_accumulation_steps)
    const maxSteps = config.max_steps ?? Math.ceil(config.num_train_epochs * this.#stepsPerEpoch)
    this.optimizer = new AdamW(model.gpu, parameterGroups(model, config), {
      betas: [config.adam_beta1, config.adam_beta2],
      eps: config.adam_epsilon,
      weightDecay: config.weight_decay,
    })
    this.scaler = config.fp16 ? new GradScaler(model.gpu) : undefined
    this.#baseRates = this.optimizer.groups.map(group => group.lr)
    this.#schedule = schedule(config.lr_scheduler_type, {
      warmupSteps: config.warmup_steps,
      totalSteps: maxSteps,
    })
    this.state = {
      global_step: 0,
      epoch: 0,
      max_steps: maxSteps,
      best_metric: null,
      best_global_step: null,
      best_model_checkpoint: null,
      log_history: [],
      kernel_choices: choicesOf(model.gpu),
    }
  }

  /** Runs to the end. With `load_best_model_at_end`, the model then holds the weights of the lowest evaluation loss. */
  async train(): Promise<TrainerState> {
    const { model, config, output } = this.#options
    if (output) await prepareOutputFolder(output)
    const losses = new LossLog(this.#gpu)
    const inFlight = new InFlight()
    let lastRead = Date.now()
    let logged = 0
    model.train()
    try {
      for (let epoch = 0; this.state.global_step < this.state.max_steps; epoch++) {
        const order = this.#order(epoch)
        for (let first = 0; first < this.#microBatches && this.state.global_step < this.state.max_steps; ) {
          const count = Math.min(config.gradient_accumulation_steps, this.#microBatches - first)
          this.#step(order, first, count, losses)
          first += count
          this.state.epoch = epoch + first / this.#microBatches
          await inFlight.push(this.#gpu)
          const { global_step: step, max_steps: last } = this.state
          const rows = (epoch * this.#microBatches + first) * config.per_device_train_batch_size
          if (due(step, config.logging_steps)) {
            const { mean, broken } = await losses.mean(logged, step)
            this.#stopAtNaN(broken)
            const norm: Record<string, number> = config.max_grad_norm
              ? { grad_norm: await this.optimizer.gradNorm() }
              : {}
            this.#log({ loss: mean, ...norm, learning_rate: this.#rate() })
            logged = step
          }
          if (Date.now() - lastRead > READ_EVERY_MS || step === last) {
            lastRead = Date.now()
            this.#report(rows, (await losses.mean(step - 20, step)).mean)
          }
          const evaluated = due(step, config.eval_steps) || (step === last && config.eval_steps !== null)
          if (evaluated && this.#options.evaluation) await this.#evaluateAndLog()
          if (output && (due(step, config.save_steps) || step === last)) await this.#save(output)
        }
      }
      await inFlight.drain()
      this.#stopAtNaN((await losses.mean(logged, this.state.global_step)).broken)
      this.optimizer.synchronize()
      if (config.load_best_model_at_end && this.state.best_model_checkpoint) {
        await loadWeights(model, join(this.state.best_model_checkpoint, WEIGHTS_FILE))
      }
    } finally {
      losses.dispose()
      this.optimizer.dispose()
      this.scaler?.dispose()
    }
    return this.state
  }

  /** One optimizer step over `count` micro-batches. Reads nothing back. */
  #step(order: Uint32Array, first: number, count: number, losses: LossLog): void {
    const { model, config, train } = this.#options
    const size = config.per_device_train_batch_size
    const collating = collateOptions(model, config)
    for (const [i, group] of this.optimizer.groups.entries())
      group.lr = this.#baseRates[i]! * this.#schedule(this.state.global_step)
    for (let micro = first; micro < first + count; micro++) {
      scope(() => {
        const batch = collate(train, order.subarray(micro * size, (micro + 1) * size), collating)
        const { loss } = autocast(config.fp16 ? 'f16' : 'f32', () => model.forward(batch))
        const scaled = this.scaler ? this.scaler.scale(loss!) : loss!
        scaled.backward({ scale: 1 / count })
        losses.add(this.state.global_step, loss!)
      })
    }
    this.optimizer.step({ maxGradNorm: config.max_grad_norm ?? 0, scaler: this.scaler })
    this.optimizer.zeroGrad()
    this.state.global_step++
  }

  async #evaluateAndLog(): Promise<void> {
    const { model, evaluation, config } = this.#options
    this.optimizer.synchronize()
    const metrics = await evaluate(model, evaluation!, {
      batchSize: config.per_device_eval_batch_size,
      truncate: config.truncate,
    })
    const entry = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval_${name}`, value]))
    this.#log(entry)
    if (this.state.best_metric === null || metrics.loss < this.state.best_metric) {
      this.state.best_metric = metrics.loss
      this.state.best_global_step = this.state.global_step
    }
  }

  async #save(output: string): Promise<void> {
    const { model, config } = this.#options
    const { global_step: step } = this.state
    const folder = join(output, `checkpoint-${step}`)
    if (this.state.best_global_step === step) this.state.best_model_checkpoint = folder
    await saveModel(model, folder, { 'trainer_state.json': this.state })
    this.#saved.push(step)
    const limit = config.save_total_limit
    while (limit !== null && this.#saved.length > limit) {
      const best = config.load_best_model_at_end ? this.state.best_model_checkpoint : null
      // The best checkpoint stays, and so does the newest: with a limit of one, both may be needed.
      const oldest = this.#saved.find(saved => saved !== step && join(output, `checkpoint-${saved}`) !== best)
      if (oldest === undefined) break
      await rm(join(output, `checkpoint-${oldest}`), { recursive: true, force: true })
      this.#saved = this.#saved.filter(saved => saved !== oldest)
    }
  }

  #order(epoch: number): Uint32Array {
    const { train, config } = this.#options
    return config.shuffle
      ? shuffledOrder(train.length, config.seed, epoch)
      : Uint32Array.from({ length: train.length }, (_, i) => i)
  }

  #rate(): number {
    // transformers logs the rate that the next step will use.
    return this.#baseRates[0]! * this.#schedule(this.state.global_step)
  }

  #log(entry: Record<string, number>): void {
    const full = { ...entry, step: this.state.global_step, epoch: this.state.epoch } as LogEntry
    this.state.log_history.push(full)
    this.#options.onLog?.(full)
  }

  #report(rows: number, loss: number): void {
    const { train, config } = this.#options
    const total =
      this.state.max_steps * config.gradient_accumulation_steps * config.per_device_train_batch_size
    const totalRows = config.max_steps ? total : Math.ceil(config.num_train_epochs * train.length)
    this.#options.onProgress?.({
      step: this.state.global_step,
      maxSteps: this.state.max_steps,
      rows: Math.min(rows, totalRows),
      totalRows,
      loss,
    })
  }

  #stopAtNaN(step: number | undefined): void {
    if (step === undefined) return
    // Scaling the loss keeps gradients in f16's range; activations beyond 65504 it cannot help.
    const precision = this.#options.config.fp16 ? 'float32 (fp16: false), ' : ''
    throw new KernelgradError(
      `the loss is not a number at step ${step + 1}; try ${precision}a lower learning rate, gradient clipping (max_grad_norm) or a check of the numerical features`,
    )
  }
}

const due = (step: number, every: number | null) => every !== null && step % every === 0

/** Loss and metrics over a labelled data set: loss is the mean cross-entropy; binary models add log_loss, roc_auc, pr_auc. */
export async function evaluate(
  model: ClickModel,
  data: Dataset,
  options: { batchSize?: number; truncate?: boolean; onBatch?: (rows: number) => void } = {},
): Promise<{ loss: number } & Record<string, number>> {
  if (!data.labels) throw new KernelgradError('evaluation needs labels, and the data has none')
  const probabilities = await predict(model, data, options)
  return metricsOf(data.labels, probabilities, model.config.num_labels)
}

/** What `evaluate` returns, of probabilities [rows, C] already there. */
export function metricsOf(
  labels: Uint32Array,
  probabilities: Float32Array,
  C: number,
): { loss: number } & Record<string, number> {
  const loss = logLossMulti(labels, probabilities, C)
  if (C > 2) return { loss, accuracy: accuracy(labels, probabilities, C) }
  return { loss, ...binaryMetrics(labels, clickProbability(probabilities)) }
}
