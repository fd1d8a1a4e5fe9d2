// How a model is trained here, one row scored by it, and its files.

import {
  collate,
  columnsOf,
  type Dataset,
  type Model,
  noGrad,
  parseTrainerConfig,
  type ResolvedTrainerConfig,
  scope,
} from 'kernelgrad'
import { serializeSafetensors } from 'kernelgrad/data'
import type { TypedRow } from './protocol.ts'

export const BATCH = 128
const EVALUATIONS = 12
/** An evaluation costs as much as a few steps. */
const LEAST_STEPS_BETWEEN = 5

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

/** A row's scores by the names that the model gives them. In evaluation mode; every id is checked. */
export async function scoreRow(model: Model, row: TypedRow): Promise<Record<string, number>> {
  const batch = collate(oneRow(model, row), [0], model.inputs, { truncate: true })
  const wasTraining = model.training
  model.eval()
  const reading = scope(() => noGrad(() => model.scores(batch)).read())
  model.train(wasTraining)
  const scores = await reading
  return Object.fromEntries(
    model.scoreNames().flatMap((name, k) => (name === null ? [] : [[name, scores[k]!] as const])),
  )
}

function oneRow({ inputs }: Model, row: TypedRow): Dataset {
  const lists: Dataset['lists'] = {}
  const ids: Dataset['ids'] = {}
  const floats: Dataset['floats'] = {}
  for (const input of Object.values(inputs)) {
    if (input.trainOnly) continue
    for (const name of columnsOf(input)) {
      const values = row[name]!
      if (input.kind === 'floats') floats[name] = Float32Array.from(values)
      else if (input.kind !== 'text') ids[name] = Uint32Array.from(values)
      else lists[name] = { values: Uint32Array.from(values), offsets: Uint32Array.of(0, values.length) }
    }
  }
  return { length: 1, rowStart: 0, lists, ids, floats, files: [] }
}

/** The contents of model.safetensors and config.json. */
export async function modelFiles(model: Model): Promise<{ weights: ArrayBuffer; config: string }> {
  const tensors = [...(await model.stateDict())].map(([name, { shape, data }]) => ({ name, shape, data }))
  const weights = serializeSafetensors(tensors, { format: 'pt' }).buffer
  return { weights, config: `${JSON.stringify(model.config, null, 2)}\n` }
}
