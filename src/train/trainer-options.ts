import type { ResolvedTrainerConfig } from '../config/index.ts'
import type { Dataset } from '../data/index.ts'
import type { TrainerCallback } from './callbacks.ts'
import type { Evaluation } from './evaluate.ts'
import type { ClickModel } from './model.ts'
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
  model: ClickModel
  /** Settings with every default, from `parseTrainerConfig`. */
  config: ResolvedTrainerConfig
  /** Rows to train on, with labels. */
  train: Dataset
  /** Rows to evaluate on, with labels. */
  evaluation?: Dataset
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
  /** Gets the labels and probabilities of every evaluation, for curves, before its metrics are logged. */
  onEvaluation?: (evaluation: Evaluation, step: number) => void
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
