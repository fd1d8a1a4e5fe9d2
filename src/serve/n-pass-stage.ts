// The passes of a ranker, ready to be asked: their models and vectors, and which score ranks.
import { COUNT, expectNumber, expectOptions, shown } from '../check.ts'
import { ArgumentError, CheckpointError, ConfigError, DataError } from '../errors.ts'
import type { Inputs } from '../inputs.ts'
import type { Model, SideName } from '../models/index.ts'
import { expectModel } from '../train/checks.ts'
import { expectTwoSidedKind, type TwoSidedModel } from './fingerprint.ts'
import { checkCache, expectCacheOf, type Places, type VectorCache } from './vector-cache.ts'

/** A pass with its model; see {@link PassConfig}. */
export interface Pass {
  model: Model
  /** Vectors of one side of a two-sided model. */
  vectors?: VectorCache
  /** Column that says which vector a candidate has; the cache's own unless given. */
  id?: string
  /** Which of the model's scores ranks. */
  score?: string
  /** How many of each list go on; all unless given. */
  k?: number
  /** Candidates a batch. */
  batchSize?: number
}

/** The side that is kept, and where its vectors are. */
export interface Kept {
  cache: VectorCache
  places: Places
  /** Column of the candidates with their ids. */
  id: string
  /** The side that is still encoded. */
  other: SideName
}

/** A pass that was checked. */
export interface Stage {
  /** For messages: 'p.json: pass 2'. */
  where: string
  model: Model
  kept: Kept | undefined
  /** What is read of the candidates for it. */
  inputs: Inputs
  /** Which column of the model's scores ranks. */
  column: number
  k: number | undefined
  batchSize: number
}

const BATCH_SIZE = 256
/** Crossing kept vectors is cheap, and one batch has many queries. */
const CROSSED = 4096

/**
 * What a pass reads and which score ranks. Its model need not be on a device yet.
 * @throws ConfigError or DataError naming the pass, and the key that is wrong
 */
export function stageOf(where: string, pass: Pass, { placed = true } = {}): Stage {
  const known = ['model', 'vectors', 'id', 'score', 'k', 'batchSize']
  expectOptions(where, pass, known)
  const { model, vectors, score, k } = pass
  expectModel(where, model, { placed })
  const { batchSize = vectors ? CROSSED : BATCH_SIZE } = pass
  if (k !== undefined) expectNumber(`${where}: k`, k, COUNT)
  expectNumber(`${where}: batchSize`, batchSize, COUNT)
  if (pass.id !== undefined && (typeof pass.id !== 'string' || !pass.id))
    throw new ArgumentError(`${where}: id is ${shown(pass.id)}, expected the name of a column`)
  const names = model.scoreNames()
  const ranking = names.filter(name => name !== null)
  if (score === undefined ? ranking.length !== 1 : !ranking.includes(score))
    throw new ConfigError(
      `${where}: ${score === undefined ? `the model has ${ranking.length} scores, and score says which of them ranks` : `score is ${shown(score)}`}; expected one of ${ranking.join(', ') || 'none'}`,
    )
  let kept: Kept | undefined
  let inputs = model.inputs as Inputs
  if (vectors !== undefined) {
    expectTwoSidedKind(`${where}: vectors`, model)
    const places = checkCache(`${where}: vectors`, vectors)
    const { side, idColumn } = vectors
    const { [side]: _, ...rest } = inputs
    inputs = rest
    kept = { cache: vectors, places, id: pass.id ?? idColumn, other: side === 'ad' ? 'query' : 'ad' }
  }
  return { where, model, kept, inputs, column: names.indexOf(score ?? ranking[0]!), k, batchSize }
}

/**
 * Holds a pass's vectors against its model, which is on a device.
 * @throws DataError for vectors of other weights or another size
 */
export async function checkStage({ where, model, kept }: Stage): Promise<void> {
  if (kept) await expectCacheOf(`${where}: vectors`, model as TwoSidedModel, kept.cache, kept.cache.side)
}

const TOLD = [ArgumentError, CheckpointError, ConfigError, DataError]

/** Runs what belongs to a pass; an error says which one. */
export async function inPass<T>(where: string, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    const Kind = TOLD.find(kind => error instanceof kind)
    if (!Kind || (error as Error).message.startsWith(where)) throw error
    throw new Kind(`${where}: ${(error as Error).message}`, { cause: error })
  }
}
