import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import { finishModel, type ModelConfig, modelEntries, type ResolvedModelConfig } from './model.ts'
import { flag, integer, nonNegative, oneOf, parseStrict, positive, real, strict, text } from './schema.ts'

/** Schedules by transformers' names. */
export const LR_SCHEDULER_TYPES = ['constant', 'constant_with_warmup', 'linear', 'cosine'] as const

const beta = real('in [0, 1)', x => x >= 0 && x < 1)
const every = v.nullable(integer(1))
const patterns = v.array(text, 'expected a list of name patterns')

/**
 * How to train, under the names of transformers' TrainingArguments; everything has a default.
 * @see https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments
 */
export type TrainerConfig = v.InferInput<typeof trainerSchema>
/** {@link TrainerConfig} with every default filled in. */
export type ResolvedTrainerConfig = v.InferOutput<typeof trainerSchema>
const trainerSchema = strict({
  num_train_epochs: v.optional(positive, 2),
  /** Optimizer steps; null: as many as `num_train_epochs` takes. */
  max_steps: v.optional(every, null),
  per_device_train_batch_size: v.optional(integer(1), 64),
  per_device_eval_batch_size: v.optional(integer(1), 256),
  gradient_accumulation_steps: v.optional(integer(1), 2),
  learning_rate: v.optional(nonNegative, 1e-3),
  encoder_learning_rate: v.optional(nonNegative, 1e-4),
  weight_decay: v.optional(nonNegative, 0.01),
  adam_beta1: v.optional(beta, 0.9),
  adam_beta2: v.optional(beta, 0.999),
  adam_epsilon: v.optional(positive, 1e-8),
  /** Gradients are clipped to this norm; null: never. */
  max_grad_norm: v.optional(v.nullable(positive), 1),
  /** Mixed precision: f16 activations and gradients of them, float32 weights, with dynamic loss scaling. */
  fp16: v.optional(flag, false),
  lr_scheduler_type: v.optional(oneOf(LR_SCHEDULER_TYPES), 'constant'),
  warmup_steps: v.optional(integer(0), 0),
  /** Patterns of parameter names ('*' stands for anything) that are not trained; left out: as the model is. */
  freeze: v.optional(patterns),
  /** Patterns of parameters without weight decay: of names, or with the module's class before the last part. */
  no_decay: v.optional(patterns, []),
  /** Each encoder layer learns at this factor of the rate of the one above, embeddings slowest; 1: all alike. */
  layer_decay: v.optional(
    real('in (0, 1]', x => x > 0 && x <= 1),
    1,
  ),
  /** Optimizer steps between evaluations, saves and log lines; null: none on the way. */
  eval_steps: v.optional(every, 1000),
  save_steps: v.optional(every, 1000),
  /** Checkpoints kept; null: all. */
  save_total_limit: v.optional(every, 2),
  load_best_model_at_end: v.optional(flag, true),
  logging_steps: v.optional(every, 50),
  seed: v.optional(integer(0), 42),
  shuffle: v.optional(flag, true),
  /** Cut a row with more tokens than the encoder has positions, where it would be an error. */
  truncate: v.optional(flag, false),
})
const trainingSchema = strict({ ...modelEntries, trainer: v.optional(trainerSchema, {}) })

/** The file that `kernelgrad train --config` reads: a model configuration and how to train it. */
export interface TrainingConfig extends ModelConfig {
  trainer?: TrainerConfig
}
/** {@link TrainingConfig} with every default filled in. */
export interface ResolvedTrainingConfig extends ResolvedModelConfig {
  trainer: ResolvedTrainerConfig
}

/**
 * Reads trainer settings and fills in the defaults.
 * @throws ConfigError naming `where`, the key and what was expected.
 */
export function parseTrainerConfig(json: unknown, where: string): ResolvedTrainerConfig {
  return checkTrainer(parseStrict(trainerSchema, json, where), where)
}

function checkTrainer(config: ResolvedTrainerConfig, where: string): ResolvedTrainerConfig {
  const { load_best_model_at_end, eval_steps, save_steps } = config
  // The best model can only be loaded if it was saved when it was evaluated; transformers has the same rule.
  if (load_best_model_at_end && (!eval_steps || !save_steps || save_steps % eval_steps)) {
    throw new ConfigError(
      `${where}: load_best_model_at_end needs save_steps to be a multiple of eval_steps, ` +
        `got save_steps ${save_steps} and eval_steps ${eval_steps}`,
    )
  }
  return config
}

/**
 * Reads the configuration of a training run and fills in the defaults.
 * @param json parsed JSON.
 * @param where the file name, for messages.
 * @throws ConfigError naming file, place, key and what was expected.
 */
export function parseTrainingConfig(json: unknown, where: string): ResolvedTrainingConfig {
  const { trainer, ...model } = parseStrict(trainingSchema, json, where)
  return { ...finishModel(model, where), trainer: checkTrainer(trainer, `${where}: trainer`) }
}
