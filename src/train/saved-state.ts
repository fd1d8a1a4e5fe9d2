// What a checkpoint's JSON must hold before a run goes on from it. Further keys are left alone: other versions may write them.
import * as v from 'valibot'
import { parseStrict } from '../config/schema.ts'
import type { TrainerState } from './trainer-state.ts'

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const fingerprint = v.object({ file: v.string(), rows: count, bytes: count, sha256: v.string() })

const pointSchema = v.looseObject({
  format: v.number(),
  adapter: v.string(),
  next: v.object({ stage: count, epoch: count, microBatch: count }),
  optimizer_steps: count,
  scaler: v.nullable(v.object({ scale: v.number(), growthTracker: count, taken: count, skipped: count })),
  rng: v.object({ seed: v.number(), step: count }),
  losses: v.object({ since_log: v.array(v.number()), total: v.number() }),
  data: v.object({
    train: v.array(fingerprint),
    evaluation: v.array(fingerprint),
    stages: v.optional(
      v.array(
        v.nullable(
          v.object({
            train: v.array(fingerprint),
            evaluation: v.array(fingerprint),
            order: v.optional(v.string()),
          }),
        ),
      ),
    ),
    order: v.optional(v.string()),
    teachers: v.optional(v.array(v.object({ folder: v.string(), sha256: v.string() }))),
  }),
  reads: v.optional(v.array(v.tuple([v.string(), v.string()]))),
  ranks: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
})

/** @throws ConfigError naming `where`, the key and what was expected. */
export const parseResumePoint = (json: unknown, where: string): object =>
  parseStrict(pointSchema, json, where)

const entry = v.objectWithRest({ step: count, epoch: v.number() }, v.nullable(v.number()))

const stateSchema = v.looseObject({
  global_step: count,
  epoch: v.number(),
  max_steps: count,
  best_metric: v.nullable(v.number()),
  best_global_step: v.nullable(count),
  best_model_checkpoint: v.nullable(v.string()),
  log_history: v.array(entry),
  stage: count,
  early_stopping_patience_counter: count,
  kernel_choices: v.record(v.string(), v.string()),
  kernel_tuning: v.optional(v.object({ settled: count, kept_for_later: count, seconds: v.number() })),
})

/** @throws ConfigError naming `where`, the key and what was expected. */
export const parseTrainerState = (json: unknown, where: string): TrainerState =>
  parseStrict(stateSchema, json, where) as object as TrainerState
