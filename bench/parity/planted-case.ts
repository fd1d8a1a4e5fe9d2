// Whole training runs on data with a planted click signal, against the results of PyTorch's runs over several seeds.
import { basename, join } from 'node:path'
import { readRows } from '../../src/cli/inputs.ts'
import { parseTrainingConfig } from '../../src/config/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { createModel } from '../../src/models/index.ts'
import { evaluate, Trainer } from '../../src/train/index.ts'
import { type CaseConfig, modelConfig } from './frozen.ts'
import { Check, type Finding } from './report.ts'

const METRICS = ['roc_auc', 'pr_auc', 'log_loss'] as const
type Scores = Record<(typeof METRICS)[number], number>

export interface PlantedCase {
  config: CaseConfig
  epochs: number
  batch: number
  accumulate: number
  dropout: number
  lr_encoder: number
  lr_other: number
  weight_decay: number
  max_grad_norm: number
  runs: ({ model: 'TextTabular' | 'TextOnly'; seed: number } & Scores)[]
}

/** How far the ROC AUC of a run in mixed precision may be from float32's. */
const FP16_BOUND = 0.003

/**
 * Trains each model of the case once, on the rows of train.parquet, and scores test.parquet; with `fp16` a second time, from
 * the same seed in mixed precision, which is held against the first.
 */
export async function checkPlantedCase(
  gpu: Gpu,
  folder: string,
  frozen: PlantedCase,
  { fp16 = false }: { fp16?: boolean | undefined } = {},
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const kind of new Set(frozen.runs.map(run => run.model))) {
    const scores = await trainOnce(gpu, folder, frozen, kind)
    const runs = frozen.runs.filter(run => run.model === kind)
    // A share of the distance from the mean that is allowed: 1 is the bound.
    const check = new Check(`${basename(folder)}/${kind}`, 1)
    for (const metric of METRICS) {
      const values = runs.map(run => run[metric])
      const figure = `${metric} ${scores[metric].toFixed(4)}, PyTorch ${Math.min(...values).toFixed(4)} to ${Math.max(...values).toFixed(4)}`
      check.add(figure, spreadShare(scores[metric], values))
    }
    findings.push(...check.done())
    if (!fp16) continue
    const half = await trainOnce(gpu, folder, frozen, kind, true)
    const mixed = new Check(`${basename(folder)}/${kind} fp16`, FP16_BOUND)
    mixed.add(
      `roc_auc ${half.roc_auc.toFixed(4)}, float32 ${scores.roc_auc.toFixed(4)}`,
      Math.abs(half.roc_auc - scores.roc_auc),
    )
    findings.push(...mixed.done())
  }
  return findings
}

/**
 * Where `value` lies beside runs that differ by their seed: 0 at their mean, 1 where the smallest or the largest, moved as
 * far again from the mean as it is, stands.
 */
export function spreadShare(value: number, runs: readonly number[]): number {
  const mean = runs.reduce((sum, run) => sum + run, 0) / runs.length
  const reach = value < mean ? mean - Math.min(...runs) : Math.max(...runs) - mean
  return Math.abs(value - mean) / (2 * reach)
}

async function trainOnce(
  gpu: Gpu,
  folder: string,
  frozen: PlantedCase,
  kind: PlantedCase['runs'][number]['model'],
  fp16 = false,
): Promise<Scores> {
  const architecture = kind === 'TextOnly' ? 'DistilBertForSequenceClassification' : 'TextTabularModel'
  const { trainer, ...config } = parseTrainingConfig(
    {
      ...modelConfig(frozen.config, architecture, frozen.dropout),
      trainer: {
        num_train_epochs: frozen.epochs,
        per_device_train_batch_size: frozen.batch,
        gradient_accumulation_steps: frozen.accumulate,
        learning_rate: frozen.lr_other,
        encoder_learning_rate: frozen.lr_encoder,
        weight_decay: frozen.weight_decay,
        max_grad_norm: frozen.max_grad_norm,
        eval_steps: null,
        save_steps: null,
        logging_steps: null,
        load_best_model_at_end: false,
        seed: 0,
        fp16,
      },
    },
    join(folder, 'case.json'),
  )
  const train = await readRows([join(folder, 'train.parquet')], createModel(config), trainer)
  const test = await readRows([join(folder, 'test.parquet')], createModel(config), trainer)
  const model = createModel(config).to(gpu, { seed: trainer.seed })
  try {
    await new Trainer({ model, config: trainer, train }).train()
    return scoresOf(await evaluate(model, test), folder)
  } finally {
    model.free()
  }
}

function scoresOf(metrics: Record<string, number>, folder: string): Scores {
  const [roc_auc, pr_auc, log_loss] = METRICS.map(name => metrics[name])
  if (roc_auc === undefined || pr_auc === undefined || log_loss === undefined)
    throw new DataError(`${folder}: ${METRICS.join(', ')} need two classes`)
  return { roc_auc, pr_auc, log_loss }
}
