import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import { MEMORY_SIZE, memoryBytes } from './memory-size.ts'
import { finishModel, type ModelConfig, modelEntries, type ResolvedModelConfig } from './model.ts'
import { optimArgs, optimName, optimSettings, stageOptim } from './optimizer.ts'
import {
  count,
  flag,
  integer,
  nonNegative,
  oneOf,
  parseStrict,
  positive,
  real,
  strict,
  text,
} from './schema.ts'
import { INSTEAD } from './training-arguments.ts'

/** Schedules by transformers' names. */
const LR_SCHEDULER_TYPES = ['constant', 'constant_with_warmup', 'linear', 'cosine'] as const

const beta = real('in [0, 1)', x => x >= 0 && x < 1)
const share = real('from 0 to 1', x => x >= 0 && x <= 1)
const every = v.nullable(count)
const patterns = v.array(text, 'expected a list of name patterns')

/** The soft losses, {@link DistillationConfig.loss}. */
const DISTILLATION_LOSSES = ['kl', 'soft_cross_entropy', 'mse', 'margin_mse', 'soft_labels'] as const

const distillationSchema = strict({
  /** A teacher's folder, as training saves a model, or a checkpoint: it answers beside the student. Either this or `columns`. */
  teacher: v.optional(text),
  /** Columns of the training files with a teacher's logits, one a class in order, as `kernelgrad predict --columns logits` writes them. */
  columns: v.optional(v.array(text, 'expected a list of column names')),
  /** Soft loss: 'kl', 'soft_cross_entropy', 'mse' (of logits), 'margin_mse' or 'soft_labels'. */
  loss: v.optional(oneOf(DISTILLATION_LOSSES), 'kl'),
  /** Logits are divided by it before the softmax; the two squared errors take them as they are. */
  temperature: v.optional(positive, 1),
  /** Share of the soft loss; the rest is the model's own loss. With 1, the training files need not have what that reads. */
  alpha: v.optional(share, 1),
})
/** What a student learns from its teacher, with every default. */
export type DistillationConfig = v.InferOutput<typeof distillationSchema>

/** Settings that a stage may have of its own. */
const stageEntries = {
  num_train_epochs: v.optional(positive, 2),
  /** Optimizer steps; null: as many as `num_train_epochs` takes. */
  max_steps: v.optional(every, null),
  per_device_train_batch_size: v.optional(count, 64),
  /** About so many rows a batch of whole lists, in place of so many lists; null: `per_device_train_batch_size` counts them. */
  per_device_train_batch_rows: v.optional(every, null),
  gradient_accumulation_steps: v.optional(count, 2),
  learning_rate: v.optional(nonNegative, 1e-3),
  encoder_learning_rate: v.optional(nonNegative, 1e-4),
  /** 'adamw_torch', 'adam', 'sgd' or 'rowwise_adagrad'. */
  optim: v.optional(optimName, 'adamw_torch'),
  /** What that optimizer takes beside the keys here: `momentum`, `dampening` and `nesterov` of sgd, `eps` of rowwise_adagrad. */
  optim_args: v.optional(optimArgs, {}),
  /** Decoupled from the gradient by adamw_torch, added to it by the others. */
  weight_decay: v.optional(nonNegative, 0.01),
  adam_beta1: v.optional(beta, 0.9),
  adam_beta2: v.optional(beta, 0.999),
  adam_epsilon: v.optional(positive, 1e-8),
  /** Gradients are clipped to this norm; null: never. */
  max_grad_norm: v.optional(v.nullable(positive), 1),
  /** Mixed precision: f16 activations and gradients of them, float32 weights, with dynamic loss scaling. */
  fp16: v.optional(flag, false),
  lr_scheduler_type: v.optional(oneOf(LR_SCHEDULER_TYPES), 'constant'),
  /** Optimizer steps over which the learning rate rises from 0; every schedule takes them. */
  warmup_steps: v.optional(integer(0), 0),
  /** The same as a share of all steps, rounded up; counts where `warmup_steps` is 0. */
  warmup_ratio: v.optional(share, 0),
  /** Stop after this many evaluations in a row without a better metric; null: never. */
  early_stopping_patience: v.optional(every, null),
  /** By how much the metric must improve to count as better for `early_stopping_patience`. */
  early_stopping_threshold: v.optional(nonNegative, 0),
  /** Patterns of parameter names ('*' stands for anything) that are not trained; left out: as the model is, or none in a stage beside others that freeze. */
  freeze: v.optional(patterns),
  /** Patterns of parameters without weight decay: of names, or with the module's class before the last part. */
  no_decay: v.optional(patterns, []),
  /** Learn from a teacher; null: from the model's own loss alone. */
  distillation: v.optional(v.nullable(distillationSchema), null),
  /** Each encoder layer learns at this factor of the rate of the one above, embeddings slowest; 1: all alike. */
  layer_decay: v.optional(
    real('in (0, 1]', x => x > 0 && x <= 1),
    1,
  ),
}

