/**
 * A small world of texts whose truth is known: queries and ads about topics on a circle, and clicks that fall with the distance
 * between them. No single token says anything of a click: a model has to learn which tokens belong together, which texts without
 * labels teach too. That is what pretraining, distillation and rankers are tried on.
 */
import { files } from '#files'
import { expectNumber, expectOptions, NATURAL, type Range, shown } from '../check.ts'
import type { FeatureSizes, FeaturesConfig } from '../config/index.ts'
import { writeJson } from '../data/files.ts'
import { type RandomStream, randomStream } from '../data/shuffle.ts'
import { type WriteColumn, writeParquet } from '../data/write.ts'
import { ArgumentError } from '../errors.ts'
import { rocAuc } from '../metrics/index.ts'

/** Tokens of the world; token i is about topic i % TOPICS. Separator and padding come after them; no text holds either. */
const TOKENS = 240
const TOPICS = 12
const SEPARATOR = TOKENS
const PADDING = TOKENS + 1

/** Sizes of the world's data; every field has a default. */
export interface TextWorldSizes {
  /** Default 9,000. */
  trainRows?: number
  /** Default 4,000. */
  testRows?: number
  /** Default 0. */
  seed?: number
}

/** Where the files go, and their sizes. */
export interface TextWorldOptions extends TextWorldSizes {
  /** Made where it is missing. */
  folder: string
}

/** Rows as `writeParquet` takes them, and the truth about them. */
export interface TextWorldRows {
  /** query_id, ad_id, tokenized_query, separator, tokenized_ad, depth, label. */
  columns: WriteColumn[]
  /** True click probability of each row. */
  probability: Float64Array
  /** Whether it was clicked. */
  labels: Uint32Array
  /** Topic of each row's query, 0 to 11. */
  queryTopic: Uint8Array
  /** Topic of each row's ad, 0 to 11. */
  adTopic: Uint8Array
}

/** How to read the data. */
interface TextWorldFacts {
  features_config: FeaturesConfig
  /** Rows of the word table, padding included. */
  vocabSize: number
  padTokenId: number
  /** What stands between query and ad, in a column of its own, for models that read both as one text. */
  separatorId: number
  numLabels: number
}

/** The rows in memory, and how to read them. */
export interface TextWorldColumns extends TextWorldFacts {
  train: TextWorldRows
  test: TextWorldRows
}

/** The files, how to read them, and the truth about the test rows. */
export interface TextWorldData extends TextWorldFacts {
  train: string
  test: string
  /** Path of features.json, for `train --features`. */
  features: string
  /** True click probability of each test row: the score no model can beat on average. */
  testProbability: Float64Array
  testLabels: Uint32Array
  /** ROC AUC of the true probabilities over the test rows. */
  bestAuc: number
}

const SIZES = ['trainRows', 'testRows', 'seed']

/**
 * Draws the world's rows; the same sizes give the same rows to the bit.
 *
 * There are 240 tokens in 12 topics (token % 12). A query has 1 to 4 tokens, 85% of them of its topic t; an ad has 3 to 8, 80% of them of its
 * topic u, which is t in 40% of the rows; the others are of any other topic, all alike. `depth` is uniform in [0, 1). The logit of a
 * click is -1.2 + 2.5 cos(2 pi (t - u) / 12) + 1.2 (depth - 0.5). The column `separator` holds one token, for models that read query and ad as
 * one text.
 * @throws ArgumentError naming the size that cannot be
 */
export function textWorld(sizes: TextWorldSizes = {}): TextWorldColumns {
  expectOptions('textWorld: sizes', sizes, SIZES)
  const { trainRows = 9_000, testRows = 4_000, seed = 0 } = sizes
  expectNumber('textWorld: trainRows', trainRows, ROWS)
  expectNumber('textWorld: testRows', testRows, ROWS)
  expectNumber('textWorld: seed', seed, NATURAL)
  return {
    train: draw(trainRows, randomStream(seed, 1)),
    test: draw(testRows, randomStream(seed, 2)),
    features_config: {
      tokenized_query: { dtype: 'token_id' },
      separator: { dtype: 'token_id' },
      tokenized_ad: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
    },
    vocabSize: TOKENS + 2,
    padTokenId: PADDING,
    separatorId: SEPARATOR,
    numLabels: 2,
  }
}

