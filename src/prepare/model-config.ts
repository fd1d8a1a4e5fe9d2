// What of a prepared table training reads: the sizes, and a configuration to start from.
import type { PreparedSizes } from '../config/index.ts'
import { WEIGHT } from './document.ts'
import type { ShownColumn } from './options.ts'
import type { Preparation } from './preparation.ts'

/** Rows read, and in each file. */
export interface RowCounts {
  read: number
  train: number
  test: number
}

/** features.json. */
export function featuresOf(
  preparation: Preparation,
  { counts, seed, columns }: { counts: RowCounts; seed: number; columns: readonly ShownColumn[] },
): PreparedSizes {
  const { vocab_size, pad_token_id } = preparation.document
  const sizes = Object.entries(preparation.features()).map(([name, feature]) => [
    name,
    feature.dtype === 'categorical'
      ? { dtype: feature.dtype, vocab_size: feature.vocab_size }
      : { dtype: feature.dtype },
  ])
  return {
    columns: Object.fromEntries(columns.map(({ name, asked }) => [name, asked])),
    features_config: Object.fromEntries(sizes),
    ...(vocab_size === undefined ? {} : { vocab_size, pad_token_id }),
    num_labels: preparation.classes.length,
    rows: counts,
    seed,
  }
}

const BATCH = 64
const EPOCHS = 3
/** Evaluations of a run, and points of its training curves between two. */
const [EVALUATIONS, LOGGED] = [6, 5]

/** model.json: a small model of its own for the table, to be changed at will. */
export function modelOf(preparation: Preparation, { train, test }: RowCounts): object {
  const { columns, vocab_size, pad_token_id } = preparation.document
  const texts = Object.values(columns).flatMap(column => (column.role === 'text' ? [column.max_tokens] : []))
  const steps = Math.ceil(train / BATCH) * EPOCHS
  const every = Math.max(1, Math.floor(steps / EVALUATIONS))
  const layer = { activation_function: 'ReLU', normalization_function: 'LayerNorm', dropout_p: 0.1 }
  return {
    architecture: texts.length ? 'TextTabularModel' : 'TabularModel',
    features_config: preparation.features(),
    mlp_config: [
      { hidden_size: 64, ...layer },
      { hidden_size: 32, ...layer },
    ],
    num_labels: preparation.classes.length,
    ...(preparation.weight === undefined ? {} : { weight_column: WEIGHT }),
    ...(texts.length
      ? {
          pretrained_model_config: {
            ...{ vocab_size, pad_token_id, dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 256 },
            max_position_embeddings: texts.reduce((sum, tokens) => sum + tokens, 0),
          },
        }
      : {}),
    trainer: {
      num_train_epochs: EPOCHS,
      per_device_train_batch_size: BATCH,
      gradient_accumulation_steps: 1,
      learning_rate: 1e-3,
      encoder_learning_rate: 1e-3,
      ...(test
        ? { eval_steps: every, save_steps: every }
        : { eval_steps: null, save_steps: every, load_best_model_at_end: false }),
      logging_steps: Math.max(1, Math.floor(every / LOGGED)),
    },
  }
}
