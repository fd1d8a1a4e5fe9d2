/** Search sessions and judged documents with a planted truth: relevance, an old ranker that decided places, and clicks that follow both. */
import { files } from '#files'
import { COUNT, expectNumber, expectOptions, NATURAL, NON_NEGATIVE, type Range, shown } from '../../check.ts'
import { type RandomStream, randomStream } from '../../data/shuffle.ts'
import { ArgumentError, ConfigError } from '../../errors.ts'
import { writeAnnotated } from './annotated.ts'
import {
  MOST_BUCKET,
  MOST_LABEL,
  PLACES,
  type UltrAnnotated,
  type UltrDocument,
  type UltrSession,
} from './format.ts'
import { writeSessions } from './write.ts'

/** Sizes and laws of the world; every field has a default. The same options give the same world. */
export interface UltrWorldOptions {
  /** Default 2,000. */
  sessions?: number
  /** Queries there are, the first of them asked most often; default 200. */
  queries?: number
  /** Documents a query has, of which the old ranker shows the best; default 20. */
  candidates?: number
  /** Documents on a page, default 10. */
  shown?: number
  /** Queries whose documents are all judged, spread over all frequencies; default 100. */
  judged?: number
  /** Words, default 600; topics take turns among them. */
  words?: number
  /** How much of the old ranker's score is relevance, its taste (which says nothing of relevance), and chance. Default 0.6, 1.5 and 0.5. */
  ranker?: { relevance: number; taste: number; noise: number }
  /** Chance that a place is looked at, by place; default as Hager and others measured (1, .674, .414 … .058), then 1 over the place. */
  propensities?: number[]
  seed?: number
}

/** A world, and the truth about it. */
export interface UltrWorld {
  sessions: UltrSession[]
  annotated: UltrAnnotated[]
  /** Relevance of each judged document: the score that ranks best. */
  relevance: Float64Array
  /** Chance of a click for every shown document, session after session: the prediction with the lowest loss. */
  clickProbability: Float64Array
  /** Chance that a place is looked at, by place from 1. */
  propensities: number[]
}

const MEASURED = [1, 0.674, 0.414, 0.293, 0.208, 0.171, 0.136, 0.117, 0.084, 0.058]
const TOPICS = 12
const KNOWN = 'sessions queries candidates shown judged words ranker propensities seed'.split(' ')
/** Words stay below the tokens of special titles. */
const WORDS: Range = {
  says: `a whole number from ${TOPICS} to 3700`,
  takes: x => Number.isInteger(x) && x >= TOPICS && x <= 3700,
}
const UP_TO_PLACES: Range = {
  says: `a whole number from 1 to ${PLACES}`,
  takes: x => Number.isInteger(x) && x >= 1 && x <= PLACES,
}

interface Query {
  qid: bigint
  query: number[]
  topic: number
  bucket: number
  documents: Candidate[]
}

interface Candidate extends Pick<UltrDocument, 'url' | 'title' | 'abstract' | 'media' | 'serpHeight'> {
  relevance: number
  taste: number
}

/**
 * Draws a world. A query has a topic, and so has a document; relevance is 2 cos(angle between them) + 0.5 quality - 0.7, where quality is the share of
 * the abstract's words that are of the document's topic, standardized. A click has the chance (place is looked at) x sigmoid(2 relevance). What
 * is not clicked above a click is skipped; the time spent on a clicked document grows with relevance. Labels are floor((relevance + 2.7) / 1.1),
 * from 0 to 4. A twentieth of the places has a document without text.
 * @throws ConfigError for sizes that cannot be.
 */
export function ultrWorld(options: UltrWorldOptions = {}): UltrWorld {
  expectOptions('ultrWorld: options', options, KNOWN)
  const { sessions = 2_000, queries = 200, candidates = 20, shown: depth = 10, judged = 100 } = options
  const { words = 600, ranker = { relevance: 0.6, taste: 1.5, noise: 0.5 }, seed = 0 } = options
  for (const [name, value] of Object.entries({ sessions, queries, candidates }))
    expectNumber(`ultrWorld: ${name}`, value, COUNT)
  expectNumber('ultrWorld: judged', judged, NATURAL)
  expectNumber('ultrWorld: words', words, WORDS)
  expectNumber('ultrWorld: shown', depth, UP_TO_PLACES)
  expectOptions('ultrWorld: ranker', ranker, ['relevance', 'taste', 'noise'])
  for (const name of ['relevance', 'taste', 'noise'] as const)
    expectNumber(`ultrWorld: ranker.${name}`, ranker[name], NON_NEGATIVE)
  if (depth > candidates)
    throw new ConfigError(`ultrWorld: shown is ${depth}, expected at most ${candidates}, the candidates`)
  if (judged > queries)
    throw new ConfigError(`ultrWorld: judged is ${judged}, expected at most ${queries}, the queries`)
  const propensities = propensitiesOf(options.propensities, depth)
  const random = randomStream(seed, 1)
  const taken = new Set<string>()
  const all = Array.from({ length: queries }, (_, i) =>
    drawQuery(random, i, { queries, candidates, words, taken }),
  )
  const clickProbability: number[] = []
  const draw = () => drawSession(random, all, { depth, ranker, propensities }, clickProbability)
  const world: UltrWorld = {
    sessions: Array.from({ length: sessions }, draw),
    annotated: [],
    relevance: new Float64Array(judged * candidates),
    clickProbability: new Float64Array(),
    propensities,
  }
  world.clickProbability = Float64Array.from(clickProbability)
  for (let list = 0; list < judged; list++) {
    const { qid, query, bucket, documents } = all[Math.floor((list * queries) / judged)]!
    for (const { title, abstract, relevance } of documents) {
      world.relevance[world.annotated.length] = relevance
      const label = Math.min(Math.max(Math.floor((relevance + 2.7) / 1.1), 0), MOST_LABEL)
      world.annotated.push({ qid, query, title, abstract, label, bucket, list })
    }
  }
  return world
}