/** Row ids are written as they are counted. */
const ROWS: Range = {
  says: 'a whole number from 0 to 10,000,000',
  takes: x => Number.isSafeInteger(x) && x >= 0 && x <= 10_000_000,
}

/**
 * Writes train.parquet, test.parquet, features.json (as `preprocess` does) and planted.json with the truth. The same options give the
 * same files.
 * @throws ArgumentError naming the size that cannot be, also where the test rows have no click or nothing else, so that there is no AUC
 *
 * @example
 * ```ts
 * import { writeTextWorld } from 'kernelgrad/datasets'
 *
 * const { train, bestAuc } = await writeTextWorld({ folder: 'world', seed: 1 })
 * ```
 */
export async function writeTextWorld(options: TextWorldOptions): Promise<TextWorldData> {
  expectOptions('writeTextWorld: options', options, ['folder', ...SIZES])
  const { folder, ...sizes } = options
  if (typeof folder !== 'string')
    throw new ArgumentError(`writeTextWorld: folder is ${shown(folder)}, expected a path`)
  const { train: trainSet, test: testSet, ...facts } = textWorld(sizes)
  const { probability: testProbability, labels: testLabels } = testSet
  // Of no clicks, or nothing but clicks, there is no curve.
  const bestAuc = testLabels.length ? rocAuc(testLabels, testProbability) : Number.NaN
  if (Number.isNaN(bestAuc))
    throw new ArgumentError(
      `writeTextWorld: testRows is ${testLabels.length}: those have no click, or nothing else, so there is no AUC; ask for more rows`,
    )
  const { join } = files
  await files.makeFolder(folder)
  const paths = {
    train: join(folder, 'train.parquet'),
    test: join(folder, 'test.parquet'),
    features: join(folder, 'features.json'),
  }
  await writeParquet(paths.train, trainSet.columns)
  await writeParquet(paths.test, testSet.columns)
  await writeJson(join(folder, 'planted.json'), {
    bestAuc,
    testProbability: [...testProbability],
    testLabels: [...testLabels],
  })
  const clicks = (labels: Uint32Array) => labels.reduce((sum, label) => sum + label, 0)
  const [train, test] = [trainSet.labels, testLabels]
  const features: FeatureSizes = {
    features_config: facts.features_config,
    vocab_size: facts.vocabSize,
    pad_token_id: facts.padTokenId,
    num_labels: facts.numLabels,
    rows: { read: train.length + test.length, train: train.length, test: test.length },
    clicks: { train: clicks(train), test: clicks(test) },
    seed: sizes.seed ?? 0,
  }
  await writeJson(paths.features, features)
  return { ...paths, ...facts, testProbability, testLabels, bestAuc }
}

function draw(rows: number, random: RandomStream): TextWorldRows {
  const [queries, ads]: Uint32Array[][] = [[], []]
  const [queryTopic, adTopic] = [new Uint8Array(rows), new Uint8Array(rows)]
  const [depth, probability] = [new Float64Array(rows), new Float64Array(rows)]
  const labels = new Uint32Array(rows)
  for (let i = 0; i < rows; i++) {
    const t = random.below(TOPICS)
    const u = random.uniform() < 0.4 ? t : otherTopic(random, t)
    queries!.push(queryText(random, t))
    ads!.push(adText(random, u))
    queryTopic[i] = t
    adTopic[i] = u
    depth[i] = random.uniform()
    probability[i] = clickProbability(t, u, depth[i]!)
    labels[i] = random.uniform() < probability[i]! ? 1 : 0
  }
  const index = Uint32Array.from({ length: rows }, (_, i) => i)
  return {
    columns: columnsOf({ queryId: index, adId: index, queries: queries!, ads: ads!, depth, labels }),
    probability,
    labels,
    queryTopic,
    adTopic,
  }
}

