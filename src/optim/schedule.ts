import { expectNumber, expectOptions, NATURAL, NON_NEGATIVE, shown } from '../check.ts'
import { ConfigError } from '../errors.ts'

/** Factor of the learning rate at a step, counted from 0. */
export type Schedule = (step: number) => number

/**
 * The transformers Trainer's schedules by name, each after `warmupSteps` steps in which the rate rises from 0; `constant`
 * takes them too, as `constant_with_warmup` does. Source: transformers `get_scheduler`.
 *
 * @example
 * ```ts
 * import { schedule } from 'kernelgrad'
 *
 * const factor = schedule('linear', { warmupSteps: 100, totalSteps: 1000 })
 * const rate = 1e-3 * factor(550) // 0.0005
 * ```
 *
 * @throws ConfigError for a name there is not, or steps that are no whole number
 */
export function schedule(name: string, options: { warmupSteps?: number; totalSteps: number }): Schedule {
  expectOptions('schedule: options', options, ['warmupSteps', 'totalSteps'])
  const { warmupSteps = 0, totalSteps } = options
  expectNumber('schedule: warmupSteps', warmupSteps, NATURAL)
  expectNumber('schedule: totalSteps', totalSteps, NATURAL)
  const factor = factorOf(name, warmupSteps, totalSteps)
  return step => {
    expectNumber('schedule: step', step, NON_NEGATIVE)
    return factor(step)
  }
}

function factorOf(name: string, warmupSteps: number, totalSteps: number): Schedule {
  const warm = (step: number) => (step < warmupSteps ? step / Math.max(1, warmupSteps) : undefined)
  const progress = (step: number) => (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps)
  switch (name) {
    case 'constant':
    case 'constant_with_warmup':
      return step => warm(step) ?? 1
    case 'linear':
      return step => warm(step) ?? Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps))
    case 'cosine':
      return step => warm(step) ?? Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress(step))))
    default:
      throw new ConfigError(
        `schedule: lr_scheduler_type ${shown(name)} is unknown; expected constant, constant_with_warmup, linear or cosine`,
      )
  }
}
