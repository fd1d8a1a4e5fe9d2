import { type ModelPair, modelPair, type PairSizes } from './compare.ts'

const layer = (hidden_size: number) => ({
  hidden_size,
  dropout_p: 0.1,
  activation_function: 'ReLU',
  normalization_function: 'LayerNorm',
})

/** What a run may decide about its pair of models. */
export interface PairChoices {
  seed: number
  /** Optimizer steps; left out: as many as the epochs take. */
  maxSteps?: number
  /** Rows to train on, from which follows how often a run of the demo's size logs and evaluates; left out: not on the way. */
  rows?: number
}

/** Rows of a step. */
const DEMO_BATCH = 128
/** Points of the demo's training curves, and evaluations. */
const [LOGGED, EVALUATED] = [40, 4]

/** The notebook's two models at a size that a machine without a GPU trains in minutes. */
export function demoModels(sizes: PairSizes, { seed, maxSteps, rows }: PairChoices): ModelPair {
  const steps = rows && (maxSteps ?? Math.ceil(rows / DEMO_BATCH))
  return modelPair(
    sizes,
    {
      encoder: { dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128, max_position_embeddings: 64 },
      embeddings: { gender: 4, age: 4, advertiser_id: 16, user_id: 16 },
      mlp: [layer(64), layer(32)],
      trainer: {
        // One pass over 24,000 rows is 188 steps of 128 rows: about a minute a model on the software adapter with two
        // cores, and enough for the text alone to get well past chance (AUC 0.58). More rows teach more than a second pass.
        num_train_epochs: 1,
        max_steps: maxSteps ?? null,
        learning_rate: 1e-3,
        // The notebook's 1e-4 is for thousands of steps. Twice this rate learned less from the text.
        encoder_learning_rate: 5e-4,
        seed,
        per_device_train_batch_size: DEMO_BATCH / 2,
        gradient_accumulation_steps: 2,
        // The last weights are kept: the best of several would be chosen on the rows it is judged by.
        eval_steps: steps ? Math.ceil(steps / EVALUATED) : null,
        save_steps: null,
        logging_steps: steps ? Math.ceil(steps / LOGGED) : null,
        load_best_model_at_end: false,
      },
    },
    "the demo's models",
  )
}

/** The notebook's two models at its own size and hyperparameters; trainer settings left out are its own by default. */
export function notebookModels(sizes: PairSizes, { seed, maxSteps }: PairChoices): ModelPair {
  return modelPair(
    sizes,
    {
      encoder: { dim: 768, n_heads: 12, n_layers: 2, hidden_dim: 3072, max_position_embeddings: 512 },
      embeddings: { gender: 4, age: 4, advertiser_id: 32, user_id: 64 },
      mlp: [layer(1024), layer(512), layer(256)],
      trainer: {
        num_train_epochs: 2,
        max_steps: maxSteps ?? null,
        per_device_train_batch_size: 64,
        gradient_accumulation_steps: 2,
        learning_rate: 1e-3,
        encoder_learning_rate: 1e-4,
        weight_decay: 0.01,
        eval_steps: 1000,
        save_steps: 1000,
        save_total_limit: 2,
        seed,
      },
    },
    "the notebook's models",
  )
}
