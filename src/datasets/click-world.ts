/**
 * A small world of lists whose truth is known: documents of eight numbers, an old ranker that decides their places by relevance and by taste,
 * and clicks that fall with the place. What learns from clicks and forgets the places learns the old ranker's taste.
 */
import { files } from '#files'
import { COUNT, expectNumber, expectOptions, NATURAL, NON_NEGATIVE, shown } from '../check.ts'
import { type RandomStream, randomStream } from '../data/shuffle.ts'
import { type WriteColumn, writeParquet } from '../data/write.ts'
import { ArgumentError } from '../errors.ts'
import { meanOfLists, ndcg, rankLists } from '../metrics/index.ts'

/** Sizes and laws of the world; every field has a default. The same options give the same world. */
export interface ClickWorldOptions {
  /** Lists with clicks, default 4,000. */
  trainLists?: number
  /** Lists with grades, default 1,000. */
  testLists?: number
  /** Documents of a list, default 10. */
  longest?: number
  /** How much of the old ranker's score is relevance, taste and chance: 0.6, 1.5 and 0.5. Without taste and chance, places say as much as documents. */
  ranker?: { relevance: number; taste: number; noise: number }
  /** Default 0. */
  seed?: number
}

/** Rows as `writeParquet` takes them, and the truth about them. */
export interface ClickWorld {
  /** list, position (from 0), x0 to x7, label (1 where clicked), relevance_logit (of clicking what is looked at). */
  train: WriteColumn[]
  /** list, x0 to x7, label (a grade of 0 to 4). */
  test: WriteColumn[]
  /** By place from 0: the chance that it is looked at. */
  propensities: number[]
  /** nDCG@10 of the test lists as the old ranker orders them, and at random. */
  oldRanker: number
  random: number
}

const FEATURES = 8
const KNOWN = ['trainLists', 'testLists', 'longest', 'ranker', 'seed']

interface Document {
  x: number[]
  relevance: number
  old: number
}

/**
 * Draws a world. Relevance is 1.2 x0 + 0.8 x1 x2 + 0.5 |x3| - 1.2; the old ranker sorts by 0.6 relevance + 1.5 x7 + 0.5 noise; a document is
 * clicked with probability sigmoid(2 relevance) / place; its grade is floor((relevance + 2) / 1.2), from 0 to 4.
 * @throws ConfigError for sizes that cannot be.
 */
export function clickWorld(options: ClickWorldOptions = {}): ClickWorld {
  expectOptions('clickWorld: options', options, KNOWN)
  const { trainLists = 4_000, testLists = 1_000, longest = 10, seed = 0 } = options
  const { ranker = { relevance: 0.6, taste: 1.5, noise: 0.5 } } = options
  for (const [name, value] of Object.entries({ trainLists, testLists, longest }))
    expectNumber(`clickWorld: ${name}`, value, COUNT)
  expectNumber('clickWorld: seed', seed, NATURAL)
  expectOptions('clickWorld: ranker', ranker, ['relevance', 'taste', 'noise'])
  for (const name of ['relevance', 'taste', 'noise'] as const)
    expectNumber(`clickWorld: ranker.${name}`, ranker[name], NON_NEGATIVE)
  const random = randomStream(seed, 7)
  const drawn = (lists: number) =>
    Array.from({ length: lists }, () => Array.from({ length: longest }, () => draw(random, ranker)))
  const shownTo = drawn(trainLists).map(list => list.sort((a, b) => b.old - a.old))
  const clicks = shownTo.map(list =>
    list.map(({ relevance }, k) => Number(random.uniform() < 1 / (1 + Math.exp(-2 * relevance)) / (k + 1))),
  )
  const judged = drawn(testLists)
  const grades = judged.map(list => list.map(gradeOf))
  const order = (score: (document: Document) => number) => {
    const starts = Array.from({ length: testLists + 1 }, (_, l) => l * longest)
    return meanOfLists(ndcg(rankLists(grades.flat(), judged.flat().map(score), starts), { k: 10 })).mean
  }
  return {
    train: [
      ...shared(shownTo),
      whole(
        'position',
        shownTo.flatMap(list => list.map((_, k) => k)),
      ),
      whole('label', clicks.flat()),
      { name: 'relevance_logit', kind: 'double', data: shownTo.flat().map(({ relevance }) => 2 * relevance) },
    ],
    test: [...shared(judged), whole('label', grades.flat())],
    propensities: Array.from({ length: longest }, (_, k) => 1 / (k + 1)),
    oldRanker: order(({ old }) => old),
    random: order(() => random.uniform()),
  }
}

function draw(
  random: RandomStream,
  { relevance: share, taste, noise }: Required<ClickWorldOptions>['ranker'],
): Document {
  const x = Array.from({ length: FEATURES }, () => random.normal())
  const relevance = 1.2 * x[0]! + 0.8 * x[1]! * x[2]! + 0.5 * Math.abs(x[3]!) - 1.2
  return { x, relevance, old: share * relevance + taste * x[7]! + noise * random.normal() }
}

const gradeOf = ({ relevance }: Document): number =>
  Math.min(4, Math.max(0, Math.floor((relevance + 2) / 1.2)))

const whole = (name: string, data: number[]): WriteColumn => ({ name, kind: 'int64', data })

/** Columns of all rows: the list, and what is known of a document. */
const shared = (lists: Document[][]): WriteColumn[] => [
  whole(
    'list',
    lists.flatMap((list, l) => list.map(() => l)),
  ),
  ...Array.from(
    { length: FEATURES },
    (_, f): WriteColumn => ({ name: `x${f}`, kind: 'double', data: lists.flat().map(({ x }) => x[f]!) }),
  ),
]

/**
 * Writes train.parquet and test.parquet.
 * @returns their paths, and the world that stands in them.
 */
export async function writeClickWorld({
  folder,
  ...options
}: ClickWorldOptions & {
  /** Made where it is missing. */
  folder: string
}): Promise<{ train: string; test: string; world: ClickWorld }> {
  if (typeof folder !== 'string')
    throw new ArgumentError(`writeClickWorld: folder is ${shown(folder)}, expected a path`)
  const world = clickWorld(options)
  await files.makeFolder(folder)
  const [train, test] = [files.join(folder, 'train.parquet'), files.join(folder, 'test.parquet')]
  await writeParquet(train, world.train)
  await writeParquet(test, world.test)
  return { train, test, world }
}
