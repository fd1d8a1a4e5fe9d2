// A cross encoder on search sessions of Baidu-ULTR's format, whose truth is known: by loss, against the best order there is.
import { join } from 'node:path'
import { randomStream } from '../../data/shuffle.ts'
import { preprocessUltr, type UltrWorld, writeUltrWorld } from '../../datasets/ultr/index.ts'
import { meanOfLists, ndcg, rankLists } from '../../metrics/index.ts'
import { type Bench, trained } from './bench.ts'
import { atLeast, type Experiment, gaps, valuesOf } from './experiment.ts'
import { type PlantedOptions, runExperiment } from './run.ts'

/** Few words, so that a small encoder learns soon which of them belong together. */
const WORLD = { sessions: 1_000, queries: 150, candidates: 20, judged: 100, words: 36 }
const QUICK_WORLD = { sessions: 400, queries: 60, candidates: 12, judged: 40, words: 24 }
const EPOCHS = 6
const QUICK_EPOCHS = 3
/** Ids below it have a meaning of their own. */
const OFFSET = 10

const MLM = { probability: 0.3 }
/** Dwell times begin with errors of several squares, which clipped gradients would leave little beside. */
const HEADS = { skip: {}, dwell: { weight: 0.05 } }
/** By row of the table: what a configuration has beside the texts. */
const METHODS: Record<string, (propensities: number[]) => object> = {
  naive_pointwise: () => ({ loss: 'pointwise', mlm: MLM }),
  two_tower: () => ({ loss: 'two_tower', mlm: MLM }),
  ips_pointwise: propensities => ({ loss: { name: 'ips_pointwise', propensities }, mlm: MLM }),
  dla: () => ({ loss: 'dla', mlm: MLM }),
  heads: () => ({ loss: 'two_tower', mlm: MLM, heads: HEADS }),
}
const QUICK_METHODS = ['naive_pointwise', 'heads']

const experiment: Experiment = {
  name: 'ultr',
  title: 'A cross encoder on search sessions: relevance and position bias are planted',
  figure: 'nDCG@10',
  source: 'no figures are recorded; the best order there is comes to 1.000',
  rows: [
    { name: 'naive_pointwise', title: 'clicks, pointwise' },
    { name: 'two_tower', title: 'two towers' },
    { name: 'ips_pointwise', title: 'IPS pointwise, true propensities' },
    { name: 'dla', title: 'DLA' },
    { name: 'heads', title: 'two towers, with skips and dwell times' },
    { name: 'random', title: 'random order' },
    { name: 'best_possible', title: 'by the planted relevance' },
  ],
  async trial(bench) {
    const { seed, quick, folder } = bench
    const [raw, rows] = [join(folder, 'raw'), join(folder, 'data')]
    const sizes = quick ? QUICK_WORLD : WORLD
    const world = await writeUltrWorld({ folder: raw, seed, ...sizes })
    const files = await preprocessUltr({ input: raw, output: rows, seed, testShare: 0.05 })
    const figures = {
      best_possible: orderOf(world, i => world.relevance[i]!),
      random: orderOf(world, chance(seed)),
    }
    const found: Record<string, number> = {}
    for (const name of quick ? QUICK_METHODS : Object.keys(METHODS))
      found[name] = await ranker(bench, name, {
        train: files.train,
        annotated: files.annotated!,
        words: sizes.words,
        propensities: world.propensities,
      })
    return { ...found, ...figures }
  },
  checks(trials, quick) {
    const above = (name: string) => gaps(trials, name, 'random')
    if (quick)
      return [
        atLeast('clicks order judged lists better than chance', above('naive_pointwise'), 0.01),
        atLeast('so they do with skips and dwell times', above('heads'), 0.01),
      ]
    return [
      atLeast('the planted relevance is the best order', valuesOf(trials, 'best_possible'), 1),
      ...Object.keys(METHODS).map(name => atLeast(`${name} is above random order`, above(name), 0.05)),
      atLeast('two towers are above clicks, pointwise', gaps(trials, 'two_tower', 'naive_pointwise'), 0),
    ]
  },
}

/** nDCG@10 of the judged lists in the order of a score. */
function orderOf({ annotated }: UltrWorld, score: (row: number) => number): number {
  const byList = new Map<number, number[]>()
  for (const [row, { list }] of annotated.entries()) {
    const own = byList.get(list)
    if (own) own.push(row)
    else byList.set(list, [row])
  }
  const rows = [...byList.values()]
  const starts = [0]
  for (const list of rows) starts.push(starts.at(-1)! + list.length)
  const labels = rows.flat().map(row => annotated[row]!.label)
  return meanOfLists(ndcg(rankLists(labels, rows.flat().map(score), starts), { k: 10 })).mean
}

/** An order that says nothing, the same in every run. */
function chance(seed: number): () => number {
  const random = randomStream(seed, 11)
  return () => random.uniform()
}

async function ranker(
  bench: Bench,
  name: string,
  data: { train: string; annotated: string; words: number; propensities: number[] },
): Promise<number> {
  const { metrics } = await trained(bench, {
    name,
    config: {
      architecture: 'CrossEncoder',
      features_config: Object.fromEntries(
        ['query', 'title', 'abstract'].map(text => [text, { dtype: 'token_id' }]),
      ),
      pretrained_model_config: {
        vocab_size: OFFSET + data.words,
        hidden_size: 32,
        num_attention_heads: 4,
        num_hidden_layers: 2,
        intermediate_size: 64,
        max_position_embeddings: 40,
        // 0.02 is for sums over 768 numbers.
        initializer_range: 0.1,
        hidden_dropout_prob: 0,
        attention_probs_dropout_prob: 0,
      },
      ...METHODS[name]!(data.propensities),
    },
    trainer: {
      num_train_epochs: bench.quick ? QUICK_EPOCHS : EPOCHS,
      per_device_train_batch_size: 16,
      per_device_eval_batch_size: 32,
      learning_rate: 3e-3,
      encoder_learning_rate: 2e-3,
    },
    train: data.train,
    evaluation: data.annotated,
  })
  return metrics['ndcg@10']!
}

/** `kernelgrad experiment ultr`. */
export const run = (options: PlantedOptions): Promise<number> => runExperiment(experiment, options)
