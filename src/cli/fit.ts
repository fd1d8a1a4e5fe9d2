import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ResolvedModelConfig, ResolvedTrainerConfig } from '../config/index.ts'
import { writeJson } from '../data/files.ts'
import type { Dataset, TextTokenizer } from '../data/index.ts'
import type { Gpu } from '../gpu/index.ts'
import {
  type ClickModel,
  CONFIG_FILE,
  createModel,
  encoderOf,
  evaluate,
  type LogEntry,
  loadEncoder,
  saveWeights,
  Trainer,
  type TrainerState,
  WEIGHTS_FILE,
} from '../train/index.ts'
import { createProgress } from './progress.ts'
import { metricsLine } from './say.ts'

export interface FitOptions {
  gpu: Gpu
  config: ResolvedModelConfig
  trainer: ResolvedTrainerConfig
  train: Dataset
  evaluation?: Dataset
  /** For models that read text. */
  tokenizer?: TextTokenizer | undefined
  /** Folder for checkpoints. */
  output?: string
  /** Where progress is told. */
  stream: NodeJS.WriteStream
}

export interface Fitted {
  model: ClickModel
  state: TrainerState
  /** Of the weights that the model holds now; absent without evaluation data. */
  metrics?: Record<string, number>
}

/** Makes a model on the device and trains it, telling how it goes. */
export async function fit({
  gpu,
  config,
  trainer,
  train,
  evaluation,
  tokenizer,
  output,
  stream,
}: FitOptions): Promise<Fitted> {
  const model: ClickModel = createModel(config).to(gpu, { seed: trainer.seed })
  model.tokenizer = tokenizer
  if (config.use_pretrained) {
    const note = (text: string) => stream.write(`note: ${text}\n`)
    await loadEncoder(encoderOf(model), config.model_name!, { note })
  }
  const evaluated = evaluation ? `, ${count(evaluation.length)} to evaluate on` : ''
  stream.write(
    `${model.constructor.name}: ${count(model.numParameters())} parameters, ${count(train.length)} rows to train on${evaluated}\n`,
  )
  const started = Date.now()
  const run = new Trainer({
    model,
    // The best of no evaluations is not to be had.
    config: {
      ...trainer,
      load_best_model_at_end: trainer.load_best_model_at_end && evaluation !== undefined,
    },
    train,
    evaluation,
    output,
    onProgress: ({ step, rows, loss }) =>
      progress.update({ done: step, loss, rowsPerSecond: (rows / (Date.now() - started)) * 1000 }),
    onLog(entry) {
      const metrics = metricsOfEntry(entry)
      if (metrics)
        progress.note(`step ${entry.step}, epoch ${entry.epoch.toFixed(2)}: ${metricsLine(metrics)}`)
    },
  })
  const progress = createProgress({ total: run.state.max_steps, label: 'step', stream })
  try {
    await run.train()
  } finally {
    progress.stop()
  }
  if (!evaluation) return { model, state: run.state }
  const metrics =
    finalMetrics(run.state, trainer) ??
    (await evaluate(model, evaluation, {
      batchSize: trainer.per_device_eval_batch_size,
      truncate: trainer.truncate,
    }))
  return { model, state: run.state, metrics }
}

/** The logged evaluation of the weights that are left at the end, if there was one. */
function finalMetrics(state: TrainerState, { load_best_model_at_end }: ResolvedTrainerConfig) {
  // The best evaluation may fall between two saves; what is loaded is the best that was saved.
  const loaded = load_best_model_at_end && /checkpoint-(\d+)$/.exec(state.best_model_checkpoint ?? '')
  const step = loaded ? Number(loaded[1]) : state.global_step
  const entry = state.log_history.findLast(entry => entry.step === step && 'eval_loss' in entry)
  return entry && metricsOfEntry(entry)
}

function metricsOfEntry(entry: LogEntry): Record<string, number> | undefined {
  if (!('eval_loss' in entry)) return undefined
  const named = Object.entries(entry).filter(([name]) => name.startsWith('eval_'))
  return Object.fromEntries(named.map(([name, value]) => [name.slice('eval_'.length), value]))
}

/** Writes the model into a folder, which may hold other files; `loadModel` reads it. */
export async function saveResult(model: ClickModel, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await saveWeights(model, join(folder, WEIGHTS_FILE))
  const files = { [CONFIG_FILE]: model.config, ...model.tokenizer?.files }
  for (const [name, value] of Object.entries(files)) await writeJson(join(folder, name), value)
}

const count = (n: number) => n.toLocaleString('en-US')
