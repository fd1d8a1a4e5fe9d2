// Ads whose vectors are kept, ranked for a query: the query is encoded once, and crossed with all of them.
import { noGrad, readParameter, scope, tensor } from '../autograd/index.ts'
import { COUNT, expectFlag, expectNumber, expectOptions, NATURAL, shown } from '../check.ts'
import { ArgumentError, ConfigError, DataError, KernelgradError } from '../errors.ts'
import { inEval } from '../models/in-eval.ts'
import { TwinModel } from '../models/index.ts'
import { crossRows } from './crossed.ts'
import { bestRows, DeviceRows, DeviceVectors } from './device-vectors.ts'
import { expectTwoSided, type TwoSidedModel } from './fingerprint.ts'
import { Latencies, type Part, type PartLatency } from './latency.ts'
import { packQuery, type Query } from './query.ts'
import { type AdColumns, checkAdColumns, type Features, tableOf } from './table.ts'
import {
  checkCache,
  expectCacheOf,
  idOf,
  type Places,
  type VectorCache,
  type VectorId,
  vectorsOf,
} from './vector-cache.ts'

/** How to serve. */
export interface TwinServerOptions {
  /** What the model reads of each ad beside its text, by column, in the order of the cache. */
  columns?: AdColumns
  /** Vectors of so many queries are kept, those asked for last; default 10,000, and 0 keeps none. */
  queries?: number
  /** Cut a query with more tokens than the model has positions, where it would be an error. */
  truncate?: boolean
  /** The class whose probability ranks; 1 unless given, of two classes. */
  class?: number
}

/** What is asked for. */
export interface RankOptions {
  /** How many ads; default 10, or all where there are fewer. */
  k?: number
  /** What the model reads beside the texts, by column, where the server does not have it of each ad. */
  features?: Features
  /** Ids of the ads to choose from; all unless given. */
  candidates?: ArrayLike<VectorId>
}

/** An ad and what it scores. */
export interface Ranked {
  id: VectorId
  /** Its row in the cache. */
  row: number
  /** The probability, as the model's scores have it. */
  score: number
}

type Resolved = Required<Omit<TwinServerOptions, 'columns'>>

/** The ads of one cache, until the last request on them has ended. */
interface Ads {
  cache: VectorCache
  places: Places
  columns: AdColumns
  /** Vectors that all are scored by their cosines with, or rows that are crossed with the query. */
  device: DeviceVectors | DeviceRows
  users: number
  retired: boolean
  released: boolean
}

/**
 * Ranks kept ads for queries. A TwinModel's cosine form scores all ads in one launch a binding and finds the best K on the device; other
 * forms cross the query with every ad, or with the candidates, through the model. Calls may run side by side. The model stays as it is meanwhile.
 *
 * @example
 * ```ts
 * import { loadModel, type TwinModel } from 'kernelgrad'
 * import { readVectors, TwinServer } from 'kernelgrad/serve'
 *
 * const model = await loadModel<TwinModel>(gpu, 'runs/twin')
 * const server = await TwinServer.create(model, await readVectors('ads.vectors.parquet'))
 * for (const { id, score } of await server.rank('running shoes', { k: 5 })) console.log(id, score)
 * await server.refresh(await readVectors('more.vectors.parquet'))
 * console.log(server.latency().score.p99)
 * server.close()
 * ```
 */
export class TwinServer {
  readonly #model: TwoSidedModel
  readonly #options: Resolved
  readonly #cosine: boolean
  readonly #latencies = new Latencies()
  /** Vectors by tokens, the one asked for last behind all others. */
  readonly #queries = new Map<string, Promise<Float32Array>>()
  #ads: Ads | undefined

  private constructor(model: TwoSidedModel, options: Resolved, cosine: boolean, ads: Ads) {
    this.#model = model
    this.#options = options
    this.#cosine = cosine
    this.#ads = ads
  }

  /**
   * Uploads the ads.
   * @throws DataError for a cache of other weights, size or side, or without vectors; ConfigError for options that cannot be
   */
  static async create(
    model: TwoSidedModel,
    cache: VectorCache,
    options: TwinServerOptions = {},
  ): Promise<TwinServer> {
    expectTwoSided('TwinServer', model)
    expectOptions('TwinServer: options', options, ['columns', 'queries', 'truncate', 'class'])
    const classes = model.scoreNames().length
    const {
      columns = {},
      queries = 10_000,
      truncate = false,
      class: chosen = classes === 2 ? 1 : undefined,
    } = options
    expectNumber('TwinServer: queries', queries, NATURAL)
    expectFlag('TwinServer: truncate', truncate)
    if (chosen === undefined)
      throw new ConfigError(
        `TwinServer: the model has ${classes} classes; class says whose probability ranks`,
      )
    expectNumber('TwinServer: class', chosen, NATURAL)
    if (chosen >= classes)
      throw new ConfigError(`TwinServer: class is ${chosen}, expected 0 to ${classes - 1}`)
    const cosine = await ranksByCosine(model, chosen)
    const ads = await loadAds(model, cache, columns, cosine)
    return new TwinServer(model, { queries, truncate, class: chosen }, cosine, ads)
  }

