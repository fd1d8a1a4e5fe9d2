// A ranker of two passes: the distilled student with kept vectors looks at every ad, its teacher at those that the student puts first.
import { join } from 'node:path'
import { writeJson } from '../../data/files.ts'
import { readColumns, writeParquet } from '../../data/index.ts'
import { textCandidates } from '../../datasets/index.ts'
import {
  type CutMeasures,
  embedToFile,
  measureCuts,
  NPassRanker,
  type TwoSidedModel,
} from '../../serve/index.ts'
import { loadModel } from '../../train/index.ts'
import { count, formatTable } from '../table.ts'
import type { Bench } from './bench.ts'
import { student, taughtBy } from './distill.ts'
import { type Check, type Experiment, type Figures, mean, overSeeds, short, valuesOf } from './experiment.ts'
import { type PlantedOptions, runExperiment } from './run.ts'
import { crossEncoder, pretrain, textRows } from './text-cross-encoder.ts'

const KS = [5, 10, 20, 50, 100]
const SIZES = { queries: 60, ads: 200 }
const QUICK_SIZES = { queries: 8, ads: 120 }
const RECORDED: Record<number, number> = { 5: 0.36, 10: 0.59, 20: 0.8, 50: 0.94, 100: 0.99 }

const experiment: Experiment = {
  name: 'npass',
  title:
    'Two passes on the text world: a student with kept ads, then its teacher for those that it puts first',
  source: 'PyTorch: one run; its first pass took 1/6.6 of the teacher’s time',
  figure: 'share of',
  rows: [
    ...KS.map(k => ({
      name: `own_${k}`,
      title: `the teacher’s own top 10 among the student’s ${k} best`,
      recorded: RECORDED[k]!,
    })),
    { name: 'first_time', title: 'the teacher’s time that the student takes, all queries at once' },
    { name: 'first_p50_time', title: 'the same, a query by itself (medians)', recorded: 1 / 6.6 },
    { name: 'both_time', title: 'the teacher’s time that both take with the chosen k, all queries at once' },
    { name: 'both_p50_time', title: 'the same, a query by itself (medians)' },
  ],
  async trial(bench) {
    const data = await textRows(bench)
    const { folder: pretrained } = await pretrain(bench, data)
    const { folder: teacher, auc } = await crossEncoder(bench, data, {
      name: 'teacher',
      train: data.train,
      pretrained,
    })
    const { folder: first, auc: own } = await student(bench, data, 'student', taughtBy(teacher))
    const { candidates, passes } = await filesOf(bench, first)
    return { ...(await measured(bench, candidates, passes)), teacher: auc, student: own }
  },
  checks,
}

/** The candidates, the vectors of their ads, and the passes, as a user has them. */
async function filesOf(bench: Bench, first: string) {
  const { gpu, folder, seed, quick } = bench
  const sizes = quick ? QUICK_SIZES : SIZES
  const [candidates, ads, vectors, passes] = [
    'data/candidates.parquet',
    'data/ads.parquet',
    'data/ads.vectors.parquet',
    'passes.json',
  ].map(name => join(folder, name)) as [string, string, string, string]
  const rows = textCandidates({ ...sizes, seed })
  await writeParquet(candidates, rows.columns)
  // Every query has all ads, so that those of the first are all there are.
  await writeParquet(
    ads,
    rows.columns.map(one => ({ ...one, data: Array.prototype.slice.call(one.data, 0, sizes.ads) })),
  )
  const model = await loadModel(gpu, first)
  await embedToFile(model as unknown as TwoSidedModel, ads, vectors, { side: 'ad', id: 'ad_id' })
  model.free()
  await writeJson(passes, {
    keys: ['query_id'],
    id: 'ad_id',
    // As seen from this file, so that the folder may move.
    passes: [{ model: 'student', vectors: 'data/ads.vectors.parquet', k: 50 }, { model: 'teacher' }],
  })
  return { candidates, passes }
}

async function measured(bench: Bench, data: string, passes: string): Promise<Figures> {
  const { stream, quick } = bench
  const ranker = await NPassRanker.load(bench.gpu, passes)
  try {
    const candidates = await ranker.read(data)
    const labels = (await readColumns(data, ['label'])).label!.map(Number)
    const { cuts, chosen } = await measureCuts(ranker, candidates, { labels, ks: KS, repeats: quick ? 1 : 3 })
    stream.write(`\n${cutsTable(cuts)}\n\nk ${nameOf(chosen)} is the smallest within .01 of all\n`)
    return figuresOf(cuts, chosen)
  } finally {
    ranker.free()
  }
}

