// The text world's cross encoder: what pretraining is tried on, and what a student learns from.
import { join } from 'node:path'
import { writeParquet } from '../../data/index.ts'
import { type TextWorldData, textWorld, writeTextWorld } from '../../datasets/index.ts'
import { type Bench, trained } from './bench.ts'

const ROWS = { trainRows: 9_000, testRows: 4_000 }
const QUICK_ROWS = { trainRows: 2_000, testRows: 500 }

/** The text world's rows of a bench's seed, in its folder. */
export const textRows = ({ folder, seed, quick }: Bench): Promise<TextWorldData> =>
  writeTextWorld({ folder: join(folder, 'data'), seed, ...(quick ? QUICK_ROWS : ROWS) })

/** A file of the first training rows alone. */
export async function firstRows({ folder, seed }: Bench, count: number): Promise<string> {
  const path = join(folder, 'data', `train-${count}.parquet`)
  // Rows are drawn one by one, so that fewer are the first of more.
  await writeParquet(path, textWorld({ seed, trainRows: count, testRows: 0 }).train.columns)
  return path
}

/**
 * The encoder, as every model over both texts has it: without dropout, and started wider than is usual. 0.02 is for sums over 768 numbers;
 * over 48 they are as large with 0.08. With 0.02 and dropout 0.1 the masked loss ends at 4.5 in place of 4.3.
 */
const encoderOf = ({ vocabSize, padTokenId }: TextWorldData, start: Start) => ({
  vocab_size: vocabSize,
  pad_token_id: padTokenId,
  dim: 48,
  n_heads: 4,
  n_layers: 2,
  hidden_dim: 192,
  max_position_embeddings: 64,
  ...(start === 'wide' ? { initializer_range: 0.08, dropout: 0, attention_dropout: 0 } : {}),
})

/** How an encoder starts: as every model over both texts has it, or by the library's own defaults, 0.02 and dropout 0.1. */
export type Start = 'wide' | 'defaults'

/** Behind the texts, of teacher and student. */
export const MLP = [{ hidden_size: 64, activation_function: 'ReLU', normalization_function: 'LayerNorm' }]

/** Rows a batch; a quick run makes up for its few rows by more steps. */
export const batchOf = ({ quick }: Bench) => ({
  per_device_train_batch_size: quick ? 64 : 192,
  per_device_eval_batch_size: 500,
})
const MASKED = { epochs: 5, rate: 2e-3 }
const QUICK_MASKED = { epochs: 4, rate: 3e-3 }
const CLICK_EPOCHS = 6
const QUICK_CLICK_EPOCHS = 2

/**
 * Pretrains the encoder on the training rows' texts, and says how well it predicts those of the test rows.
 * @returns the folder that `use_pretrained` starts from, and the masked loss.
 */
export async function pretrain(
  bench: Bench,
  data: TextWorldData,
  start: Start = 'wide',
): Promise<{ folder: string; loss: number }> {
  const { epochs, rate } = bench.quick ? QUICK_MASKED : MASKED
  const { folder, metrics } = await trained(bench, {
    name: 'masked',
    config: {
      architecture: 'DistilBertForMaskedLM',
      special_token_ids: [data.separatorId],
      features_config: data.features_config,
      pretrained_model_config: encoderOf(data, start),
    },
    trainer: {
      ...batchOf(bench),
      num_train_epochs: epochs,
      learning_rate: rate,
      encoder_learning_rate: rate,
    },
    train: data.train,
    evaluation: data.test,
  })
  return { folder, loss: metrics.loss! }
}

/** Trains the cross encoder on clicks, from scratch or from a pretrained folder; returns its own folder and its ROC AUC. */
export async function crossEncoder(
  bench: Bench,
  data: TextWorldData,
  {
    name,
    train,
    pretrained,
    start = 'wide',
  }: { name: string; train: string; pretrained?: string | undefined; start?: Start },
): Promise<{ folder: string; auc: number }> {
  const { folder, metrics } = await trained(bench, {
    name,
    config: {
      features_config: data.features_config,
      mlp_config: MLP,
      pretrained_model_config: encoderOf(data, start),
      ...(pretrained === undefined ? {} : { model_name: pretrained, use_pretrained: true }),
    },
    trainer: {
      ...batchOf(bench),
      num_train_epochs: bench.quick ? QUICK_CLICK_EPOCHS : CLICK_EPOCHS,
      learning_rate: 2e-3,
      // What is pretrained is moved less.
      encoder_learning_rate: pretrained === undefined ? 1e-3 : 5e-4,
    },
    train,
    evaluation: data.test,
  })
  return { folder, auc: metrics.roc_auc! }
}
