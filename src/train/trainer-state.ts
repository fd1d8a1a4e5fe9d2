// What a training run leaves behind, in the words of transformers' TrainerState.

import type { Gpu } from '../gpu/index.ts'
import { type Choices, choicesOf } from '../kernels/tuning.ts'

/** One entry of the log history, as the transformers Trainer writes it. */
export type LogEntry = { step: number; epoch: number } & Record<string, number>

/** What `trainer_state.json` holds. */
export interface TrainerState {
  /** Optimizer steps taken, over all stages. */
  global_step: number
  /** Epochs done, over all stages. */
  epoch: number
  /** Optimizer steps of the whole run. */
  max_steps: number
  /** The best value of `metric_for_best_model`; null before the first evaluation. */
  best_metric: number | null
  /** The step it was measured at. */
  best_global_step: number | null
  /** The folder with its weights, where it was saved. */
  best_model_checkpoint: string | null
  /** Losses and evaluations so far. */
  log_history: LogEntry[]
  /** The stage that runs, from 0. */
  stage: number
  /** Evaluations in a row without a better metric, as transformers' EarlyStoppingCallback counts them. */
  early_stopping_patience_counter: number
  /** Kernel forms that were measured to be fastest and are used instead of the built-in ones: they decide the last bits. */
  kernel_choices: Choices
  /** What was timed by the run itself: see `KernelTuning`. */
  kernel_tuning: KernelTuning
}

/** What a run has timed of kernel forms, within 2% of its time. */
export interface KernelTuning {
  /** Classes of shapes whose form was chosen before the first step; 0 of a run that took what it found, as short ones do. */
  settled: number
  /** Classes that were timed later on: their choice is for the next run, this one goes on as it began. */
  kept_for_later: number
  /** Seconds that timing took. */
  seconds: number
}

export function newState(gpu: Gpu, maxSteps: number): TrainerState {
  return {
    global_step: 0,
    epoch: 0,
    max_steps: maxSteps,
    best_metric: null,
    best_global_step: null,
    best_model_checkpoint: null,
    log_history: [],
    stage: 0,
    early_stopping_patience_counter: 0,
    kernel_choices: choicesOf(gpu),
    kernel_tuning: { settled: 0, kept_for_later: 0, seconds: 0 },
  }
}

/** Seconds that the parts of `Trainer.train` took. */
export interface TrainerTimings {
  /** Waiting for batches to be collated. */
  data: number
  /** Recording steps for the device. */
  record: number
  /** Waiting for the device, its losses and norms included. */
  wait: number
  /** Exchanging gradients with other ranks, the wait for them and for the device included; absent from a run that is alone. */
  exchange?: number
  /** Evaluating. */
  evaluate: number
  /** Writing checkpoints. */
  save: number
}

/** Measures one part of a run; the seconds are added up. */
export class Stopwatch {
  readonly timings: TrainerTimings = { data: 0, record: 0, wait: 0, evaluate: 0, save: 0 }

  async time<T>(part: keyof TrainerTimings, work: () => T | Promise<T>): Promise<T> {
    const started = performance.now()
    try {
      return await work()
    } finally {
      this.timings[part] = (this.timings[part] ?? 0) + (performance.now() - started) / 1000
    }
  }
}
