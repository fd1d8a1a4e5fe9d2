// When a run logs, evaluates and saves.
import type { Stage } from './stages.ts'

/** What is due after a step of a stage, and whether that was its last. */
export function dueAfter(step: number, { config, firstStep, steps }: Stage) {
  const last = step === firstStep + steps
  return {
    last,
    shouldLog: due(step, config.logging_steps),
    shouldEvaluate: due(step, config.eval_steps) || (last && config.eval_steps !== null),
    shouldSave: due(step, config.save_steps) || last,
  }
}

const due = (step: number, every: number | null) => every !== null && step % every === 0