/**
 * Writes part-00000.gz and on, a file for every 10,000 sessions, and annotation_data.txt where queries are judged.
 * @returns the world that stands in the files.
 */
export async function writeUltrWorld({
  folder,
  ...options
}: UltrWorldOptions & {
  /** Made where it is missing. */
  folder: string
}): Promise<UltrWorld> {
  if (typeof folder !== 'string')
    throw new ArgumentError(`writeUltrWorld: folder is ${shown(folder)}, expected a path`)
  const world = ultrWorld(options)
  await files.makeFolder(folder)
  for (let part = 0; part * PART < world.sessions.length; part++)
    await writeSessions(
      files.join(folder, `part-${String(part).padStart(5, '0')}.gz`),
      world.sessions.slice(part * PART, (part + 1) * PART),
    )
  if (world.annotated.length) await writeAnnotated(files.join(folder, 'annotation_data.txt'), world.annotated)
  return world
}

const PART = 10_000

function propensitiesOf(given: number[] | undefined, depth: number): number[] {
  if (given === undefined) return Array.from({ length: depth }, (_, i) => MEASURED[i] ?? 1 / (i + 1))
  const fits = Array.isArray(given) && given.length >= depth && given.every(p => p > 0 && p <= 1)
  if (!fits)
    throw new ConfigError(
      `ultrWorld: propensities is ${Array.isArray(given) ? `[${given.join(', ')}]` : shown(given)}, expected ${depth} numbers above 0 and at most 1, one a place`,
    )
  return given.slice(0, depth)
}

interface Sizes {
  queries: number
  candidates: number
  words: number
  /** Queries so far: tokens tell lists apart, so that no two queries are the same. */
  taken: Set<string>
}

/** Words of a text, those that are of its topic, and how many these are. */
function text(random: RandomStream, length: number, topic: number, share: number, words: number) {
  let own = 0
  const of = Math.floor(words / TOPICS)
  const tokens = Array.from({ length }, () => {
    if (random.uniform() >= share) return random.below(words)
    own++
    return random.below(of) * TOPICS + topic
  })
  return { tokens, own }
}

function drawQuery(
  random: RandomStream,
  number: number,
  { queries, candidates, words, taken }: Sizes,
): Query {
  const topic = random.below(TOPICS)
  const hex = (n: number) => Array.from({ length: n }, () => random.below(16).toString(16)).join('')
  const documents = Array.from({ length: candidates }, (): Candidate => {
    const about = random.uniform() < 0.4 ? topic : random.below(TOPICS)
    const length = 8 + random.below(9)
    const title = text(random, 3 + random.below(6), about, 0.8, words).tokens
    const { tokens: abstract, own } = text(random, length, about, 0.6, words)
    // Binomial of `length` draws at 0.6: its standard deviation is sqrt(0.24 / length).
    const quality = (own / length - 0.6) / Math.sqrt(0.24 / length)
    return {
      url: hex(32),
      title,
      abstract,
      media: random.below(30),
      serpHeight: 80 + random.below(320),
      relevance: 2 * Math.cos((2 * Math.PI * (topic - about)) / TOPICS) + 0.5 * quality - 0.7,
      taste: random.normal(),
    }
  })
  return {
    qid: BigInt(number + 1),
    query: newQuery(random, topic, words, taken),
    topic,
    bucket: Math.floor((number * (MOST_BUCKET + 1)) / queries),
    documents,
  }
}

/** Tokens that no query has; longer ones where the short are taken. */
function newQuery(random: RandomStream, topic: number, words: number, taken: Set<string>): number[] {
  for (let more = 0; ; more++) {
    const length = 2 + random.below(3) + Math.floor(more / 20)
    const { tokens } = text(random, length, topic, 0.85, words)
    if (taken.size < taken.add(tokens.join(' ')).size) return tokens
  }
}

interface Laws {
  depth: number
  ranker: { relevance: number; taste: number; noise: number }
  propensities: number[]
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

function drawSession(
  random: RandomStream,
  queries: Query[],
  { depth, ranker, propensities }: Laws,
  probability: number[],
): UltrSession {
  // Squared, so that the first queries are asked more often.
  const asked = queries[Math.floor(random.uniform() ** 2 * queries.length)]!
  const order = asked.documents
    .map(document => ({
      document,
      score:
        ranker.relevance * document.relevance +
        ranker.taste * document.taste +
        ranker.noise * random.normal(),
    }))
    .sort((a, b) => b.score - a.score)
    .slice(0, depth)
  const documents: UltrDocument[] = []
  for (const [i, { document }] of order.entries()) {
    const { relevance, taste: _, ...shown } = document
    const chance = propensities[i]! * sigmoid(2 * relevance)
    const click = random.uniform() < chance ? 1 : 0
    const dwell = click
      ? Math.round(1000 * Math.exp(2.5 + 0.6 * relevance + 0.5 * random.normal())) / 1000
      : 0
    // The first keeps its text, so that every session has a document.
    if (random.uniform() < 0.05 && i > 0) continue
    probability.push(chance)
    documents.push({ position: i + 1, ...shown, click, skip: 0, dwell })
  }
  const last = documents.findLastIndex(({ click }) => click === 1)
  documents.forEach((document, i) => {
    if (i < last && document.click === 0) document.skip = 1
  })
  return { qid: asked.qid, query: asked.query, reformulation: [], documents }
}
