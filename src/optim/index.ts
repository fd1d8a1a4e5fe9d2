/**
 * Optimizers with parameter groups, learning-rate schedules, and the gradient scaler of mixed precision.
 *
 * @module kernelgrad/optim
 */
export { GradScaler, type GradScalerOptions, type GradScalerState, type ScaledStep } from './grad-scaler.ts'
export {
  type FullGroup,
  Optimizer,
  type ParameterGroup,
  type StateTensor,
  type StepOptions,
} from './optimizer.ts'
export type { Check, Rule, Settings } from './rule.ts'
export { Adam, type AdamOptions, adam } from './rules/adam.ts'
export { type AdamSettings, type AdamState, AdamW, type AdamWOptions, adamw } from './rules/adamw.ts'
export {
  RowwiseAdagrad,
  type RowwiseAdagradOptions,
  type RowwiseAdagradSettings,
  type RowwiseAdagradState,
  rowwiseAdagrad,
} from './rules/rowwise-adagrad.ts'
export { SGD, type SGDOptions, type SGDSettings, type SGDState, sgd } from './rules/sgd.ts'
export { type Schedule, schedule } from './schedule.ts'
export type { StatePart } from './table-state.ts'
