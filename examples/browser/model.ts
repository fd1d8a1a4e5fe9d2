// The model at a size that a phone trains, one row scored by it, and its files.

import {
  collate,
  type Dataset,
  noGrad,
  parseModelConfig,
  parseTrainerConfig,
  type ResolvedModelConfig,
  type ResolvedTrainerConfig,
  scope,
  type TextTabularModel,
} from 'kernelgrad'
import { serializeSafetensors } from 'kernelgrad/data'
import type { TypedRow } from './protocol.ts'
import type { Rows } from './rows.ts'

export const BATCH = 128
const EVALUATIONS = 12
/** An evaluation costs as much as a few steps. */
const LEAST_STEPS_BETWEEN = 5

const layer = (hidden_size: number) => ({
  hidden_size,
  dropout_p: 0.1,
  activation_function: 'ReLU',
  normalization_function: 'LayerNorm',
})

export function modelConfig({ features, vocabSize }: Rows, padTokenId: number): ResolvedModelConfig {
  const encoder = { dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128, max_position_embeddings: 64 }
  const config = {
    features_config: features,
    mlp_config: [layer(64), layer(32)],
    pretrained_model_config: { vocab_size: vocabSize, pad_token_id: padTokenId, ...encoder },
  }
  return parseModelConfig(config, 'this page')
}

export function trainerConfig(steps: number): ResolvedTrainerConfig {
  const every = Math.max(LEAST_STEPS_BETWEEN, Math.round(steps / EVALUATIONS))
  const config = {
    max_steps: steps,
    per_device_train_batch_size: BATCH,
    gradient_accumulation_steps: 1,
    encoder_learning_rate: 5e-4,
    eval_steps: every,
    save_steps: every,
    load_best_model_at_end: false,
    logging_steps: Math.max(1, Math.round(steps / 100)),
    truncate: true,
    seed: 42,
  }
  return parseTrainerConfig(config, 'this page')
}

/** Logits and click probability of a row, in evaluation mode. Every id is checked. */
export async function scoreRow(
  model: TextTabularModel,
  row: TypedRow,
): Promise<{ logits: number[]; probability: number }> {
  const batch = collate(oneRow(model, row), [0], model.inputs, { truncate: true })
  const wasTraining = model.training
  model.eval()
  const reading = scope(() => noGrad(() => model.forward(batch)).logits.read())
  model.train(wasTraining)
  const logits = [...(await reading)]
  return { logits, probability: 1 / (1 + Math.exp(logits[0]! - logits[1]!)) }
}

function oneRow({ config }: TextTabularModel, row: TypedRow): Dataset {
  const lists: Dataset['lists'] = {}
  const ids: Dataset['ids'] = {}
  const floats: Dataset['floats'] = {}
  for (const [name, { dtype }] of Object.entries(config.features_config)) {
    const values = row[name]!
    if (dtype === 'categorical') ids[name] = Uint32Array.from(values)
    else if (dtype === 'numerical') floats[name] = Float32Array.from(values)
    else lists[name] = { values: Uint32Array.from(values), offsets: Uint32Array.of(0, values.length) }
  }
  return { length: 1, rowStart: 0, lists, ids, floats, files: [] }
}

/** The contents of model.safetensors and config.json. */
export async function modelFiles(model: TextTabularModel): Promise<{ weights: ArrayBuffer; config: string }> {
  const tensors = [...(await model.stateDict())].map(([name, { shape, data }]) => ({ name, shape, data }))
  const weights = serializeSafetensors(tensors, { format: 'pt' }).buffer
  return { weights, config: `${JSON.stringify(model.config, null, 2)}\n` }
}
