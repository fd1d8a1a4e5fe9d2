// One training run on a device: pauses and scores between steps, and goes on from its last checkpoint when the device is lost.
import { DeviceError, type Gpu, KernelgradError, type Model, openGpu } from 'kernelgrad'
import { type CallbackContext, type LogEntry, Trainer } from 'kernelgrad/train'
import { trainerConfig } from './model.ts'
import { lastCheckpoint, RUN_FOLDER } from './opfs.ts'
import type { RunState } from './protocol.ts'
import type { Rows } from './rows.ts'

const REPORT_EVERY_MS = 200
/** How long to wait for the word that the device is gone, where a call failed that does not say why. */
const LOST_WITHIN_MS = 10_000
/** Devices lost in a row, none of which took a step, after which another is not tried. */
const MOST_LOST = 3

export interface RunEvents {
  onReady(gpu: Gpu, model: Model): void
  onState(state: RunState, step: number): void
  onHistory(entries: LogEntry[]): void
  onLog(entry: LogEntry): void
  onProgress(step: number): void
  /** The device is gone, and why; the run goes on from `step` on a new one. */
  onLost(message: string, step: number): void
}

type Job = { work: (model: Model) => Promise<unknown>; done: (result: Promise<unknown>) => void }

export class Run {
  readonly #rows: Rows
  readonly #makeModel: () => Model
  readonly #steps: number
  readonly #events: RunEvents
  #gpu: Gpu | undefined
  #model: Model | undefined
  #trainer: Trainer | undefined
  #wish: 'go' | 'pause' | 'stop' = 'go'
  #wake: (() => void) | undefined
  #stepping = false
  #jobs: Job[] = []
  #working: Promise<void> = Promise.resolve()
  #step = 0
  #reported = 0

  constructor(rows: Rows, makeModel: () => Model, steps: number, events: RunEvents) {
    this.#rows = rows
    this.#makeModel = makeModel
    this.#steps = steps
    this.#events = events
  }

  /** Trains to the end, on a new device where one is lost. */
  async train({ resume }: { resume: boolean }): Promise<void> {
    let resumes = resume
    let lost = 0
    for (;;) {
      const before = this.#step
      try {
        await this.#trainOnDevice(resumes)
        this.#events.onState('done', this.#step)
        return
      } catch (error) {
        this.#stepping = false
        const message = await this.lossOfDevice(error)
        lost = this.#step > before ? 1 : lost + 1
        if (message === undefined || lost === MOST_LOST) throw error
        const reached = await lastCheckpoint()
        resumes = reached !== undefined
        this.#events.onLost(message, reached ?? 0)
      }
    }
  }

  /** Why the device was lost; undefined where it was not. A call under way may fail, in words of its own, before that is known. */
  async lossOfDevice(error: unknown): Promise<string | undefined> {
    if (error instanceof KernelgradError && !(error instanceof DeviceError)) return undefined
    const late = new Promise<undefined>(resolve => setTimeout(resolve, LOST_WITHIN_MS))
    const lost = this.#gpu?.device.lost.then(({ message }) => message || 'no reason is given')
    return Promise.race([lost, late])
  }

  async #trainOnDevice(resume: boolean): Promise<void> {
    this.close()
    this.#events.onState('starting', this.#step)
    const trainer = trainerConfig(this.#steps)
    this.#gpu = await openGpu()
    this.#model = this.#makeModel().to(this.#gpu, { seed: trainer.seed })
    this.#events.onReady(this.#gpu, this.#model)
    this.#trainer = new Trainer({
      model: this.#model,
      config: trainer,
      train: this.#rows.train,
      evaluation: this.#rows.evaluation,
      output: RUN_FOLDER,
      onLog: entry => this.#events.onLog(entry),
      callbacks: [
        {
          onTrainBegin: ({ state }) => {
            this.#step = state.global_step
            this.#events.onHistory(state.log_history)
            this.#events.onState('running', this.#step)
          },
          onStepEnd: context => this.#afterStep(context),
          onSave: () => this.#pauseIfWished(),
        },
      ],
    })
    this.#stepping = true
    await this.#trainer.train({ resumeFromCheckpoint: resume })
    this.#stepping = false
    await this.#work()
  }

  async #afterStep({ state, control }: CallbackContext): Promise<void> {
    this.#step = state.global_step
    if (performance.now() - this.#reported > REPORT_EVERY_MS || this.#step === this.#steps) {
      this.#reported = performance.now()
      this.#events.onProgress(this.#step)
      // Messages to this worker are heard between turns of its loop alone.
      await new Promise(resolve => setTimeout(resolve))
    }
    if (this.#wish !== 'go') control.shouldSave = true
    if (this.#wish === 'stop') {
      control.shouldEvaluate = true
      control.shouldTrainingStop = true
    }
    await this.#work()
  }

  /** Called when a checkpoint is whole, so that a page closed during a pause loses nothing. */
  async #pauseIfWished(): Promise<void> {
    if (this.#wish !== 'pause') return
    this.#events.onState('paused', this.#step)
    this.#stepping = false
    await this.#work()
    await new Promise<void>(resolve => {
      this.#wake = resolve
    })
    await this.#working
    this.#stepping = true
    this.#events.onState('running', this.#step)
  }

  pause(): void {
    this.#wish = 'pause'
    this.#events.onState('pausing', this.#step)
  }

  /** Ends a pause, also one that has not come yet. */
  continue(): void {
    this.#wish = 'go'
    if (this.#stepping) this.#events.onState('running', this.#step)
    else this.#wake?.()
  }

  /** Ends the run after the step under way, evaluated and saved. */
  stop(): void {
    this.#wish = 'stop'
    this.#wake?.()
  }

  /** Does something with the model between two steps, when it is whole and no step is being recorded. */
  withModel<T>(work: (model: Model) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ work, done: result => (result as Promise<T>).then(resolve, reject) })
      if (!this.#stepping) this.#work()
    })
  }

  #work(): Promise<void> {
    this.#working = this.#working.then(async () => {
      for (let job = this.#jobs.shift(); job; job = this.#jobs.shift()) {
        const result = job.work(this.#model!)
        job.done(result)
        await result.catch(() => {}) // `done` hands the error on.
      }
    })
    return this.#working
  }

  /** For trying out what a lost device does. */
  loseDevice(): void {
    this.#gpu?.device.destroy()
  }

  close(): void {
    this.#gpu?.close()
    this.#gpu = undefined
  }
}
