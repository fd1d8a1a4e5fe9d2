// Fusion methods: eight ways in which a text and a table meet, on click data whose signal lies in both.
import { join } from 'node:path'
import { FUSION_METHODS } from '../../config/index.ts'
import { writeSyntheticKdd } from '../../datasets/index.ts'
import { binaryMetrics } from '../../train/index.ts'
import { demoModels } from '../demo-models.ts'
import { type Bench, trained } from './bench.ts'
import { type Check, type Experiment, type Figures, mean, overSeeds, short, valuesOf } from './experiment.ts'
import { type PlantedOptions, runExperiment } from './run.ts'

const TEXT = 'text_only'
const WITH_TABLE = FUSION_METHODS.filter(method => method !== TEXT)
/** None of the table, side by side, a sum. */
const QUICK = [TEXT, 'concat', 'attention_on_cat_and_numerical_feats']

const TITLES: Record<string, string> = {
  text_only: 'text only',
  concat: 'concat',
  mlp_on_categorical_then_concat: 'MLP on categories, concat',
  mlp_on_concatenated_cat_and_numerical_feats_then_concat: 'MLP on the table, concat',
  individual_mlps_on_cat_and_numerical_feats_then_concat: 'an MLP on each, concat',
  attention_on_cat_and_numerical_feats: 'attention',
  gating_on_cat_and_num_feats_then_sum: 'gating',
  weighted_feature_sum_on_transformer_cat_and_numerical_feats: 'weighted sum',
}

const experiment: Experiment = {
  name: 'fusion',
  title: 'Fusion methods on click data with a known signal: text only, and text with the table',
  source: 'No PyTorch run of this comparison is recorded.',
  rows: [...FUSION_METHODS, 'best_possible'].map(name => ({
    name,
    title: TITLES[name] ?? 'best possible',
  })),
  async trial(bench) {
    // The rows are the same with every seed, so that the seeds' spread is that of training alone.
    const sizes = bench.quick ? { trainRows: 3_000, testRows: 1_000 } : {}
    const data = await writeSyntheticKdd({ folder: join(bench.folder, 'data'), ...sizes })
    const figures: Figures = {}
    for (const method of bench.quick ? QUICK : FUSION_METHODS)
      figures[method] = await withMethod(bench, data, method)
    figures.best_possible = binaryMetrics(data.testLabels, data.testProbability).roc_auc
    return figures
  },
  checks: (trials, quick) =>
    WITH_TABLE.filter(method => method in trials[0]!).map(method => aboveText(trials, method, quick)),
}

/**
 * More and larger steps than the demo's, in the same time. There is one numerical feature, so that one of the methods passes the whole table
 * through a single number; the demo's 188 steps leave it near the text's figure with some seeds.
 */
const STEPS = { gradient_accumulation_steps: 1, learning_rate: 2e-3 }

async function withMethod(
  bench: Bench,
  data: Awaited<ReturnType<typeof writeSyntheticKdd>>,
  method: string,
): Promise<number> {
  const { features_config, vocabSize: vocab_size, padTokenId: pad_token_id, numLabels: num_labels } = data
  const sizes = { features_config, vocab_size, pad_token_id, num_labels }
  const { trainer, ...config } = demoModels(sizes, { seed: bench.seed }).text_tabular
  const { metrics } = await trained(bench, {
    name: method,
    config: { ...config, fusion: method },
    trainer: { ...trainer, ...STEPS },
    train: data.train,
    evaluation: data.test,
  })
  return metrics.roc_auc!
}

/** Above text alone by more than the seeds' spread, the wider of the two from smallest to largest. */
function aboveText(trials: readonly Figures[], method: string, quick: boolean): Check {
  const [values, text] = [valuesOf(trials, method), valuesOf(trials, TEXT)]
  const spread = Math.max(...[values, text].map(some => Math.max(...some) - Math.min(...some)))
  const gap = mean(values) - mean(text)
  return {
    says: `${TITLES[method]} above text only by more than the spread`,
    pass: gap > (quick ? 0 : spread),
    found: `${overSeeds(values)}, text ${overSeeds(text)}; ${short(gap)} apart, spread ${short(spread)}`,
  }
}

/** `kernelgrad experiment fusion`. */
export const run = (options: PlantedOptions): Promise<number> => runExperiment(experiment, options)
