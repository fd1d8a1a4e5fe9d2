// The notebook's comparison: one model with the tabular features and one without, on the same rows.

import { join } from 'node:path'
import { files } from '#files'
import {
  type EncoderConfig,
  type FeatureSizes,
  type FeaturesConfig,
  type MlpLayerConfig,
  parseTrainingConfig,
  type ResolvedTrainingConfig,
  type TrainerConfig,
  type TrainingConfig,
} from '../config/index.ts'
import { writeJson } from '../data/files.ts'
import type { Gpu } from '../gpu/index.ts'
import { createModel } from '../models/index.ts'
import {
  type BinaryMetrics,
  formatMetrics,
  REPORT_HTML,
  type RunReport,
  writeReportPage,
} from '../train/index.ts'
import { ARGUMENTS_FILE } from '../train/trainer-checkpoint.ts'
import { fit, saveResult } from './fit.ts'
import { readJudged, readRows } from './inputs.ts'
import { formatTable } from './table.ts'

/** The two models' names: of their folders, and in the results. */
export const PAIR = ['text_tabular', 'text_only'] as const
export type ModelPair = Record<(typeof PAIR)[number], ResolvedTrainingConfig>

/** What decides a pair besides the data's sizes. */
export interface PairOptions {
  encoder: Omit<EncoderConfig, 'vocab_size' | 'pad_token_id'>
  /** Columns of each categorical feature's table. */
  embeddings: Record<string, number>
  mlp: MlpLayerConfig[]
  trainer: TrainerConfig
}

/** What a pair needs to know of the data. */
export type PairSizes = Pick<FeatureSizes, 'features_config' | 'vocab_size' | 'pad_token_id' | 'num_labels'>

/** The configurations of both models; `where` is what error messages call them. */
export function modelPair(sizes: PairSizes, options: PairOptions, where: string): ModelPair {
  const { encoder, embeddings, mlp, trainer } = options
  const features = Object.entries(sizes.features_config)
  const shared = {
    num_labels: sizes.num_labels,
    pretrained_model_config: {
      vocab_size: sizes.vocab_size,
      pad_token_id: sizes.pad_token_id,
      ...encoder,
    },
  }
  const all = features.map(([name, feature]) => {
    const embedding_size = embeddings[name]
    return [name, embedding_size === undefined ? feature : { ...feature, embedding_size }]
  })
  const pair: Record<(typeof PAIR)[number], TrainingConfig> = {
    text_tabular: {
      ...shared,
      features_config: Object.fromEntries(all) as FeaturesConfig,
      mlp_config: mlp,
      trainer,
    },
    text_only: {
      ...shared,
      architecture: 'DistilBertForSequenceClassification',
      features_config: Object.fromEntries(
        features.filter(([, { dtype }]) => dtype === 'token_id'),
      ) as FeaturesConfig,
      // As in the notebook, the baseline trains at one rate and without weight decay.
      trainer: { ...trainer, learning_rate: trainer.encoder_learning_rate, weight_decay: 0 },
    },
  }
  const parse = (name: (typeof PAIR)[number]) => parseTrainingConfig(pair[name], `${where}: ${name}`)
  return { text_tabular: parse('text_tabular'), text_only: parse('text_only') }
}

export type Scores = Pick<BinaryMetrics, 'roc_auc' | 'pr_auc' | 'log_loss'>
export const scoresOf = ({ roc_auc, pr_auc, log_loss }: BinaryMetrics): Scores => ({
  roc_auc,
  pr_auc,
  log_loss,
})

export interface Comparison {
  models: ModelPair
  train: string[]
  evaluation: string[]
  /** Each model is saved into a folder of its name below this one. */
  out: string
  /** Whether checkpoints are kept there too. */
  checkpoints: boolean
  stream: NodeJS.WriteStream
}

/** Trains both models one after the other, saves them with a report on both, and scores them on the evaluation rows. */
export async function comparePair(
  gpu: Gpu,
  { models, train, evaluation, out, checkpoints, stream }: Comparison,
): Promise<Record<string, Scores>> {
  const results: Record<string, Scores> = {}
  const reports: RunReport[] = []
  for (const name of PAIR) {
    const { trainer, ...config } = models[name]
    const folder = join(out, name)
    await files.makeFolder(folder)
    await writeJson(join(folder, ARGUMENTS_FILE), trainer)
    const fitted = await fit({
      gpu,
      config,
      trainer,
      train: await readRows(train, createModel(config), trainer),
      evaluation: await readJudged(evaluation, createModel(config), trainer),
      output: checkpoints ? folder : undefined,
      stream,
      explain: {},
      name: TITLES[name]!,
    })
    await saveResult(fitted, folder)
    fitted.model.free()
    reports.push(fitted.report)
    results[name] = scoresOf(fitted.metrics as unknown as BinaryMetrics)
  }
  await writeReportPage(join(out, REPORT_HTML), reports)
  return results
}

const TITLES: Record<string, string> = {
  text_tabular: 'text + tabular',
  text_only: 'text only',
  best_possible: 'best possible',
}

/** The results as the notebook's table: three digits, a row per model. */
export function comparisonTable(results: Record<string, Scores>): string {
  const rows = Object.entries(results).map(([name, result]) => {
    const { roc_auc, pr_auc, log_loss } = formatMetrics({ ...result })
    return [TITLES[name]!, roc_auc, pr_auc, log_loss]
  })
  return formatTable(['model', 'ROC AUC', 'PR AUC', 'log loss'], rows)
}
