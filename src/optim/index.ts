export { AdamW, type AdamWOptions, type ParameterGroup } from './adamw.ts'
export { GradScaler, type GradScalerOptions, type GradScalerState } from './grad-scaler.ts'
export { type Schedule, schedule } from './schedule.ts'