/** Where a run's log goes beside its folder. */
const REPORT_TO = ['tensorboard', 'none'] as const
const reportTo = v.pipe(
  v.union([oneOf(REPORT_TO), v.array(oneOf(REPORT_TO))], ({ input }) => {
    const all = [input].flat()
    const wrong = all.find(name => !REPORT_TO.includes(name as never)) ?? input
    return `expected 'tensorboard', 'none' or a list of them, got ${JSON.stringify(wrong) ?? String(wrong)}`
  }),
  v.transform(names => [...new Set([names].flat().filter(name => name !== 'none'))] as 'tensorboard'[]),
)

/** Bytes. */
const memory = v.pipe(
  v.union([v.string(), v.number()], `expected ${MEMORY_SIZE}`),
  v.check(
    size => memoryBytes(size) !== undefined,
    ({ input }) => `expected ${MEMORY_SIZE}, got ${JSON.stringify(input)}`,
  ),
  v.transform(size => memoryBytes(size)!),
)

/** Settings that hold for a whole run. */
const runEntries = {
  per_device_eval_batch_size: v.optional(count, 256),
  /** Optimizer steps between evaluations, saves and log lines; null: none on the way. */
  eval_steps: v.optional(every, 1000),
  save_steps: v.optional(every, 1000),
  /** Checkpoints kept; null: all. */
  save_total_limit: v.optional(every, 2),
  load_best_model_at_end: v.optional(flag, true),
  /** Which figure of an evaluation says what is best, with or without `eval_` before it; null: the loss. */
  metric_for_best_model: v.optional(v.nullable(text), null),
  /** null: as the metric is; what contradicts it is refused. */
  greater_is_better: v.optional(v.nullable(flag), null),
  logging_steps: v.optional(every, 50),
  /** 'tensorboard': the log goes into event files in `runs` below the run's folder too; 'none'. */
  report_to: v.optional(reportTo, 'none'),
  seed: v.optional(integer(0), 42),
  shuffle: v.optional(flag, true),
  /**
   * What rows to train on may take in memory, as '2GB', '512MiB' or bytes: where they take more, `kernelgrad train` and `openDataset` stream them; null: they are all in memory.
   */
  memory: v.optional(v.nullable(memory), null),
  /** Cut a row with more tokens than the encoder has positions, where it would be an error. */
  truncate: v.optional(flag, false),
}

/** Names of files: one, or a list of them. */
const dataFiles = v.optional(
  v.pipe(
    v.union(
      [v.pipe(text, v.nonEmpty()), v.pipe(v.array(v.pipe(text, v.nonEmpty())), v.minLength(1))],
      "expected a file's name, or a list of them",
    ),
    v.transform(files => [files].flat()),
    v.check(files => new Set(files).size === files.length, 'names a file twice, expected every file once'),
  ),
)

