/**
 * The world behind the synthetic click data: what words, users, advertisers and their meetings do to a click, and how rows
 * are drawn from it. Nothing here knows how they are stored.
 */
import { COUNT, expectNumber, NATURAL, type Range } from '../check.ts'
import type { RandomStream } from '../data/shuffle.ts'
import { randomStream } from '../data/shuffle.ts'

const TOPICS = 8
export const GENDERS = 3
export const AGES = 6
const CLICK_SHARE = 0.2

/** The effects, in logits. Ids are codes by falling frequency, as traffic is skewed: few ids make most rows. */
export interface World {
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

/** @throws ConfigError naming a size or share that is out of range */
export function checkWorld(
  where: string,
  {
    words,
    advertisers,
    users,
    seed,
    oovShare,
  }: Record<'words' | 'advertisers' | 'users' | 'seed' | 'oovShare', number>,
): void {
  expectNumber(`${where}: number of words`, words, COUNT)
  expectNumber(`${where}: advertisers`, advertisers, COUNT)
  expectNumber(`${where}: users`, users, COUNT)
  expectNumber(`${where}: seed`, seed, NATURAL)
  expectNumber(`${where}: oovShare`, oovShare, SHARE)
}

const SHARE: Range = { says: 'a number from 0 to 1', takes: x => x >= 0 && x <= 1 }

export function plant({
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

export interface Row {
  title: Uint32Array
  query: Uint32Array
  user: number
  advertiser: number
  depth: number // ads shown, 1 to 3
  position: number // 1 to depth
}

export function drawRow(world: World, random: RandomStream): Row {
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

/** The true probability that the row is clicked. */
export const clickProbability = (world: World, row: Row): number =>
  sigmoid(world.intercept + effects(world, row))

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
