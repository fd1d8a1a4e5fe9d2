// The training loop, in the terms of the transformers Trainer.
import { autocast, scope } from '../autograd/index.ts'
import type { Dataset } from '../data/index.ts'
import { type Gpu, InFlight } from '../gpu/index.ts'
import type { AnyBatch } from '../inputs.ts'
import { GradScaler, type Optimizer } from '../optim/index.ts'
import { checkMetricOfRun, judge, outOfPatience } from './best-metric.ts'
import { brokenGradient, brokenLoss } from './broken-loss.ts'
import { dueAfter } from './cadence.ts'
import { type CallbackContext, call, newControl, type PlainHook, type TrainerControl } from './callbacks.ts'
import { type Epochs, openEpochs } from './epochs.ts'
import { evaluateRun } from './evaluate.ts'
import { Lessons } from './lessons.ts'
import { LossLog } from './loss-log.ts'
import { createOptimizer, loggedRates } from './optimizer.ts'
import { Peers } from './peers.ts'
import { endAll } from './ranks-agree.ts'
import { RunTuner, settleForms } from './run-tuner.ts'
import { Saving } from './saving.ts'
import { beginJudging, checkEvaluations, progressOf, type StageRows } from './stage-data.ts'
import { type Position, type Stage, scheduleOf, stepsOf } from './stages.ts'
import { loadOptimizer, type Resumed, resumeRun } from './trainer-checkpoint.ts'
import type { CheckedOptions, TrainerOptions, TrainOptions } from './trainer-options.ts'
import { checkTrainerOptions, checkTrainOptions } from './trainer-options.ts'
import type { LogEntry, TrainerState, TrainerTimings } from './trainer-state.ts'
import { newState, Stopwatch } from './trainer-state.ts'

const [READ_EVERY_MS, DEAF_MS] = [1000, 200]

/**
 * Trains a model on a data set, evaluating and saving on the way. The same model, data, settings and adapter give the same
 * bits, also through an interruption and `resumeFromCheckpoint`.
 *
 * @example
 * ```ts
 * import { parseTrainerConfig, Trainer } from 'kernelgrad'
 *
 * const config = parseTrainerConfig({ num_train_epochs: 1, eval_steps: 500, save_steps: 500 }, 'trainer')
 * const trainer = new Trainer({ model, config, train: dataset, evaluation: dataset, output: 'runs/mine' })
 * const { best_metric } = await trainer.train()
 * ```
 */
export class Trainer {
  /** Where the run stands; `trainer_state.json` of a checkpoint holds it. */
  readonly state: TrainerState
  /** The running stage's. */
  optimizer!: Optimizer
  /** The running stage's, with `fp16`. */
  scaler: GradScaler | undefined
  #rateNames: readonly string[] = []
  readonly #options: CheckedOptions
  readonly #gpu: Gpu
  readonly #rows: readonly StageRows[]
  readonly #plan: Stage[]
  readonly #saving: Saving
  readonly #lessons: Lessons
  readonly #tuner: RunTuner
  /** None of a run that is alone. */
  readonly #peers: Peers | undefined
  readonly #watch = new Stopwatch()
  readonly #control: TrainerControl = newControl()
  #stage: Stage
  #next: Position = { stage: 0, epoch: 0, microBatch: 0 }
  /** The running stage's. */
  #epochs!: Epochs
  /** Whether the optimizer has taken a step since it was made, and whether the stage is to end early. */
  #stepped = false
  #stageStops = false
  #interrupted = false
  #losses!: LossLog
  readonly #inFlight = new InFlight()
  /** The step of the last log line, and the step this process started at. */
  #logged = 0
  #startStep = 0
  #lastRead = Date.now()
  #heard = performance.now()

  /** @throws ConfigError for a setting that is unknown or out of range, DataError for data that cannot be trained on */
  constructor(given: TrainerOptions) {
    const options = checkTrainerOptions(given)
    const { model, config, rows, plan } = options
    checkMetricOfRun(config, model)
    this.#options = options
    this.#saving = new Saving(options)
    this.#gpu = model.gpu
    if (options.ranks.size > 1) this.#peers = new Peers(options.ranks, model)
    this.#lessons = new Lessons(model, config, rows)
    this.#rows = rows
    this.#plan = plan
    this.#stage = this.#plan[0]!
    this.state = newState(model.gpu, stepsOf(plan))
    this.#tuner = new RunTuner({ gpu: model.gpu, state: this.state, warn: options.onWarning ?? console.warn })
  }

