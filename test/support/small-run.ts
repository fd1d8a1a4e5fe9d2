// A run of the trainer small enough to repeat: generated rows, a model of a few thousand weights, dropout on.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readRows } from '../../src/cli/inputs.ts'
import { parseTrainingConfig, type TrainerConfig } from '../../src/config/index.ts'
import type { Dataset } from '../../src/data/index.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { createModel, type Model } from '../../src/models/index.ts'
import { Trainer, type TrainerOptions } from '../../src/train/index.ts'

export const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-small-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const data = await writeSyntheticKdd({ folder: join(folder, 'data'), trainRows: 150, testRows: 61, seed: 4 })
export const files = { train: data.train, test: data.test }

const DROPOUT = 0.2
export const modelJson = {
  features_config: data.features_config,
  mlp_config: [{ hidden_size: 8, activation_function: 'ReLU', dropout_p: DROPOUT }],
  pretrained_model_config: {
    vocab_size: data.vocabSize,
    pad_token_id: data.padTokenId,
    dim: 12,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 20,
    max_position_embeddings: 32,
    dropout: DROPOUT,
    attention_dropout: DROPOUT,
  },
}

/** 19 micro-batches of 8 rows (the last of 6) an epoch, 7 steps of up to 3 micro-batches; 2 epochs. */
export const TRAINER: TrainerConfig = {
  num_train_epochs: 2,
  per_device_train_batch_size: 8,
  gradient_accumulation_steps: 3,
  learning_rate: 5e-3,
  encoder_learning_rate: 2e-3,
  lr_scheduler_type: 'linear',
  warmup_ratio: 0.2,
  eval_steps: 4,
  save_steps: 4,
  save_total_limit: null,
  load_best_model_at_end: false,
  logging_steps: 3,
  seed: 9,
}

const { trainer: settings, ...config } = parseTrainingConfig({ ...modelJson, trainer: TRAINER }, 'the test')
const rows = [
  await readRows([files.train], createModel(config), settings),
  await readRows([files.test], createModel(config), settings),
] as const

export interface Made {
  trainer: Trainer
  model: Model
  train: Dataset
}

/** A trainer over a fresh model with the settings of `TRAINER` and those given, evaluated on what `judged` makes of the rows. */
export async function makeRun(
  gpu: Gpu,
  settings: TrainerConfig = {},
  options: Partial<TrainerOptions> = {},
  judged: (data: Dataset) => Dataset = data => data,
): Promise<Made> {
  const json = { ...modelJson, trainer: { ...TRAINER, ...settings } }
  const { trainer: config, ...modelConfig } = parseTrainingConfig(json, 'the test')
  const [train, evaluation] = rows
  const model = createModel(modelConfig).to(gpu, { seed: 5 })
  return {
    trainer: new Trainer({ model, config, train, evaluation: judged(evaluation), ...options }),
    model,
    train,
  }
}

/** The bits of every parameter and buffer, by name. */
export async function bitsOf(model: Model): Promise<Record<string, string>> {
  const bits: Record<string, string> = {}
  for (const [name, { data }] of await model.stateDict())
    bits[name] = Buffer.from(data.buffer).toString('base64')
  return bits
}
