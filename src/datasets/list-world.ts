/**
 * A small world of lists whose truth is known: how often a query is clicked at all differs far more than its documents do, so that who predicts
 * clicks learns the level, and who orders documents learns what sets them apart. Losses are compared on it.
 */
import { files } from '#files'
import { expectNumber, expectOptions, NATURAL, type Range, shown } from '../check.ts'
import type { FeaturesConfig } from '../config/index.ts'
import { type RandomStream, randomStream } from '../data/shuffle.ts'
import { type WriteColumn, writeParquet } from '../data/write.ts'
import { ArgumentError } from '../errors.ts'
import { meanOfLists, ndcg, rankLists } from '../metrics/index.ts'

/** Documents of every list. */
const LENGTH = 10
const FEATURES = 6

/** Sizes of the world's data; every field has a default. */
export interface ListWorldSizes {
  /** Default 1,500. */
  trainLists?: number
  /** Default 1,500. */
  testLists?: number
  /** Default 0. */
  seed?: number
}

/** Where the files go, and their sizes. */
export interface ListWorldOptions extends ListWorldSizes {
  /** Made where it is missing. */
  folder: string
}

/** Rows as `writeParquet` takes them, and the truth about them. */
export interface ListWorldRows {
  /** list, x0 to x5, label. */
  columns: WriteColumn[]
  /** Whether each document was clicked. */
  labels: Uint32Array
  /** True logit of a click: the best order there is. */
  logits: Float64Array
  /** [lists + 1]. */
  starts: Uint32Array
}

/** The files, how to read them, and what the test allows. */
export interface ListWorldData {
  train: string
  test: string
  features_config: FeaturesConfig
  /** nDCG@10 of the true order over the test lists, those without clicks left out. */
  bestNdcg: number
}

const LISTS: Range = {
  says: 'a whole number from 1 to 1,000,000',
  takes: x => Number.isSafeInteger(x) && x >= 1 && x <= 1_000_000,
}
const SIZES = ['trainLists', 'testLists', 'seed']

function sizesOf(where: string, { trainLists = 1_500, testLists = 1_500, seed = 0 }: ListWorldSizes) {
  expectNumber(`${where}: trainLists`, trainLists, LISTS)
  expectNumber(`${where}: testLists`, testLists, LISTS)
  expectNumber(`${where}: seed`, seed, NATURAL)
  return { trainLists, testLists, seed }
}

/**
 * Draws the world's rows; the same sizes give the same rows to the bit.
 *
 * Lists have 10 documents with features x0 to x5. A list's level is normal with deviation 3; the logit of a click is level + 0.8 x0 + 0.6 x1 x2 - 1,
 * x4 is 0.7 level plus a normal number, and the others are normal.
 * @throws ArgumentError naming the size that cannot be
 */
export function listWorld(sizes: ListWorldSizes = {}): { train: ListWorldRows; test: ListWorldRows } {
  expectOptions('listWorld: sizes', sizes, SIZES)
  const { trainLists, testLists, seed } = sizesOf('listWorld', sizes)
  return { train: draw(trainLists, randomStream(seed, 1)), test: draw(testLists, randomStream(seed, 2)) }
}

function draw(lists: number, random: RandomStream): ListWorldRows {
  const N = lists * LENGTH
  const x = Array.from({ length: FEATURES }, () => new Float64Array(N))
  const list = new Uint32Array(N)
  const labels = new Uint32Array(N)
  const logits = new Float64Array(N)
  for (let l = 0; l < lists; l++) {
    const level = 3 * random.normal()
    for (let i = l * LENGTH; i < (l + 1) * LENGTH; i++) {
      for (const feature of x) feature[i] = random.normal()
      x[4]![i]! += 0.7 * level
      logits[i] = level + 0.8 * x[0]![i]! + 0.6 * x[1]![i]! * x[2]![i]! - 1
      labels[i] = Number(random.uniform() < 1 / (1 + Math.exp(-logits[i]!)))
      list[i] = l
    }
  }
  return {
    columns: [
      { name: 'list', kind: 'int64', data: list },
      ...x.map((data, f): WriteColumn => ({ name: `x${f}`, kind: 'double', data })),
      { name: 'label', kind: 'int64', data: labels },
    ],
    labels,
    logits,
    starts: Uint32Array.from({ length: lists + 1 }, (_, l) => l * LENGTH),
  }
}

/**
 * Writes train.parquet and test.parquet of {@link listWorld} into a folder.
 * @throws ArgumentError naming the option that cannot be
 *
 * @example
 * ```ts
 * import { writeListWorld } from 'kernelgrad/datasets'
 *
 * const { train, test, features_config, bestNdcg } = await writeListWorld({ folder: 'world', seed: 1 })
 * ```
 */
export async function writeListWorld(options: ListWorldOptions): Promise<ListWorldData> {
  expectOptions('writeListWorld: options', options, ['folder', ...SIZES])
  const { folder } = options
  if (typeof folder !== 'string' || !folder)
    throw new ArgumentError(`writeListWorld: folder is ${shown(folder)}, expected the path of a folder`)
  const rows = listWorld(sizesOf('writeListWorld', options))
  await files.makeFolder(folder)
  const path = (name: 'train' | 'test') => files.join(folder, `${name}.parquet`)
  for (const name of ['train', 'test'] as const) await writeParquet(path(name), rows[name].columns)
  const { labels, logits, starts } = rows.test
  return {
    train: path('train'),
    test: path('test'),
    features_config: Object.fromEntries(
      Array.from({ length: FEATURES }, (_, f) => [`x${f}`, { dtype: 'numerical' }]),
    ),
    bestNdcg: meanOfLists(ndcg(rankLists(labels, logits, starts), { k: LENGTH })).mean,
  }
}
