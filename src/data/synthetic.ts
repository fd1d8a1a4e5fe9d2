/**
 * A pair of Parquet files with the 17 columns of the KDD Cup 2012 track 2 notebook and a click signal that is known,
 * because it was planted: in the words, in whether the title answers the query, and in user, age, gender, advertiser.
 * What a model can reach at best follows from the true probabilities, which come back with the paths.
 */
import type { FeaturesConfig } from '../config/index.ts'
import { type RandomStream, randomStream } from './shuffle.ts'
import { type WriteColumn, writeParquet } from './write.ts'

/** Sizes of the data; every field but the folder has a default. */
export interface SyntheticOptions {
  /** Made where it is missing. */
  folder: string
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

/** The files, how to read them, and the truth about the test rows. */
export interface SyntheticData {
  train: string
  test: string
  features_config: FeaturesConfig
  /** Rows of the word table, padding included. */
  vocabSize: number
  padTokenId: number
  numLabels: number
  /** True click probability of each test row: the score no model can beat on average. */
  testProbability: Float64Array
  testLabels: Uint32Array
}

const TOPICS = 8
const GENDERS = 3
const AGES = 6
const CLICK_SHARE = 0.2

/** Writes train.parquet, test.parquet and planted.json. The same options give the same files. */
export async function writeSyntheticKdd(options: SyntheticOptions): Promise<SyntheticData> {
  const { folder, trainRows = 24_000, testRows = 6_000, seed = 0 } = options
  const { vocabSize: words = 600, advertisers = 200, users = 1_000, oovShare = 0.08 } = options
  const { mkdir } = await import('node:fs/promises')
  const { join } = await import('node:path')
  const { writeJson } = await import('./files.ts')
  await mkdir(folder, { recursive: true })
  const world = plant({ words, advertisers, users, seed })
  const train = join(folder, 'train.parquet')
  const test = join(folder, 'test.parquet')
  const padTokenId = words
  const trainSet = draw(world, trainRows, randomStream(seed, 1), padTokenId, oovShare)
  const testSet = draw(world, testRows, randomStream(seed, 2), padTokenId, oovShare)
  await writeParquet(train, trainSet.columns)
  await writeParquet(test, testSet.columns)
  const features_config: FeaturesConfig = {
    tokenized_title: { dtype: 'token_id' },
    tokenized_query: { dtype: 'token_id' },
    depth: { dtype: 'numerical' },
    gender: { dtype: 'categorical', vocab_size: GENDERS, embedding_size: 4 },
    age: { dtype: 'categorical', vocab_size: AGES, embedding_size: 4 },
    advertiser_id: { dtype: 'categorical', vocab_size: advertisers, embedding_size: 16 },
    user_id: { dtype: 'categorical', vocab_size: users, embedding_size: 16 },
  }
  const { probability: testProbability, labels: testLabels } = testSet
  const facts = { train, test, features_config, vocabSize: words + 1, padTokenId, numLabels: 2 }
  await writeJson(join(folder, 'planted.json'), {
    ...facts,
    seed,
    testProbability: [...testProbability],
    testLabels: [...testLabels],
  })
  return { ...facts, testProbability, testLabels }
}

/** The effects, in logits. Ids are codes by falling frequency, as traffic is skewed: few ids make most rows. */
interface World {
  intercept: number
  wordEffect: Float64Array
  topic: Uint8Array
  userEffect: Float64Array
  userTaste: Float64Array // [users, TOPICS]
  advertiserEffect: Float64Array
  genderAge: Float64Array // [GENDERS, AGES]
  gender: Uint8Array // of each user
  age: Uint8Array
  drawWord: (random: RandomStream) => number
  drawUser: (random: RandomStream) => number
  drawAdvertiser: (random: RandomStream) => number
  topics: number[][] // words of each topic
}

function plant({
  words,
  advertisers,
  users,
  seed,
}: {
  words: number
  advertisers: number
  users: number
  seed: number
}): World {
  const random = randomStream(seed, 0)
  const normals = (n: number, scale: number) =>
    Float64Array.from({ length: n }, () => scale * random.normal())
  const codes = (n: number, count: number) => Uint8Array.from({ length: n }, () => random.below(count))
  const topic = codes(words, TOPICS)
  const topics: number[][] = Array.from({ length: TOPICS }, () => [])
  for (let word = 0; word < words; word++) topics[topic[word]!]!.push(word)
  const world: World = {
    intercept: 0,
    wordEffect: normals(words, 0.8),
    topic,
    topics,
    userEffect: normals(users, 0.9),
    userTaste: normals(users * TOPICS, 0.6),
    advertiserEffect: normals(advertisers, 0.8),
    genderAge: normals(GENDERS * AGES, 0.5),
    gender: codes(users, GENDERS),
    age: codes(users, AGES),
    drawWord: zipf(words, 0.8),
    drawUser: zipf(users, 1),
    drawAdvertiser: zipf(advertisers, 1),
  }
  world.intercept = calibrate(world, random)
  return world
}

interface Row {
  title: Uint32Array
  query: Uint32Array
  user: number
  advertiser: number
  depth: number // ads shown, 1 to 3
  position: number // 1 to depth
}

function drawRow(world: World, random: RandomStream): Row {
  const user = world.drawUser(random)
  const advertiser = world.drawAdvertiser(random)
  const depth = 1 + random.below(3)
  const position = 1 + random.below(depth)
  const about = random.below(TOPICS)
  // Queries keep to one topic; titles keep to the same one in half of the rows, and then the ad answers the query.
  const query = text(world, random, 1 + random.below(4), about, 0.9)
  const title = text(
    world,
    random,
    3 + random.below(9),
    random.uniform() < 0.5 ? about : random.below(TOPICS),
    0.6,
  )
  return { title, query, user, advertiser, depth, position }
}

function draw(world: World, rows: number, random: RandomStream, padTokenId: number, oovShare: number) {
  const probability = new Float64Array(rows)
  const labels = new Uint32Array(rows)
  const drawn: Row[] = []
  for (let i = 0; i < rows; i++) {
    const row = drawRow(world, random)
    probability[i] = sigmoid(world.intercept + effects(world, row))
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

function text(world: World, random: RandomStream, length: number, topic: number, share: number): Uint32Array {
  const pool = world.topics[topic]!
  return Uint32Array.from({ length }, () => {
    const word = world.drawWord(random)
    // Words of the topic keep the skew: a drawn word stands for the topic's word of about the same rank.
    if (pool.length === 0 || random.uniform() >= share) return word
    return pool[Math.floor((word * pool.length) / world.topic.length)]!
  })
}

function effects(world: World, { title, query, user, advertiser, depth }: Row): number {
  let words = 0
  let taste = 0
  let same = 0
  for (const word of title) {
    words += world.wordEffect[word]!
    taste += world.userTaste[user * TOPICS + world.topic[word]!]!
    for (const asked of query) if (world.topic[asked] === world.topic[word]) same++
  }
  return (
    words / Math.sqrt(title.length) +
    (2.4 * same) / (title.length * query.length) +
    taste / title.length +
    world.userEffect[user]! +
    world.advertiserEffect[advertiser]! +
    world.genderAge[world.gender[user]! * AGES + world.age[user]!]! +
    0.2 * (depth - 1)
  )
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

/** The intercept that makes CLICK_SHARE of the rows clicks; the few most frequent ids would else decide it. */
function calibrate(world: World, random: RandomStream): number {
  const scores = Array.from({ length: 4_000 }, () => effects(world, drawRow(world, random)))
  let low = -20
  let high = 20
  while (high - low > 1e-6) {
    const middle = (low + high) / 2
    const share = scores.reduce((sum, score) => sum + sigmoid(middle + score), 0) / scores.length
    if (share < CLICK_SHARE) low = middle
    else high = middle
  }
  return low
}

/** Draws 0 … n - 1 with weights 1 / (rank + 1)^exponent, by bisection in the cumulated weights. */
function zipf(n: number, exponent: number): (random: RandomStream) => number {
  const cumulated = new Float64Array(n)
  let sum = 0
  for (let i = 0; i < n; i++) cumulated[i] = sum += 1 / (i + 1) ** exponent
  return random => {
    const at = random.uniform() * sum
    let low = 0
    let high = n - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulated[middle]! > at) high = middle
      else low = middle + 1
    }
    return low
  }
}
