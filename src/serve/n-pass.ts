// A ranker of several passes: a cheap model looks at every candidate of a query, a dear one only at those that the cheap one puts first.
import { files } from '#files'
import { COUNT, expectFunction, expectNumber, expectOptions, shown } from '../check.ts'
import type { ParquetFile } from '../data/index.ts'
import type { ParquetSource } from '../data/source.ts'
import { ArgumentError, ConfigError, KernelgradError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { type PassOrder, startPasses, takePass } from '../metrics/index.ts'
import { describeModel, loadFrozen } from '../train/checkpoint.ts'
import { checkWeights, WEIGHTS_FILE } from '../train/index.ts'
import { expectFalling, type PassConfig, passAt, readPasses } from './n-pass-config.ts'
import { type CandidateOptions, type Candidates, readForPasses } from './n-pass-read.ts'
import { scoreRows } from './n-pass-score.ts'
import { checkStage, inPass, type Pass, type Stage, stageOf } from './n-pass-stage.ts'
import { readVectors } from './vector-file.ts'

/** What of the candidates is ranked, and how far. */
export interface RankListsOptions {
  /** How many of each list every pass hands on, in place of its own k; undefined or Infinity: all. */
  ks?: readonly (number | undefined)[]
  /** Numbers of the lists to rank; all unless given. */
  lists?: readonly number[]
  /** Hears how many rows of a pass, counted from 0, are done. */
  onBatch?: (pass: number, rowsDone: number, rows: number) => void
}

/** Lists in the order that all passes came to. */
export interface RankedLists {
  /** Where each list begins, and their end. */
  starts: Uint32Array
  /** Rows of the file, list after list, the best first. */
  rows: Uint32Array
  /** How many passes scored each of them. */
  passes: Uint8Array
  /** What the last of those gave it; scores of different passes do not compare. */
  scores: Float32Array
  /** For measures, where documents are numbered as in `Candidates.rows`, or as `lists` names them. */
  order: PassOrder
  /** By pass, how many rows it scored. */
  scored: number[]
  /** By pass, how many milliseconds it took. */
  ms: number[]
}

/**
 * Ranks lists of candidates by several models in a row. Every pass scores what the one before let through, candidates of many queries in a
 * batch, and keeps its best; behind those stand the others, in the order of the last pass that they reached. Equal scores keep the order that a pass was given them
 * in, which is the file's at first.
 *
 * @example
 * ```ts
 * import { NPassRanker } from 'kernelgrad/serve'
 *
 * const ranker = await NPassRanker.load(gpu, 'passes.json')
 * const candidates = await ranker.read('candidates.parquet')
 * const { starts, rows, scores } = await ranker.rank(candidates)
 * console.log(candidates.ids[rows[starts[0]!]!], scores[starts[0]!]) // the best of the first query
 * ranker.free()
 * ```
 */
export class NPassRanker {
  readonly #where: string
  readonly #stages: readonly Stage[]
  readonly #defaults: Pick<CandidateOptions, 'keys' | 'id'>
  readonly #read = new WeakSet<Candidates>()
  readonly #owns: boolean
  #freed = false

  private constructor(
    where: string,
    stages: readonly Stage[],
    defaults: Pick<CandidateOptions, 'keys' | 'id'>,
    owns: boolean,
  ) {
    this.#where = where
    this.#stages = stages
    this.#defaults = defaults
    this.#owns = owns
  }

  /**
   * A ranker of models that are on a device; they stay the caller's.
   * @throws ConfigError for a k that does not fall, or a score that a model does not have; DataError for vectors of other weights
   */
  static async create(
    passes: readonly Pass[],
    defaults: Pick<CandidateOptions, 'keys' | 'id'> = {},
  ): Promise<NPassRanker> {
    expectOptions('NPassRanker: options', defaults, ['keys', 'id'])
    if (!Array.isArray(passes) || !passes.length)
      throw new ArgumentError(
        `NPassRanker: passes is ${shown(passes)}, expected an array of one pass or more`,
      )
    const stages = passes.map((pass, i) => stageOf(passAt('NPassRanker', i), pass))
    await checkStages('NPassRanker', stages)
    return new NPassRanker('NPassRanker', stages, defaults, false)
  }

  /**
   * Loads the models and vectors that a file names: see {@link readPasses}.
   * @throws ConfigError, CheckpointError or DataError naming file and pass: then nothing stays on the device
   */
  static async load(gpu: Gpu, path: string): Promise<NPassRanker> {
    const { passes, ...defaults } = await readPasses(path)
    const stages: Stage[] = []
    try {
      for (const [i, pass] of passes.entries())
        stages.push(await placeStage(gpu, await describeStage(passAt(path, i), pass), pass.model))
      await checkStages(path, stages)
      return new NPassRanker(path, stages, defaults, true)
    } catch (error) {
      for (const { model } of stages) model.free()
      throw error
    }
  }

  /** How many passes there are. */
  get passes(): number {
    return this.#stages.length
  }

  /**
   * Reads the candidates of a Parquet file for all passes, and checks everything that can be: columns, values, text lengths, ids against vectors.
   * @throws DataError or ConfigError naming file and pass, and column, row and value
   */
  async read(source: ParquetSource | ParquetFile, options: CandidateOptions = {}): Promise<Candidates> {
    expectOptions(`${this.#where}: options`, options, ['keys', 'id', 'truncate'])
    const candidates = await readForPasses(this.#where, this.#stages, source, {
      ...this.#defaults,
      ...options,
    })
    this.#read.add(candidates)
    return candidates
  }

  /**
   * Ranks candidates that {@link NPassRanker.read} gave.
   * @throws ConfigError for options that cannot be; DataError naming pass and row of a score that is no number
   */
  async rank(candidates: Candidates, options: RankListsOptions = {}): Promise<RankedLists> {
    if (this.#freed) throw new KernelgradError('NPassRanker.rank: the ranker is freed')
    if (!this.#read.has(candidates))
      throw new ArgumentError(
        `NPassRanker.rank: candidates is ${shown(candidates)}, expected what read() of this ranker gave`,
      )
    return rankCandidates(this.#stages, candidates, options)
  }

  /** Frees the models that `load` made; further calls of `rank` are errors. A second time does nothing. */
  free(): void {
    if (this.#owns && !this.#freed) for (const { model } of this.#stages) model.free()
    this.#freed = true
  }
}

/**
 * Holds passes against each other, and their vectors against their models, which are on a device.
 * @throws ConfigError where k does not fall; DataError for vectors of other weights
 */
export async function checkStages(where: string, stages: readonly Stage[]): Promise<void> {
  expectFalling(
    where,
    stages.map(({ k }) => k),
  )
  for (const stage of stages) await checkStage(stage)
}

/** A pass's model, on no device yet, and its vectors. */
export async function describeStage(where: string, pass: PassConfig): Promise<Stage> {
  return inPass(where, async () => {
    const { vectors: path, batch_size: batchSize, model: folder, ...rest } = pass
    const model = await describeModel(folder)
    await checkWeights(model, files.join(folder, WEIGHTS_FILE))
    const vectors = path === undefined ? undefined : await readVectors(path)
    const given = { ...rest, model, ...(vectors && { vectors }), ...(batchSize && { batchSize }) }
    return stageOf(where, given, { placed: false })
  })
}

/** The same pass with its model on a device. */
export async function placeStage(gpu: Gpu, stage: Stage, folder: string): Promise<Stage> {
  return { ...stage, model: await inPass(stage.where, () => loadFrozen(gpu, folder)) }
}

function checkKs(ks: RankListsOptions['ks'], stages: readonly Stage[]): (number | undefined)[] {
  const where = 'NPassRanker.rank'
  if (ks === undefined) return stages.map(({ k }) => k)
  if (!Array.isArray(ks) || ks.length !== stages.length)
    throw new ConfigError(
      `${where}: ks is ${shown(ks)}, expected ${stages.length} of them, one a pass; undefined for all`,
    )
  const own = ks.map(k => (k === Number.POSITIVE_INFINITY ? undefined : k))
  for (const [i, k] of own.entries()) if (k !== undefined) expectNumber(`${where}: ks[${i}]`, k, COUNT)
  expectFalling(where, own)
  return own
}

/** {@link NPassRanker.rank} of stages. */
export async function rankCandidates(
  stages: readonly Stage[],
  candidates: Candidates,
  options: RankListsOptions = {},
): Promise<RankedLists> {
  const where = 'NPassRanker.rank'
  expectOptions(`${where}: options`, options, ['ks', 'lists', 'onBatch'])
  const { lists, onBatch } = options
  if (onBatch !== undefined) expectFunction(`${where}: onBatch`, onBatch)
  const ks = checkKs(options.ks, stages)
  const [given, starts] =
    lists === undefined ? [candidates.rows, candidates.starts] : someLists(candidates, lists)
  const order = startPasses(starts)
  const scores = new Float32Array(given.length)
  const [scored, ms]: [number[], number[]] = [[], []]
  for (const [i, stage] of stages.entries()) {
    const started = performance.now()
    const there = stillIn(order)
    const rows = Uint32Array.from(there, one => given[one]!)
    const own = await scoreRows(stage, candidates.stages[i]!, rows, {
      truncate: candidates.truncate,
      onBatch: onBatch && (done => onBatch(i, done, rows.length)),
    })
    for (let at = 0; at < there.length; at++) scores[there[at]!] = own[at]!
    takePass(order, scores, ks[i])
    scored.push(rows.length)
    ms.push(performance.now() - started)
  }
  const { documents, reached } = order
  return {
    starts: order.starts,
    rows: Uint32Array.from(documents, one => given[one]!),
    passes: Uint8Array.from(documents, one => reached[one]!),
    scores: Float32Array.from(documents, one => scores[one]!),
    order,
    scored,
    ms,
  }
}

/** Documents that no pass has left out, list after list. */
function stillIn({ starts, documents, kept }: PassOrder): Uint32Array {
  const out = new Uint32Array(kept.reduce((sum, count) => sum + count, 0))
  let at = 0
  for (let list = 0; list < kept.length; list++) {
    const own = documents.subarray(starts[list], starts[list]! + kept[list]!)
    out.set(own, at)
    at += own.length
  }
  return out
}

function someLists({ rows, starts }: Candidates, lists: unknown): [Uint32Array, Uint32Array] {
  const where = 'NPassRanker.rank: lists'
  if (!Array.isArray(lists) || !lists.length)
    throw new ArgumentError(`${where} is ${shown(lists)}, expected numbers of one list or more`)
  const [parts, ends]: [Uint32Array[], number[]] = [[], [0]]
  for (const [i, list] of lists.entries()) {
    if (!(Number.isInteger(list) && list >= 0 && list < starts.length - 1))
      throw new ConfigError(`${where}[${i}] is ${shown(list)}, expected 0 to ${starts.length - 2}`)
    if (lists.indexOf(list) < i) throw new ConfigError(`${where}[${i}] is ${list}, which is there already`)
    const part = rows.subarray(starts[list], starts[list + 1])
    parts.push(part)
    ends.push(ends.at(-1)! + part.length)
  }
  const out = new Uint32Array(ends.at(-1)!)
  for (const [i, part] of parts.entries()) out.set(part, ends[i])
  return [out, Uint32Array.from(ends)]
}
