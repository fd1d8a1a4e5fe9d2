// Losses over lists: what predicts clicks, and what orders documents, on lists whose level says more of clicks than their documents do.
import { join } from 'node:path'
import { writeListWorld } from '../../datasets/index.ts'
import { trained } from './bench.ts'
import { type Check, type Experiment, gaps, inEverySeed, overSeeds, short } from './experiment.ts'
import { type PlantedOptions, runExperiment } from './run.ts'

/** By name: its title, and what PyTorch came to. */
const LOSSES = {
  pointwise: { title: 'pointwise', ndcg: 0.815, log_loss: 0.422 },
  pairwise: { title: 'pairwise (RankNet)', ndcg: 0.857 },
  lambdarank: { title: 'LambdaRank', ndcg: 0.856 },
  listwise_normed: { title: 'listwise softmax', ndcg: 0.852 },
  listnet: { title: 'ListNet' },
} as const satisfies Record<string, { title: string; ndcg?: number; log_loss?: number }>
const NAMES = Object.keys(LOSSES) as (keyof typeof LOSSES)[]
const ORDER = NAMES.filter(name => name !== 'pointwise')
const titled = (name: keyof typeof LOSSES): { title: string; ndcg?: number; log_loss?: number } =>
  LOSSES[name]
const recorded = (value: number | undefined) => (value === undefined ? {} : { recorded: value })
const logLossOf = (name: string) => `${name}_log_loss`

const experiment: Experiment = {
  name: 'losses',
  title: 'Losses over lists: the order of documents against the probability of a click',
  source: 'PyTorch: means of five seeds; log loss of the losses of order .66 to .70; best possible .859',
  figure: 'nDCG@10',
  rows: [
    ...NAMES.map(name => ({ name, title: titled(name).title, ...recorded(titled(name).ndcg) })),
    { name: 'best_possible', title: 'best possible', recorded: 0.859 },
    ...NAMES.map(name => ({
      name: logLossOf(name),
      title: `log loss, ${titled(name).title}`,
      ...recorded(titled(name).log_loss),
    })),
  ],
  async trial(bench) {
    const { seed, quick } = bench
    const sizes = quick ? { trainLists: 300, testLists: 300 } : {}
    const data = await writeListWorld({ folder: join(bench.folder, 'data'), seed, ...sizes })
    const figures: Record<string, number> = {}
    for (const loss of NAMES) {
      const { metrics } = await trained(bench, {
        name: loss,
        config: {
          architecture: 'TabularRanker',
          features_config: data.features_config,
          mlp_config: [
            { hidden_size: 16, activation_function: 'ReLU', normalization_function: null, dropout_p: 0 },
          ],
          loss,
        },
        trainer: { per_device_train_batch_size: 50, num_train_epochs: 12, learning_rate: 3e-3 },
        train: data.train,
        evaluation: data.test,
      })
      figures[loss] = metrics['ndcg@10']!
      figures[logLossOf(loss)] = metrics.log_loss!
    }
    figures.best_possible = data.bestNdcg
    return figures
  },
  checks: (trials, quick) =>
    ORDER.flatMap(name => [
      // A fifth of the lists take a fifth of the steps.
      atLeast(
        `${titled(name).title} is above pointwise by .03 in nDCG@10`,
        gaps(trials, name, 'pointwise'),
        quick ? -0.02 : 0.03,
      ),
      atLeast(
        `${titled(name).title} has the greater log loss`,
        gaps(trials, logLossOf(name), logLossOf('pointwise')),
        0,
      ),
    ]),
}

/** A check that every seed's figure is at least a bound. */
const atLeast = (says: string, values: readonly number[], bound: number): Check =>
  inEverySeed(says, values, value => value >= bound, `${overSeeds(values)}, at least ${short(bound)}`)

/** `kernelgrad experiment losses`. */
export const run = (options: PlantedOptions): Promise<number> => runExperiment(experiment, options)
