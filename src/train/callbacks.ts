// Hooks into the training loop, under the names of transformers' TrainerCallback.
import type { ResolvedTrainerConfig } from '../config/index.ts'
import type { Model } from '../models/index.ts'
import type { LogEntry, TrainerState } from './trainer-state.ts'

/** What the loop does next; a callback may set any of it. The last three hold for the current step only. */
export interface TrainerControl {
  /** End the run after this step. */
  shouldTrainingStop: boolean
  /** Evaluate after this step. */
  shouldEvaluate: boolean
  /** Save a checkpoint after this step. */
  shouldSave: boolean
  /** Log the loss after this step. */
  shouldLog: boolean
}

export const newControl = (): TrainerControl => ({
  shouldTrainingStop: false,
  shouldEvaluate: false,
  shouldSave: false,
  shouldLog: false,
})

/** What a callback gets. */
export interface CallbackContext {
  /** The settings of the stage that runs. */
  args: ResolvedTrainerConfig
  /** How far the run is. */
  state: TrainerState
  /** What it does next. */
  control: TrainerControl
  /** The model that is trained. */
  model: Model
}

/** Hooks of the training loop; each may be async, and the loop waits for it. */
export interface TrainerCallback {
  /** Before the first step of this call of `train`, after a checkpoint has been loaded. */
  onTrainBegin?(context: CallbackContext): void | Promise<void>
  /** Before an epoch's first batch. */
  onEpochBegin?(context: CallbackContext): void | Promise<void>
  /** After an optimizer step, with `control` already set as the settings want it, before logging, evaluating, saving. */
  onStepEnd?(context: CallbackContext): void | Promise<void>
  /** After an entry was added to the log history. */
  onLog?(context: CallbackContext & { logs: LogEntry }): void | Promise<void>
  /** After an evaluation; `metrics` has the names of the log, `eval_loss` and so on. */
  onEvaluate?(context: CallbackContext & { metrics: Record<string, number> }): void | Promise<void>
  /** After a checkpoint is whole on disk. */
  onSave?(context: CallbackContext & { folder: string }): void | Promise<void>
  /** After an epoch's last step. */
  onEpochEnd?(context: CallbackContext): void | Promise<void>
  /** At the end of a run that nothing interrupted, once the best weights are loaded where that is asked for. */
  onTrainEnd?(context: CallbackContext): void | Promise<void>
}

type Hook = keyof TrainerCallback
type ContextOf<H extends Hook> = Parameters<Required<TrainerCallback>[H]>[0]
/** Hooks that get nothing beyond the context. */
export type PlainHook = Exclude<Hook, 'onLog' | 'onEvaluate' | 'onSave'>

/** Calls a hook of every callback, in order. */
export async function call<H extends Hook>(
  callbacks: readonly TrainerCallback[] = [],
  hook: H,
  context: ContextOf<H>,
): Promise<void> {
  for (const callback of callbacks) {
    const run = callback[hook] as ((context: ContextOf<H>) => void | Promise<void>) | undefined
    await run?.call(callback, context)
  }
}
