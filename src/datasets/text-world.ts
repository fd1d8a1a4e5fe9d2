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
    queries!.push(text(random, 1 + random.below(4), t, 0.85))
    ads!.push(text(random, 3 + random.below(6), u, 0.8))
    queryTopic[i] = t
    adTopic[i] = u
    depth[i] = random.uniform()
    const logit = -1.2 + 2.5 * NEARNESS[(t - u + TOPICS) % TOPICS]! + 1.2 * (depth[i]! - 0.5)
    probability[i] = 1 / (1 + Math.exp(-logit))
    labels[i] = random.uniform() < probability[i]! ? 1 : 0
  }
  const index = Uint32Array.from({ length: rows }, (_, i) => i)
  return {
    columns: [
      { name: 'query_id', kind: 'int64', data: index },
      { name: 'ad_id', kind: 'int64', data: index },
      { name: 'tokenized_query', kind: 'list<int64>', data: queries! },
      { name: 'separator', kind: 'list<int64>', data: queries!.map(() => [SEPARATOR]) },
      { name: 'tokenized_ad', kind: 'list<int64>', data: ads! },
      { name: 'depth', kind: 'double', data: depth },
      { name: 'label', kind: 'int64', data: labels },
    ],
    probability,
    labels,
    queryTopic,
    adTopic,
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
