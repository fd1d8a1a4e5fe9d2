import { COUNT, expectFlag, expectNumber, POSITIVE } from '../check.ts'
import { given } from './checks.ts'

/** A gradient scaler's numbers between steps. */
export interface ScalerState {
  scale: number
  /** Steps without overflow since the scale last changed. */
  growthTracker: number
  /** Optimizer steps taken: what bias correction counts. */
  taken: number
  skipped: number
}

/**
 * One step of dynamic loss scaling: an overflow halves the scale and skips the optimizer step, `growthInterval` steps without one
 * double it, unless it would leave float32's range.
 *
 * Source: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740; `torch.amp.GradScaler`,
 * https://pytorch.org/docs/stable/amp.html#gradient-scaling
 *
 * @param options.overflow whether a gradient was infinite or not a number
 * @returns the state after the step, as a new object
 */
export function scalerStep(options: {
  state: ScalerState
  overflow: boolean
  growthFactor: number
  backoffFactor: number
  growthInterval: number
}): ScalerState {
  const {
    state: { scale, growthTracker, taken, skipped },
    overflow,
    growthFactor,
    backoffFactor,
    growthInterval,
  } = given('scalerStep', options)
  expectFlag('scalerStep: overflow', overflow)
  expectNumber('scalerStep: growthFactor', growthFactor, POSITIVE)
  expectNumber('scalerStep: backoffFactor', backoffFactor, POSITIVE)
  expectNumber('scalerStep: growthInterval', growthInterval, COUNT)
  if (overflow) return { scale: scale * backoffFactor, growthTracker: 0, taken, skipped: skipped + 1 }
  if (growthTracker + 1 < growthInterval)
    return { scale, growthTracker: growthTracker + 1, taken: taken + 1, skipped }
  const grown = scale * growthFactor
  const inRange = Number.isFinite(Math.fround(grown))
  return { scale: inRange ? grown : scale, growthTracker: 0, taken: taken + 1, skipped }
}
