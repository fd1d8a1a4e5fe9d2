// Runs of a few steps have training curves too.
import { isObject } from '../config/schema.ts'
import { readJson } from '../data/files.ts'
import type { TrainerCallback } from '../train/index.ts'

/** Points of a training curve, at least, where a configuration does not say how often a run logs. */
const POINTS = 20

/** Logs more often than `logging_steps` does where a run is short. It changes no bit of what is trained. */
export const logOften: TrainerCallback = {
  onStepEnd({ args, state, control }) {
    const every = Math.ceil(state.max_steps / POINTS)
    if (every < args.logging_steps! && state.global_step % every === 0) control.shouldLog = true
  },
}

/** Whether a configuration, of a file unless it is given, leaves `logging_steps` out. */
export async function leavesLoggingOut(path: string, given?: Record<string, unknown>): Promise<boolean> {
  const json = given ?? (await readJson(path))
  const trainer = isObject(json) ? json.trainer : undefined
  return !isObject(trainer) || trainer.logging_steps === undefined
}
