// A run that Node and a browser's worker make alike: planted data written and read, a model with text and tabular features
// trained, checkpoints saved, the trained model saved and asked.

import { readParameter } from '../../src/autograd/index.ts'
import { type ModelConfig, parseTrainingConfig, type TrainerConfig } from '../../src/config/index.ts'
import { loadDataset } from '../../src/data/index.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { createModel, readOptions } from '../../src/models/index.ts'
import { loadModel, predict, saveModel, Trainer } from '../../src/train/index.ts'

export interface Job {
  /** Holds, or will hold, the data, `run` and `model`. */
  folder: string
  adapter?: string
  resume?: boolean
  /** Stop with a checkpoint after this step. */
  stopAfter?: number
}

export interface Outcome {
  adapter: string
  startStep: number
  steps: number
  /** Training loss of every step, and the evaluation losses. */
  losses: number[]
  evalLosses: number[]
  /** Every weight of the trained model, by parameter; float32 in base64. */
  weights: Record<string, string>
  /** Of the test rows, from the model as it was saved and opened again; [rows, 2], float32 in base64. */
  probabilities: string
}

const TRAINER: TrainerConfig = {
  max_steps: 12,
  per_device_train_batch_size: 16,
  gradient_accumulation_steps: 2,
  learning_rate: 5e-3,
  encoder_learning_rate: 2e-3,
  eval_steps: 6,
  save_steps: 6,
  save_total_limit: 2,
  load_best_model_at_end: false,
  logging_steps: 1,
  seed: 9,
}

const DATA = { trainRows: 300, testRows: 61, seed: 4, vocabSize: 60, users: 50, advertisers: 20 }

const base64 = (floats: Float32Array) =>
  btoa(String.fromCharCode(...new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength)))

/** Does a job. */
export async function run({ folder, adapter, resume = false, stopAfter }: Job): Promise<Outcome> {
  const data = await writeSyntheticKdd({ folder: `${folder}/data`, ...DATA })
  const model: ModelConfig = {
    features_config: data.features_config,
    mlp_config: [
      { hidden_size: 8, activation_function: 'ReLU', normalization_function: 'LayerNorm', dropout_p: 0.1 },
    ],
    pretrained_model_config: {
      vocab_size: data.vocabSize,
      pad_token_id: data.padTokenId,
      dim: 16,
      n_heads: 2,
      n_layers: 2,
      hidden_dim: 24,
      max_position_embeddings: 32,
    },
  }
  const { trainer: config, ...modelConfig } = parseTrainingConfig({ ...model, trainer: TRAINER }, 'the run')
  const gpu = await openGpu({ adapter })
  const trained = createModel(modelConfig).to(gpu, { seed: 5 })
  const [train, evaluation] = await Promise.all(
    [data.train, data.test].map(path => loadDataset(path, readOptions(trained))),
  )
  let startStep = -1
  const trainer: Trainer = new Trainer({
    model: trained,
    config,
    train: train!,
    evaluation: evaluation!,
    output: `${folder}/run`,
    callbacks: [
      {
        onTrainBegin({ state }) {
          startStep = state.global_step
        },
        onStepEnd({ state }) {
          if (state.global_step === stopAfter) trainer.interrupt()
        },
      },
    ],
  })
  await trainer.train({ resumeFromCheckpoint: resume })
  const weights: Record<string, string> = {}
  for (const [name, parameter] of trained.namedParameters())
    weights[name] = base64(await readParameter(parameter))
  await saveModel(trained, `${folder}/model`)
  trained.free()
  const opened = await loadModel(gpu, `${folder}/model`)
  const probabilities = base64(await predict(opened, evaluation!))
  opened.free()
  gpu.close()
  const { log_history } = trainer.state
  const logged = (key: string) => log_history.flatMap(entry => (key in entry ? [entry[key]!] : []))
  return {
    adapter: gpu.adapter.line,
    startStep,
    steps: trainer.state.global_step,
    losses: logged('loss'),
    evalLosses: logged('eval_loss'),
    weights,
    probabilities,
  }
}
