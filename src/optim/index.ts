/**
 * AdamW with parameter groups, learning-rate schedules, and the gradient scaler of mixed precision.
 *
 * @module kernelgrad/optim
 */
export { AdamW, type AdamWOptions, type FullGroup, type ParameterGroup } from './adamw.ts'
export { GradScaler, type GradScalerOptions, type GradScalerState, type ScaledStep } from './grad-scaler.ts'
export { type Schedule, schedule } from './schedule.ts'