/** The rows' columns, by what they hold. */
const columnsOf = (of: {
  queryId: ArrayLike<number>
  adId: ArrayLike<number>
  queries: Uint32Array[]
  ads: Uint32Array[]
  depth: Float64Array
  labels: Uint32Array
}): WriteColumn[] => [
  { name: 'query_id', kind: 'int64', data: of.queryId },
  { name: 'ad_id', kind: 'int64', data: of.adId },
  { name: 'tokenized_query', kind: 'list<int64>', data: of.queries },
  { name: 'separator', kind: 'list<int64>', data: of.queries.map(() => [SEPARATOR]) },
  { name: 'tokenized_ad', kind: 'list<int64>', data: of.ads },
  { name: 'depth', kind: 'double', data: of.depth },
  { name: 'label', kind: 'int64', data: of.labels },
]

function clickProbability(t: number, u: number, depth: number): number {
  const logit = -1.2 + 2.5 * NEARNESS[(t - u + TOPICS) % TOPICS]! + 1.2 * (depth - 0.5)
  return 1 / (1 + Math.exp(-logit))
}

const queryText = (random: RandomStream, topic: number) => text(random, 1 + random.below(4), topic, 0.85)
const adText = (random: RandomStream, topic: number) => text(random, 3 + random.below(6), topic, 0.8)

/** Sizes of the world's candidates; every field has a default. */
export interface TextCandidateSizes {
  /** Default 60. */
  queries?: number
  /** All of them are candidates of every query. Default 200. */
  ads?: number
  /** Default 0. */
  seed?: number
}

/**
 * Draws queries and ads of the world, of topics that are all alike, and makes a row of every query with every ad: what a ranker chooses from. Query
 * and ad ids count from 0, an ad has the same text for all queries; the depth is drawn for each row, as are the clicks.
 * @throws ArgumentError naming the size that cannot be
 */
export function textCandidates(sizes: TextCandidateSizes = {}): TextWorldRows {
  expectOptions('textCandidates: sizes', sizes, ['queries', 'ads', 'seed'])
  const { queries = 60, ads = 200, seed = 0 } = sizes
  expectNumber('textCandidates: queries', queries, ROWS)
  expectNumber('textCandidates: ads', ads, ROWS)
  expectNumber('textCandidates: seed', seed, NATURAL)
  const random = randomStream(seed, 3)
  const [queryTopics, adTopics] = [queries, ads].map(n =>
    Uint8Array.from({ length: n }, () => random.below(TOPICS)),
  )
  const queryTexts = Array.from(queryTopics!, topic => queryText(random, topic))
  const adTexts = Array.from(adTopics!, topic => adText(random, topic))
  const rows = queries * ads
  expectNumber('textCandidates: queries times ads', rows, ROWS)
  const [depth, probability] = [new Float64Array(rows), new Float64Array(rows)]
  const labels = new Uint32Array(rows)
  const [queryOf, adOf] = [(i: number) => Math.floor(i / ads), (i: number) => i % ads]
  const each = <T>(make: (i: number) => T) => Array.from({ length: rows }, (_, i) => make(i))
  for (let i = 0; i < rows; i++) {
    depth[i] = random.uniform()
    probability[i] = clickProbability(queryTopics![queryOf(i)]!, adTopics![adOf(i)]!, depth[i]!)
    labels[i] = random.uniform() < probability[i]! ? 1 : 0
  }
  const texts = { queries: each(i => queryTexts[queryOf(i)]!), ads: each(i => adTexts[adOf(i)]!) }
  return {
    columns: columnsOf({ queryId: each(queryOf), adId: each(adOf), ...texts, depth, labels }),
    probability,
    labels,
    queryTopic: Uint8Array.from(each(i => queryTopics![queryOf(i)]!)),
    adTopic: Uint8Array.from(each(i => adTopics![adOf(i)]!)),
  }
}

/** cos(2 pi k / 12), written out: engines differ in the last bit of a cosine. */
const HALF_ROOT_3 = Math.sqrt(3) / 2
const NEARNESS = [1, HALF_ROOT_3, 0.5, 0, -0.5, -HALF_ROOT_3, -1, -HALF_ROOT_3, -0.5, 0, 0.5, HALF_ROOT_3]

const otherTopic = (random: RandomStream, topic: number) => (topic + 1 + random.below(TOPICS - 1)) % TOPICS

function text(random: RandomStream, length: number, topic: number, share: number): Uint32Array {
  return Uint32Array.from({ length }, () => {
    const about = random.uniform() < share ? topic : otherTopic(random, topic)
    return about + TOPICS * random.below(TOKENS / TOPICS)
  })
}