/** What a stage changes; what it does not name is as in the trainer's own settings. */
const stageSchema = strict(
  {
    ...withoutDefaults(stageEntries),
    /** Parquet files of this stage alone, in place of those of the run. */
    train: dataFiles,
    /** Parquet files that this stage is evaluated on, in place of those of the run. */
    eval: dataFiles,
  },
  INSTEAD,
)
/** One stage of a run: what it changes of the trainer's settings. */
export type StageConfig = v.InferOutput<typeof stageSchema>

function withoutDefaults<E extends Record<string, v.OptionalSchema<v.GenericSchema, unknown>>>(entries: E) {
  const bare = Object.entries(entries).map(([name, { wrapped }]) => [name, v.optional(wrapped)])
  return Object.fromEntries(bare) as { [K in keyof E]: v.OptionalSchema<E[K]['wrapped'], undefined> }
}

/**
 * How to train, under the names of transformers' TrainingArguments; everything has a default.
 * @see https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments
 */
export type TrainerConfig = v.InferInput<typeof trainerSchema>
/** {@link TrainerConfig} with every default filled in. */
export type ResolvedTrainerConfig = v.InferOutput<typeof trainerSchema>
const trainerSchema = strict(
  {
    ...stageEntries,
    ...runEntries,
    /** Stages to run one after the other, each with an optimizer of its own; none: the keys above are the only one. */
    stages: v.optional(v.array(stageSchema), []),
  },
  INSTEAD,
)
const trainingSchema = strict({ ...modelEntries, trainer: v.optional(trainerSchema, {}) })

/** The file that `kernelgrad train --config` reads: a model configuration and how to train it. */
export interface TrainingConfig extends ModelConfig {
  /** How to train; everything has a default. */
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
  const { load_best_model_at_end, eval_steps, save_steps, stages } = config
  optimSettings(config, where)
  checkDistillation(config.distillation, where)
  for (const [index, stage] of stages.entries()) {
    optimSettings(stageOptim(config, stage), `${where}: stages[${index}]`)
    checkDistillation(stage.distillation, `${where}: stages[${index}]`)
  }
  const patient = [config, ...stages].find(stage => stage.early_stopping_patience)
  if (patient && !eval_steps) {
    const patience = patient.early_stopping_patience
    throw new ConfigError(
      `${where}: early_stopping_patience ${patience} needs eval_steps, got eval_steps ${eval_steps}`,
    )
  }
  // The best model can only be loaded if it was saved when it was evaluated; transformers has the same rule.
  if (load_best_model_at_end && (!eval_steps || !save_steps || save_steps % eval_steps)) {
    throw new ConfigError(
      `${where}: load_best_model_at_end needs save_steps to be a multiple of eval_steps, ` +
        `got save_steps ${save_steps} and eval_steps ${eval_steps}`,
    )
  }
  return config
}

/** @throws ConfigError unless the logits come from one place. */
function checkDistillation(distillation: DistillationConfig | null | undefined, where: string): void {
  if (!distillation) return
  const fail = (what: string): never => {
    throw new ConfigError(`${where}: distillation${what}`)
  }
  const { teacher, columns } = distillation
  if (teacher !== undefined && columns !== undefined)
    fail(' has both teacher and columns, expected one of them: a folder, or the columns with its logits')
  if (teacher === undefined && columns === undefined)
    fail(" has neither teacher nor columns, expected a teacher's folder, or the columns with its logits")
  if (teacher === '') fail('.teacher is empty, expected a folder')
  if (!columns) return
  if (!columns.length) fail('.columns is empty, expected a column of logits for each class')
  const wrong = columns.find((name, i) => !name || columns.indexOf(name) < i)
  if (wrong === '') fail('.columns has an empty name, expected a column of logits for each class')
  if (wrong !== undefined) fail(`.columns names '${wrong}' twice, expected a column of logits for each class`)
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
