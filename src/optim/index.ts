export { AdamW, type AdamWOptions, type ParameterGroup } from './adamw.ts'
export { type Schedule, schedule } from './schedule.ts'