const nameOf = (k: number): string => (Number.isFinite(k) ? String(k) : 'all')

/** What each k is worth, a line each. */
function cutsTable(cuts: readonly CutMeasures[]): string {
  const ms = (value: number) => value.toFixed(1)
  return formatTable(
    [
      'k',
      'recall',
      'of its top 10',
      'nDCG@10',
      'by its own',
      'scored',
      ...['pass 1 p50', 'p99', 'pass 2 p50', 'p99', 'both p50', 'p99'],
      'queries/s',
    ],
    cuts.map(({ k, recall, own_recall, ndcg, own_ndcg, scored, latency, total, queries_per_second }) => [
      nameOf(k),
      short(recall),
      short(own_recall),
      short(ndcg),
      short(own_ndcg),
      count(scored),
      ...[...latency, total].flatMap(({ p50, p99 }) => [ms(p50), ms(p99)]),
      queries_per_second.toFixed(0),
    ]),
  )
}

function figuresOf(cuts: readonly CutMeasures[], chosen: number): Figures {
  const all = cuts.at(-1)!
  const own = cuts.find(({ k }) => k === chosen)!
  const [first, teacher] = all.ms as [number, number]
  const byK = cuts.map(cut => {
    const { k, recall, own_recall, ndcg, own_ndcg, scored, latency, total, queries_per_second } = cut
    const figures = {
      recall,
      own: own_recall,
      ndcg,
      own_ndcg,
      scored,
      first_p50: latency[0]!.p50,
      first_p99: latency[0]!.p99,
      second_p50: latency[1]!.p50,
      second_p99: latency[1]!.p99,
      p50: total.p50,
      p99: total.p99,
      queries_per_second,
    }
    return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${name}_${nameOf(k)}`, value]))
  })
  return {
    ...Object.assign({}, ...byK),
    first_time: first / teacher,
    first_p50_time: all.latency[0]!.p50 / all.latency[1]!.p50,
    both_time: (own.ms[0]! + own.ms[1]!) / teacher,
    both_p50_time: own.total.p50 / all.latency[1]!.p50,
    // The largest number of candidates stands for all of them.
    chosen: Math.min(chosen, all.scored),
    ndcg_chosen: own.ndcg,
    ndcg_teacher: all.ndcg,
  }
}

function checks(trials: readonly Figures[], quick: boolean): Check[] {
  const names = [...KS.map(String), 'all']
  const meansOf = (name: string) => names.map(k => mean(valuesOf(trials, `${name}_${k}`)))
  /** Of means over the seeds. */
  const rises = (what: string, name: string): Check => {
    const means = meansOf(name)
    const steps = means.every((value, i) => i === 0 || value >= means[i - 1]!)
    return {
      says: `${what} rises with k`,
      pass: steps && means.at(-1)! > means[0]!,
      found: means.map(short).join(' '),
    }
  }
  const work = trials.map(figures =>
    names.every((k, i) => i === 0 || figures[`scored_${k}`]! > figures[`scored_${names[i - 1]}`]!),
  )
  const own = [
    rises('recall', 'recall'),
    rises('the share of the teacher’s own top 10', 'own'),
    rises('nDCG@10 by the teacher’s own top 10', 'own_ndcg'),
    {
      says: 'the fewer k, the fewer ads the teacher scores',
      pass: work.every(Boolean),
      found: trials.map(figures => names.map(k => count(figures[`scored_${k}`]!)).join(' ')).join('; '),
    },
  ]
  // Models of seconds rank by chance, and time is a matter of minutes.
  if (quick) return own
  const [share, alone] = [valuesOf(trials, 'both_time'), valuesOf(trials, 'both_p50_time')]
  const apart = trials.map(figures => figures.ndcg_teacher! - figures.ndcg_chosen!)
  return [
    ...own,
    {
      says: 'with the chosen k both passes take at most half of the teacher’s time',
      pass: [...share, ...alone].every(one => one <= 0.5),
      found: `k ${valuesOf(trials, 'chosen').join(' ')}: ${overSeeds(share)}, a query by itself ${overSeeds(alone)}`,
    },
    {
      says: 'and nDCG@10 by clicks is that of the teacher alone within .01',
      pass: apart.every(one => one <= 0.01),
      // Which need not rise: a student that learned from its teacher alone may judge clicks as well.
      found: `${overSeeds(apart)}; by k ${meansOf('ndcg').map(short).join(' ')}`,
    },
  ]
}

/** `kernelgrad experiment npass`. */
export const run = (options: PlantedOptions): Promise<number> => runExperiment(experiment, options)
