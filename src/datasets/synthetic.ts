/**
 * A pair of Parquet files with the 17 columns of the KDD Cup 2012 track 2 notebook and a click signal that is known,
 * because it was planted: in the words, in whether the title answers the query, and in user, age, gender, advertiser.
 * What a model can reach at best follows from the true probabilities, which come back with the paths.
 */

import { files } from '#files'
import { expectNumber, expectOptions, NATURAL } from '../check.ts'
import type { FeaturesConfig } from '../config/index.ts'
import { writeJson } from '../data/files.ts'
import { type RandomStream, randomStream } from '../data/shuffle.ts'
import { type WriteColumn, writeParquet } from '../data/write.ts'
import {
  AGES,
  checkWorld,
  clickProbability,
  drawRow,
  GENDERS,
  plant,
  type Row,
  type World,
} from './synthetic-world.ts'

/** Sizes of the data; every field has a default. */
export interface SyntheticSizes {
  /** Default 24,000. */
  trainRows?: number
  /** Default 6,000. */
  testRows?: number
  seed?: number
  /** Words; the padding id, which out-of-vocabulary tokens carry too, comes after them. Default 600. */
  vocabSize?: number
  /** Default 200. */
  advertisers?: number
  /** Default 1,000. */
  users?: number
  /** Share of tokens that are out of vocabulary, default 0.08. */
  oovShare?: number
}

/** Where the files go, and their sizes. */
export interface SyntheticOptions extends SyntheticSizes {
  /** Made where it is missing. */
  folder: string
}

/** How to read the data. */
interface SyntheticFacts {
  features_config: FeaturesConfig
  /** Rows of the word table, padding included. */
  vocabSize: number
  padTokenId: number
  numLabels: number
}

/** The files, how to read them, and the truth about the test rows. */
export interface SyntheticData extends SyntheticFacts {
  train: string
  test: string
  /** True click probability of each test row: the score no model can beat on average. */
  testProbability: Float64Array
  testLabels: Uint32Array
}

/** The columns of the training and test rows, how to read them, and the truth about them: no file is written. */
export interface SyntheticColumns extends SyntheticFacts {
  train: SyntheticRows
  test: SyntheticRows
}

/** Rows as `writeParquet` takes them, the true click probability of each, and its label. */
export interface SyntheticRows {
  columns: WriteColumn[]
  probability: Float64Array
  labels: Uint32Array
}

/** The data in memory. The same options give the same rows. */
export function syntheticKdd(sizes: SyntheticSizes = {}): SyntheticColumns {
  const known = ['trainRows', 'testRows', 'seed', 'vocabSize', 'advertisers', 'users', 'oovShare']
  expectOptions('syntheticKdd: sizes', sizes, known)
  const { trainRows = 24_000, testRows = 6_000, seed = 0, vocabSize: words = 600 } = sizes
  const { advertisers = 200, users = 1_000, oovShare = 0.08 } = sizes
  expectNumber('syntheticKdd: trainRows', trainRows, NATURAL)
  expectNumber('syntheticKdd: testRows', testRows, NATURAL)
  checkWorld('syntheticKdd', { words, advertisers, users, seed, oovShare })
  const world = plant({ words, advertisers, users, seed })
  const padTokenId = words
  return {
    train: draw(world, trainRows, randomStream(seed, 1), padTokenId, oovShare),
    test: draw(world, testRows, randomStream(seed, 2), padTokenId, oovShare),
    features_config: {
      tokenized_title: { dtype: 'token_id' },
      tokenized_query: { dtype: 'token_id' },
      depth: { dtype: 'numerical' },
      gender: { dtype: 'categorical', vocab_size: GENDERS, embedding_size: 4 },
      age: { dtype: 'categorical', vocab_size: AGES, embedding_size: 4 },
      advertiser_id: { dtype: 'categorical', vocab_size: advertisers, embedding_size: 16 },
      user_id: { dtype: 'categorical', vocab_size: users, embedding_size: 16 },
    },
    vocabSize: words + 1,
    padTokenId,
    numLabels: 2,
  }
}

/** Writes train.parquet, test.parquet and planted.json. The same options give the same files. */
export async function writeSyntheticKdd({ folder, ...sizes }: SyntheticOptions): Promise<SyntheticData> {
  const { join } = files
  await files.makeFolder(folder)
  const { train: trainSet, test: testSet, ...facts } = syntheticKdd(sizes)
  const paths = { train: join(folder, 'train.parquet'), test: join(folder, 'test.parquet') }
  await writeParquet(paths.train, trainSet.columns)
  await writeParquet(paths.test, testSet.columns)
  const { probability: testProbability, labels: testLabels } = testSet
  await writeJson(join(folder, 'planted.json'), {
    ...paths,
    ...facts,
    seed: sizes.seed ?? 0,
    testProbability: [...testProbability],
    testLabels: [...testLabels],
  })
  return { ...paths, ...facts, testProbability, testLabels }
}

function draw(
  world: World,
  rows: number,
  random: RandomStream,
  padTokenId: number,
  oovShare: number,
): SyntheticRows {
  const probability = new Float64Array(rows)
  const labels = new Uint32Array(rows)
  const drawn: Row[] = []
  for (let i = 0; i < rows; i++) {
    const row = drawRow(world, random)
    probability[i] = clickProbability(world, row)
    labels[i] = random.uniform() < probability[i]! ? 1 : 0
    // Words are lost only after they had their effect, as in real data.
    const lose = (word: number) => (random.uniform() < oovShare ? padTokenId : word)
    drawn.push({ ...row, title: row.title.map(lose), query: row.query.map(lose) })
  }
  const index = Uint32Array.from({ length: rows }, (_, i) => i)
  const int = (name: string, data: WriteColumn['data']): WriteColumn => ({ name, kind: 'int64', data })
  // Categories are float64 codes, as pandas and scikit-learn leave them.
  const code = (name: string, of: (row: Row) => number): WriteColumn => ({
    name,
    kind: 'double',
    data: Float64Array.from(drawn, of),
  })
  const columns: WriteColumn[] = [
    int('click', labels),
    int('impression', new Uint32Array(rows).fill(1)),
    int(
      'display_url',
      BigInt64Array.from(drawn, row => 10n ** 18n + BigInt(row.advertiser)),
    ),
    int(
      'ad_id',
      index.map(i => drawn[i]!.advertiser * 25 + (i % 25)),
    ),
    code('advertiser_id', row => row.advertiser),
    code('depth', row => (row.depth - 1) / 2), // scaled to [0, 1]
    int(
      'position',
      Uint32Array.from(drawn, row => row.position),
    ),
    int('query_id', index),
    int('keyword_id', index),
    int('title_id', index),
    int('description_id', index),
    code('user_id', row => row.user),
    int('label', labels),
    { name: 'tokenized_title', kind: 'list<int64>', data: drawn.map(row => row.title) },
    { name: 'tokenized_query', kind: 'list<int64>', data: drawn.map(row => row.query) },
    code('gender', row => world.gender[row.user]!),
    code('age', row => world.age[row.user]!),
  ]
  return { columns, probability, labels }
}
