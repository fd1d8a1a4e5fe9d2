// The small run's rows, trained on by one process or by several ranks in this one, without dropout: every kind of gradient there is.
import { crossEntropy, scale, softmax, tensor } from '../../src/autograd/index.ts'
import { readRows } from '../../src/cli/inputs.ts'
import { parseTrainerConfig, type TrainerConfig } from '../../src/config/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { BatchOf, Inputs } from '../../src/inputs.ts'
import { Evaluation } from '../../src/metrics/index.ts'
import { createModel, Model, parseConfiguration, registerModel } from '../../src/models/index.ts'
import { BatchNorm1d, Embedding, Linear } from '../../src/nn/index.ts'
import { alone, type Ranks, runLocal } from '../../src/ranks/index.ts'
import { Trainer, type TrainerOptions } from '../../src/train/index.ts'
import { bitsOf, files, modelJson } from './small-run.ts'

const { features_config: features, pretrained_model_config } = modelJson
const encoder = { ...pretrained_model_config, dropout: 0, attention_dropout: 0 }
const tables = Object.fromEntries(Object.entries(features).filter(([, { dtype }]) => dtype === 'categorical'))
const texts = Object.fromEntries(Object.entries(features).filter(([, { dtype }]) => dtype === 'token_id'))
const mlp_config = [{ hidden_size: 8, activation_function: 'ReLU' }]

const column = Object.keys(tables)[0]!
const rows = (tables[column] as { vocab_size: number }).vocab_size
const inputs = {
  ids: { kind: 'ids', columns: { [column]: rows } },
  labels: { kind: 'classes', column: 'label', classes: 2, trainOnly: true },
} as const satisfies Inputs

/** A table, and batch normalization over its values. */
class Normed extends Model<typeof inputs> {
  static readonly architecture = 'Normed'
  static readonly parse = () => ({ architecture: 'Normed' })
  readonly config = Normed.parse()
  readonly inputs = inputs
  readonly table = new Embedding(rows, 8)
  readonly norm = new BatchNorm1d(8)
  readonly head = new Linear(8, 2)

  override logits({ ids }: BatchOf<typeof inputs>) {
    return this.head.forward(this.norm.forward(this.table.forward(ids[column]!)))
  }
  loss(batch: BatchOf<typeof inputs>) {
    return crossEntropy(this.logits(batch), tensor(this.gpu, batch.labels!))
  }
  scores(batch: BatchOf<typeof inputs>) {
    return softmax(this.logits(batch))
  }
  metrics(options?: { rows?: number }) {
    return new Evaluation(2, options)
  }
  scoreNames() {
    return [null, 'probability']
  }
}
registerModel(Normed as never)

/** Configurations by what their gradients are. */
const MODELS = {
  /** An encoder, tables and an MLP. */
  whole: { features_config: features, mlp_config, pretrained_model_config: encoder },
  tables: { architecture: 'TabularModel', features_config: tables, mlp_config },
  /** Running statistics, and batches that differ by rank. */
  normed: { architecture: 'Normed' },
  /** A word table that every row of has a gradient, under its tied projection. */
  tied: {
    architecture: 'DistilBertForMaskedLM',
    features_config: texts,
    pretrained_model_config: encoder,
    mask_token_id: 1,
  },
  dropout: { ...modelJson },
} as const
export type Kind = keyof typeof MODELS

const SETTINGS: TrainerConfig = {
  num_train_epochs: 1,
  per_device_train_batch_size: 8,
  gradient_accumulation_steps: 1,
  learning_rate: 5e-3,
  encoder_learning_rate: 2e-3,
  lr_scheduler_type: 'linear',
  eval_steps: null,
  save_steps: null,
  save_total_limit: null,
  load_best_model_at_end: false,
  logging_steps: 1,
  seed: 9,
}

export interface Ended {
  steps: number[]
  norms: number[]
  history: Record<string, number>[]
  bits: Record<string, string>
  model: Model
  trainer: Trainer
}

export interface Asked {
  settings?: TrainerConfig
  options?: Partial<TrainerOptions>
  resume?: boolean | string
  /** What a rank does with its trainer before it trains. */
  before?: (trainer: Trainer, model: Model, ranks: Ranks) => unknown
}

/** A rank's trainer over a fresh model, evaluated on the other rows. */
export async function makeRank(gpu: Gpu, kind: Kind, ranks: Ranks, { settings, options }: Asked = {}) {
  const config = parseTrainerConfig({ ...SETTINGS, ...settings }, 'the test')
  const modelConfig = parseConfiguration(MODELS[kind], 'the test')
  const [train, evaluation] = [
    await readRows([files.train], createModel(modelConfig), config),
    await readRows([files.test], createModel(modelConfig), config),
  ]
  const model: Model = createModel(modelConfig).to(gpu, { seed: 5 })
  const quiet = { onWarning: () => {} }
  const trainer = new Trainer({ model, config, train, evaluation, ranks, ...quiet, ...options })
  return { trainer, model, train, evaluation }
}

/** Runs of all ranks, by rank. The settings' batch is that of all of them. */
export function run(gpu: Gpu, kind: Kind, size: number, asked: Asked = {}): Promise<Ended[]> {
  const batch =
    Number(asked.settings?.per_device_train_batch_size ?? SETTINGS.per_device_train_batch_size) / size
  const settings = { ...asked.settings, per_device_train_batch_size: batch }
  const one = async (ranks: Ranks): Promise<Ended> => {
    const { trainer, model } = await makeRank(gpu, kind, ranks, { ...asked, settings })
    try {
      asked.before?.(trainer, model, ranks)
      const { log_history: history } = await trainer.train({ resumeFromCheckpoint: asked.resume ?? false })
      const [steps, norms] = [
        history.flatMap(entry => entry.loss ?? []),
        history.flatMap(entry => entry.grad_norm ?? []),
      ]
      return { steps, norms, history, bits: await bitsOf(model), model, trainer }
    } finally {
      model.free()
    }
  }
  return size === 1 ? Promise.all([one(alone)]) : runLocal(size, one)
}

/** The largest difference. */
export const far = (a: readonly number[], b: readonly number[]): number =>
  a.length === b.length ? Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) : Infinity

/** Calls `body` while the model computes that training batch of its own, and scales the loss by the number that it returns, if one. */
export function atBatch(model: Model, number: number, body: () => unknown): void {
  let seen = 0
  const loss = model.loss.bind(model)
  model.loss = batch => {
    const factor = model.training && ++seen === number ? body() : undefined
    return typeof factor === 'number' ? scale(loss(batch), factor) : loss(batch)
  }
}