  /** Seconds that the parts of `train` have taken. */
  get timings(): TrainerTimings {
    return this.#watch.timings
  }

  /** Whether `interrupt` ended the run before it was over. */
  get interrupted(): boolean {
    return this.#interrupted
  }

  /** Ends the run, on all its ranks, after the optimizer step under way, whose accumulation window is finished first, with a checkpoint. */
  interrupt(): void {
    if (this.#peers) this.#peers.interrupted = true
    else this.#interrupted = true
  }

  /**
   * Runs to the end, or until a callback or `interrupt` stops it. With `load_best_model_at_end`, the model then holds the
   * weights of the best evaluation that was saved.
   * @throws BrokenLossError when the loss is not a number; DataError for a text that is too long; FolderInUseError while another
   * process writes into `output`; CheckpointError when a checkpoint cannot be written or read; RankError when another rank has failed, or has another
   * model, other data or settings. What one rank throws ends all.
   */
  async train(options: TrainOptions = {}): Promise<TrainerState> {
    const resumeFromCheckpoint = checkTrainOptions(options)
    try {
      checkEvaluations(this.#options.model, this.#options.config, this.#rows)
      await this.#lessons.prepare()
      await this.#saving.prepare(resumeFromCheckpoint !== false, this.#lessons.prints)
      const resumed = await this.#prepare(resumeFromCheckpoint)
      await this.#peers?.meet(this.#options, this.#saving.data, this.state)
      await this.#run(resumed)
    } catch (error) {
      await endAll(this.#options.ranks, error)
    } finally {
      this.#peers?.leave()
      this.#lessons.close()
      await this.#options.events?.close()
      await this.#saving.close()
    }
    return this.state
  }

  async #run(resumed: Resumed | undefined): Promise<void> {
    this.#losses = new LossLog(this.#gpu, this.state.global_step, resumed?.point.losses, this.#peers?.sum)
    this.#startStep = this.state.global_step
    this.#logged = this.#startStep - (resumed?.point.losses.since_log.length ?? 0)
    try {
      await this.#call('onTrainBegin')
      this.#options.model.train()
      let from = resumed
      for (const stage of this.#plan.slice(this.#next.stage)) {
        await this.#runStage(stage, from)
        from = undefined
        if (this.#control.shouldTrainingStop) break
      }
      this.#interrupted &&= this.state.global_step < this.state.max_steps
      if (!this.#interrupted) await this.#finish()
    } finally {
      this.#losses.dispose()
    }
  }

  /** Loads a checkpoint where one is asked for. */
  async #prepare(from: boolean | string): Promise<Resumed | undefined> {
    const resumed = await resumeRun(from, this.#options, this.#saving.data)
    if (!resumed) return undefined
    const { max_steps } = this.state
    Object.assign(this.state, resumed.state, { max_steps })
    this.#next = { ...resumed.point.next }
    return resumed
  }

  async #runStage(stage: Stage, resumed: Resumed | undefined): Promise<void> {
    const { model } = this.#options
    const { config, index } = stage
    const { train } = this.#rows[index]!
    this.#stage = stage
    if (!resumed) {
      this.#next = { stage: index, epoch: 0, microBatch: 0 }
      beginJudging(this.state, this.#rows, index)
    }
    this.#stageStops = outOfPatience(this.state, config)
    this.state.stage = index
    this.#stepped = false
    await this.#lessons.begin(stage)
    const { optimizer, rateNames } = await createOptimizer(model, config)
    this.optimizer = optimizer
    this.#rateNames = rateNames
    this.scaler = config.fp16 ? new GradScaler(model.gpu) : undefined
    this.#epochs = await openEpochs(this.#rows[index]!, stage, this.#lessons.inputs, model, this.#peers?.cut)
    try {
      if (resumed) await loadOptimizer(resumed, model, this)
      const tunes = !resumed && !this.state.global_step && this.#options.ranks.rank === 0
      await settleForms(this.#tuner, model, train, stage, this.#lessons, tunes)
      await this.#peers?.sameForms(this.state)
      const rates = this.optimizer.groups.map(({ lr }) => lr)
      do {
        await this.#runEpoch(rates)
        if (this.#interrupted && this.#control.shouldTrainingStop) break
        await this.#call('onEpochEnd')
        await this.#agree()
        await this.#act()
        if (this.#next.microBatch === stage.microBatches)
          this.#next = { stage: index, epoch: this.#next.epoch + 1, microBatch: 0 }
      } while (this.#going())
      await this.#watch.time('wait', () => this.#inFlight.drain())
      await this.#checkNumbers()
      this.optimizer.synchronize()
    } finally {
      await this.#epochs.close()
      this.optimizer.dispose()
      this.scaler?.dispose()
    }
  }

  /** Whether the stage has steps left that nothing has stopped. */
  #going(): boolean {
    const { firstStep, steps } = this.#stage
    const stopped = this.#control.shouldTrainingStop || this.#stageStops
    return !stopped && this.state.global_step < firstStep + steps
  }

  /** The rest of the epoch that the next micro-batch stands in. */
  async #runEpoch(rates: readonly number[]): Promise<void> {
    const { index, config, microBatches, firstStep, firstEpoch } = this.#stage
    const { epoch, microBatch } = this.#next
    const factor = scheduleOf(this.#stage)
    if (microBatch === 0) await this.#call('onEpochBegin')
    this.#peers?.begin(this.#stage, this.#rows[index]!, firstEpoch + epoch)
    const source = this.#epochs.from(firstEpoch + epoch, microBatch)
    try {
      while (this.#next.microBatch < microBatches && this.#going()) {
        const part = factor(this.state.global_step - firstStep)
        for (const [i, group] of this.optimizer.groups.entries()) group.lr = rates[i]! * part
        const count = Math.min(config.gradient_accumulation_steps, microBatches - this.#next.microBatch)
        for (let i = 0; i < count; i++) {
          const { value: batch } = await this.#watch.time('data', () => source.next())
          const share = await this.#peers?.share(this.#next.microBatch + i, this.#lessons.count(batch!))
          await this.#watch.time('record', () => this.#accumulate(batch!, count, share))
          if (performance.now() - this.#heard > DEAF_MS) await this.#listen()
        }
        // Memory there was not enough of is to be told before anything changes that a checkpoint alone brings back.
        await this.#watch.time('wait', () => this.#gpu.settled())
        await this.#peers?.exchange(this.optimizer, this.#watch)
        await this.#watch.time('record', () => this.#step())
        this.#next.microBatch += count
        this.state.epoch = firstEpoch + epoch + this.#next.microBatch / microBatches
        await this.#watch.time('wait', () => this.#inFlight.push(this.#gpu))
        await this.#afterStep()
      }
    } finally {
      await source.return(undefined)
    }
  }

  /** Lets the event loop turn: recording alone never does, and a second Ctrl-C in a long window is to be heard. */
  async #listen(): Promise<void> {
    await new Promise(resolve => setTimeout(resolve))
    this.#heard = performance.now()
  }

  /** Adds a micro-batch's gradients to those of its window of `count`. Reads nothing back. */
  #accumulate(batch: AnyBatch, count: number, share = 1): void {
    scope(() => {
      const loss = autocast(this.#stage.config.fp16 ? 'f16' : 'f32', () => this.#lessons.loss(batch))
      const scaled = this.scaler ? this.scaler.scale(loss) : loss
      scaled.backward({ scale: share / count })
      this.#losses.add(loss, share)
    })
  }

  #step(): void {
    const maxGradNorm = this.#stage.config.max_grad_norm ?? 0
    this.optimizer.step({ maxGradNorm, scaler: this.scaler })
    this.optimizer.zeroGrad()
    this.#losses.endStep()
    this.#stepped = true
    this.state.global_step++
  }

  async #afterStep(): Promise<void> {
    const control = this.#control
    const { last, ...planned } = dueAfter(this.state.global_step, this.#stage)
    Object.assign(control, planned)
    await this.#call('onStepEnd')
    const due = await this.#agree(Date.now() - this.#lastRead > READ_EVERY_MS)
    const onPlan = control.shouldSave
    this.#heed()
    if (due || last || this.#losses.filling) {
      await this.#readLosses()
      const how = progressOf(this.#plan, this.#rows, this.state, this.#startStep)
      this.#options.onProgress?.({ ...how, loss: this.#losses.recent })
      if (!this.#peers) await this.#watch.time('wait', () => this.#tuner.later())
    }
    await this.#act(onPlan)
  }

  /** Has all ranks do what any wants done; `due` is whether this one's losses are to be read. */
  async #agree(due = false): Promise<boolean> {
    const agreed = await this.#peers?.agree(this.#control, due)
    this.#interrupted ||= agreed?.interrupted ?? false
    return agreed?.due ?? due
  }

  /** An interruption saves and ends the run, also one that came during an evaluation: there may be no time for a further step. */
  #heed(): void {
    if (this.#interrupted) Object.assign(this.#control, { shouldSave: true, shouldTrainingStop: true })
  }

  /** Does what `control` says is due. */
  async #act(onPlan = true): Promise<void> {
    const { output } = this.#options
    const { evaluation } = this.#rows[this.#stage.index]!
    const control = this.#control
    const planned = onPlan && control.shouldSave
    if (control.shouldLog && this.state.global_step > this.#logged) await this.#logLoss()
    if (control.shouldEvaluate && evaluation) {
      await this.#evaluateAndLog(evaluation)
      await this.#agree()
    }
    this.#heed()
    if (control.shouldSave && output) await this.#save(output, planned)
    Object.assign(control, { shouldLog: false, shouldEvaluate: false, shouldSave: false })
  }

  async #logLoss(): Promise<void> {
    await this.#readLosses()
    const grad_norm = await this.#gradNorm()
    this.#logged = this.state.global_step
    const norm: Record<string, number> = grad_norm === undefined ? {} : { grad_norm }
    await this.#log({
      loss: this.#losses.takeMean(),
      ...norm,
      ...loggedRates(this.optimizer, this.#rateNames),
    })
  }

  async #evaluateAndLog(evaluation: Dataset): Promise<void> {
    const { config } = this.#stage
    await this.#checkNumbers()
    const metrics = await this.#watch.time('evaluate', () => {
      this.optimizer.synchronize()
      return evaluateRun(this.#options, evaluation, config, this.state.global_step)
    })
    await this.#log(metrics)
    judge(this.#options.model, this.state, config, metrics, this.#options.onWarning ?? console.warn)
    this.#stageStops = outOfPatience(this.state, config)
    await call(this.#options.callbacks, 'onEvaluate', { ...this.#context(), metrics })
  }

  async #save(output: string, onPlan: boolean): Promise<void> {
    await this.#checkNumbers()
    const folder = await this.#watch.time('save', () => {
      const { optimizer, scaler, state } = this
      const running = { optimizer, scaler, state, next: this.#next, losses: this.#losses.state() }
      return this.#saving.save(output, running, onPlan)
    })
    await call(this.#options.callbacks, 'onSave', { ...this.#context(), folder })
  }

  async #finish(): Promise<void> {
    await this.#log({ train_loss: this.#losses.total / this.state.global_step })
    await this.#saving.finish(this.state)
    await this.#call('onTrainEnd')
  }

  async #readLosses(): Promise<void> {
    this.#lastRead = Date.now()
    await this.#watch.time('wait', () => this.#losses.read())
    if (this.#losses.broken) throw brokenLoss(this.#plan, this.#rows, this.#losses.broken)
  }

  /** The last step's, before clipping; undefined where gradients are not clipped, or no step was taken yet. */
  async #gradNorm(): Promise<number | undefined> {
    if (!this.#stage.config.max_grad_norm || !this.#stepped) return undefined
    return this.#watch.time('wait', () => this.optimizer.gradNorm())
  }

  /** Weights that a loss or a gradient has broken are neither evaluated nor saved. A scaler skips a broken gradient. */
  async #checkNumbers(): Promise<void> {
    await this.#readLosses()
    const norm = this.scaler ? undefined : await this.#gradNorm()
    if (norm !== undefined && !Number.isFinite(norm))
      throw brokenGradient(this.#plan, this.#rows, this.state.global_step - 1)
  }

  async #log(entry: Record<string, number>): Promise<void> {
    const logs = { ...entry, epoch: this.state.epoch, step: this.state.global_step } as LogEntry
    this.state.log_history.push(logs)
    this.#options.onLog?.(logs)
    await call(this.#options.callbacks, 'onLog', { ...this.#context(), logs })
  }

  #call(hook: PlainHook): Promise<void> {
    return call(this.#options.callbacks, hook, this.#context())
  }

  #context(): CallbackContext {
    const { config: args } = this.#stage
    return { args, state: this.state, control: this.#control, model: this.#options.model }
  }
}