  /**
   * The k best ads for a query, the best first, of equal ones the one that stands first in the cache.
   * @throws ArgumentError for what is no query; ConfigError for k above the ads there are, or features that do not fit; DataError for tokens or ids that
   * do not exist
   */
  async rank(query: Query, options: RankOptions = {}): Promise<Ranked[]> {
    const ads = this.#current('rank')
    expectOptions('TwinServer.rank: options', options, ['k', 'features', 'candidates'])
    const { features = {}, candidates } = options
    const rows = candidates === undefined ? undefined : candidateRows(candidates, ads.places)
    const n = rows?.length ?? ads.places.size
    const { k = Math.min(10, n) } = options
    expectNumber('TwinServer.rank: k', k, COUNT)
    if (k > n)
      throw new ConfigError(
        `TwinServer.rank: k is ${k}, expected at most ${n}, the ${rows ? 'candidates' : 'ads'} there are`,
      )
    const table = tableOf('TwinServer.rank', this.#model, ads.columns, features)
    ads.users++
    try {
      const started = performance.now()
      const { text, key } = packQuery('TwinServer.rank', this.#model, query, this.#options.truncate)
      this.#latencies.add('tokenize', performance.now() - started)
      const vector = await this.#vectorOf(key, text)
      const ranked = await this.#ranked(ads, vector, rows, k, table)
      this.#latencies.add('total', performance.now() - started)
      return ranked
    } finally {
      ads.users--
      releaseUnused(ads)
    }
  }

  /**
   * Takes other ads: they are uploaded beside those in use, and requests from then on see them; those under way end on the old ones.
   * @throws as {@link TwinServer.create}: then the old ads stay in use
   */
  async refresh(cache: VectorCache, options: { columns?: AdColumns } = {}): Promise<void> {
    this.#current('refresh')
    expectOptions('TwinServer.refresh: options', options, ['columns'])
    const ads = await loadAds(this.#model, cache, options.columns ?? {}, this.#cosine)
    const before = this.#ads
    if (!before) {
      ads.device.release() // closed meanwhile
      throw closed('refresh')
    }
    this.#ads = ads
    before.retired = true
    releaseUnused(before)
  }

  /** How many ads there are. */
  get size(): number {
    return this.#current('size').places.size
  }

  /** Milliseconds by part. `encode` counts queries whose vector was not kept. */
  latency(): Record<Part, PartLatency> {
    return this.#latencies.result()
  }

  /** Frees the ads, once the requests under way have ended; further ones are errors. A second time does nothing. */
  close(): void {
    const ads = this.#ads
    this.#ads = undefined
    this.#queries.clear()
    if (!ads) return
    ads.retired = true
    releaseUnused(ads)
  }

  #current(call: string): Ads {
    if (this.#ads) return this.#ads
    throw closed(call)
  }

  #vectorOf(key: string, text: Parameters<TwoSidedModel['encode']>[1]): Promise<Float32Array> {
    const kept = this.#queries.get(key)
    if (kept) {
      this.#queries.delete(key)
      this.#queries.set(key, kept)
      return kept
    }
    const started = performance.now()
    const model = this.#model
    const read = inEval(model, () => scope(() => noGrad(() => model.encode('query', text)).read()))
    const vector = read.then(values => {
      this.#latencies.add('encode', performance.now() - started)
      return values
    })
    if (!this.#options.queries) return vector
    this.#queries.set(key, vector)
    if (this.#queries.size > this.#options.queries) this.#queries.delete(this.#queries.keys().next().value!)
    vector.catch(() => {
      if (this.#queries.get(key) === vector) this.#queries.delete(key)
    })
    return vector
  }

  async #ranked(
    { cache, device }: Ads,
    vector: Float32Array,
    candidates: number[] | undefined,
    k: number,
    table: ReturnType<typeof tableOf>,
  ): Promise<Ranked[]> {
    const { gpu } = this.#model
    const started = performance.now()
    let [score, topK] = [0, 0]
    let rows: ArrayLike<number>
    if (candidates || device instanceof DeviceRows) rows = candidates ?? Array.from(cache.ids.keys())
    else {
      const cosines = device.cosines(vector)
      try {
        await gpu.done()
        score = performance.now() - started
        rows = await bestRows(gpu, cosines, device.rows, k)
        topK = performance.now() - started - score
      } finally {
        gpu.release(cosines)
      }
    }
    const crossing = performance.now()
    const part = (first: number, end: number) => table(Array.prototype.slice.call(rows, first, end))
    const take = (some: number[]) =>
      device instanceof DeviceRows
        ? device.take(some)
        : tensor(gpu, vectorsOf(cache, some), [some.length, cache.size])
    const scores = await crossRows(this.#model, vector, take, rows, this.#options.class, part)
    score += performance.now() - crossing
    const sorting = performance.now()
    const wrong = scores.findIndex(value => !Number.isFinite(value))
    if (wrong >= 0)
      throw new DataError(
        `TwinServer.rank: the score of ${shown(cache.ids[rows[wrong]!])} is ${scores[wrong]}`,
      )
    const best = await bestOf(this.#model, scores, rows, k)
    topK += performance.now() - sorting
    this.#latencies.add('score', score)
    this.#latencies.add('topK', topK)
    return best.map(i => ({ id: cache.ids[rows[i]!]!, row: rows[i]!, score: scores[i]! }))
  }
}

/** Rows that are sorted here; more are selected from on the device. */
const SORTED = 2048

/** Places of the k greatest scores; of equal ones the lower row first, as all rows ascend or are few. */
async function bestOf(
  { gpu }: TwoSidedModel,
  scores: Float32Array<ArrayBuffer>,
  rows: ArrayLike<number>,
  k: number,
): Promise<number[]> {
  if (scores.length <= SORTED) {
    const order = Array.from(scores, (_, i) => i)
    return order.sort((a, b) => scores[b]! - scores[a]! || rows[a]! - rows[b]!).slice(0, k)
  }
  const view = gpu.from(scores)
  try {
    return Array.from(await bestRows(gpu, view, scores.length, k))
  } finally {
    gpu.release(view)
  }
}

/** Whether the order of cosines is that of the class's probability. */
async function ranksByCosine(model: TwoSidedModel, chosen: number): Promise<boolean> {
  if (!(model instanceof TwinModel) || model.config.crossing.type !== 'cosine') return false
  const [weight] = await readParameter(model.crossing.logistic.weight)
  return chosen === 1 ? weight! > 0 : weight! < 0
}

async function loadAds(
  model: TwoSidedModel,
  cache: VectorCache,
  columns: AdColumns,
  cosine: boolean,
): Promise<Ads> {
  const places = checkCache('TwinServer: cache', cache)
  if (!places.size) throw new DataError('TwinServer: cache: there are no vectors, expected one or more')
  await expectCacheOf('TwinServer: cache', model, cache, 'ad')
  checkAdColumns('TwinServer', model, columns, places.size)
  const device = cosine ? new DeviceVectors(model.gpu, cache) : new DeviceRows(model.gpu, cache)
  try {
    await model.gpu.done()
  } catch (error) {
    device.release()
    throw error
  }
  return { cache, places, columns, device, users: 0, retired: false, released: false }
}

function releaseUnused(ads: Ads): void {
  if (!ads.retired || ads.users || ads.released) return
  ads.released = true
  ads.device.release()
}

function candidateRows(candidates: unknown, places: Places): number[] {
  const where = 'TwinServer.rank: candidates'
  if (!Array.isArray(candidates) && !(ArrayBuffer.isView(candidates) && !(candidates instanceof DataView)))
    throw new ArgumentError(`${where} is ${shown(candidates)}, expected an array of ids`)
  const seen = new Set<number>()
  for (const [i, value] of Array.from(candidates as ArrayLike<unknown>).entries()) {
    const id = idOf(value, () => `${where}[${i}]`)
    const row = places.get(id)
    if (row === undefined)
      throw new DataError(`${where}[${i}]: id ${shown(id)} is not among the ${places.size} ads`)
    if (seen.has(row))
      throw new DataError(`${where}[${i}]: id ${shown(id)} is there twice, expected every id once`)
    seen.add(row)
  }
  // In the order of the cache, which settles equal scores.
  return [...seen].sort((a, b) => a - b)
}

const closed = (call: string) => new KernelgradError(`TwinServer.${call}: the server is closed`)
