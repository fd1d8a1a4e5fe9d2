// Masked pretraining: what an encoder learns from texts without labels is worth most where labels are few.
import type { Bench } from './bench.ts'
import {
  atLeast,
  type Check,
  type Experiment,
  type Figures,
  gaps,
  mean,
  overSeeds,
  type Row,
  valuesOf,
} from './experiment.ts'
import { type PlantedOptions, runExperiment } from './run.ts'
import { crossEncoder, firstRows, pretrain, type Start, textRows } from './text-cross-encoder.ts'

/** Labelled rows, and what PyTorch came to with them: from scratch, and pretrained. */
const LABELS = [
  { labels: 500, scratch: 0.525, pretrained: 0.611 },
  { labels: 2_000, scratch: 0.548, pretrained: 0.698 },
  { labels: 8_000, scratch: 0.727, pretrained: 0.774 },
]

/** By the library's defaults; a quick run has too few steps to get anywhere from there. */
const startOf = ({ quick }: Bench): Start => (quick ? 'wide' : 'defaults')

const named = (labels: number) => ({ scratch: `scratch_${labels}`, pretrained: `pretrained_${labels}` })
const count = (n: number) => n.toLocaleString('en-US')

const rows = LABELS.flatMap(({ labels, scratch, pretrained }): Row[] => [
  { name: named(labels).scratch, title: `from scratch, ${count(labels)} labels`, recorded: scratch },
  { name: named(labels).pretrained, title: `pretrained, ${count(labels)} labels`, recorded: pretrained },
])

const experiment: Experiment = {
  name: 'pretrain',
  title: 'Masked pretraining on the text world: clicks from scratch and from the pretrained encoder',
  source: 'PyTorch: means of three seeds with 500 and 2,000 labels, one seed with 8,000; best possible .851',
  rows,
  async trial(bench) {
    const data = await textRows(bench)
    const { folder: pretrained, loss } = await pretrain(bench, data, startOf(bench))
    const figures: Figures = { masked_loss: loss, best_possible: data.bestAuc }
    for (const { labels } of bench.quick ? LABELS.slice(0, 1) : LABELS) {
      const train = await firstRows(bench, labels)
      const { scratch, pretrained: from } = named(labels)
      figures[scratch] = (
        await crossEncoder(bench, data, { name: scratch, train, start: startOf(bench) })
      ).auc
      figures[from] = (
        await crossEncoder(bench, data, { name: from, train, pretrained, start: startOf(bench) })
      ).auc
    }
    return figures
  },
  checks(trials, quick) {
    if (quick) return quickChecks(trials)
    const gap = (labels: number) => gaps(trials, named(labels).pretrained, named(labels).scratch)
    const closing = [gap(2_000), gap(8_000)] as const
    return [
      atLeast('pretrained beats scratch by .05 with 500 labels', gap(500), 0.05),
      atLeast('pretrained beats scratch by .05 with 2,000 labels', gap(2_000), 0.05),
      {
        says: 'the gap closes with labels',
        pass: mean(closing[1]) < mean(closing[0]),
        found: `2,000 labels ${overSeeds(closing[0])}, 8,000 ${overSeeds(closing[1])}`,
      },
    ]
  },
}

/** What a guess over the 240 words costs: below it, something of the texts was learnt. */
const GUESS = Math.log(240)

function quickChecks(trials: readonly Figures[]): Check[] {
  const learnt = valuesOf(trials, 'masked_loss').map(loss => GUESS - loss)
  return [atLeast('the masked loss falls .05 below a guess', learnt, 0.05)]
}

/** `kernelgrad experiment pretrain`. */
export const run = (options: PlantedOptions): Promise<number> => runExperiment(experiment, options)
