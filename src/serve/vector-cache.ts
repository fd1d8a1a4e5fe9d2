// Vectors that are kept: in memory, and what must hold of them.
import { COUNT, expectNumber, shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { bytesToVectors, type SideName } from '../models/index.ts'
import { expectObject, expectSide, type TwoSidedModel, towerFingerprint } from './fingerprint.ts'

/** What a vector belongs to: whole numbers beyond 2^53 are bigints. */
export type VectorId = string | number | bigint

/** How the numbers of vectors are stored: a byte u is u 2/255 - 1. */
export type VectorStorage = 'float32' | 'bytes'

/** The vectors of one side, as one tower gave them. */
export interface VectorCache {
  side: SideName
  /** Numbers of a vector. */
  size: number
  storage: VectorStorage
  /** Of the tower's weights: see {@link towerFingerprint}. */
  fingerprint: string
  /** Name of the column that the ids are from; 'row' where they number the rows. */
  idColumn: string
  /** One a vector, none twice. */
  ids: VectorId[]
  /** [ids.length, size], row-major; bytes where `storage` is 'bytes'. */
  vectors: Float32Array | Uint8Array
}

/** Which row an id has. */
export type Places = Map<VectorId, number>

/** A whole number that fits is a number, whichever type it came in. */
export function idOf(value: unknown, where: () => string): VectorId {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : value
  }
  if (Number.isSafeInteger(value)) return value as number
  throw new DataError(`${where()}: id ${shown(value)}, expected a whole number or text`)
}

/** Adds ids to `places`, whose rows go on from those there. @throws DataError naming an id that is there already, and both rows */
export function addIds(places: Places, ids: Iterable<VectorId>, where: string): void {
  for (const id of ids) {
    const row = places.size
    const before = places.get(id)
    if (before !== undefined)
      throw new DataError(
        `${where}: id ${shown(id)} of row ${row} is row ${before}'s too, expected every id once; leave one of the rows out`,
      )
    places.set(id, row)
  }
}

/**
 * Checks a cache: sizes, ids, numbers.
 * @returns the row of every id
 * @throws naming the field, or the row and number, that cannot be
 */
export function checkCache(where: string, cache: unknown): Places {
  expectObject(where, cache, 'a cache of vectors, as embed() or readVectors() gives')
  const { side, size, storage, fingerprint, ids, vectors, idColumn } = cache as VectorCache
  expectSide(where, side)
  expectNumber(`${where}: size`, size, COUNT)
  if (storage !== 'float32' && storage !== 'bytes')
    throw new ArgumentError(`${where}: storage is ${shown(storage)}, expected 'float32' or 'bytes'`)
  if (typeof fingerprint !== 'string' || !/^[0-9a-f]{64}$/.test(fingerprint))
    throw new ArgumentError(`${where}: fingerprint is ${shown(fingerprint)}, expected 64 hexadecimal digits`)
  if (typeof idColumn !== 'string' || !idColumn)
    throw new ArgumentError(`${where}: idColumn is ${shown(idColumn)}, expected the name of a column`)
  if (!Array.isArray(ids)) throw new ArgumentError(`${where}: ids is ${shown(ids)}, expected an array`)
  const kind = storage === 'bytes' ? Uint8Array : Float32Array
  if (!(vectors instanceof kind))
    throw new ArgumentError(
      `${where}: vectors is ${shown(vectors)}, expected a ${kind.name}, as storage is '${storage}'`,
    )
  if (vectors.length !== ids.length * size)
    throw new DataError(
      `${where}: vectors has ${vectors.length} numbers, expected ${ids.length} times ${size}`,
    )
  const places: Places = new Map()
  addIds(
    places,
    ids.map((id, row) => idOf(id, () => `${where}: row ${row}`)),
    where,
  )
  checkFinite(where, vectors, size)
  return places
}

/** @throws DataError naming row and number of a value that is not finite */
export function checkFinite(
  where: string,
  vectors: Float32Array | Uint8Array,
  size: number,
  first = 0,
): void {
  if (vectors instanceof Uint8Array) return
  const wrong = vectors.findIndex(value => !Number.isFinite(value))
  if (wrong >= 0)
    throw new DataError(
      `${where}: row ${first + Math.floor(wrong / size)}, number ${wrong % size} of its vector is ${vectors[wrong]}, expected a finite number`,
    )
}

/**
 * Holds a cache against the model that is to use it.
 * @throws DataError for another side, size or weights
 */
export async function expectCacheOf(
  where: string,
  model: TwoSidedModel,
  cache: Pick<VectorCache, 'side' | 'size' | 'fingerprint'>,
  side: SideName,
): Promise<void> {
  if (cache.side !== side)
    throw new DataError(`${where}: the vectors are of side '${cache.side}', expected side '${side}'`)
  if (cache.size !== model.vectorSize)
    throw new DataError(
      `${where}: vectors have ${cache.size} numbers, and the model's ${model.vectorSize}; make them with this model, by kernelgrad embed`,
    )
  const own = await towerFingerprint(model, side)
  if (own !== cache.fingerprint)
    throw new DataError(
      `${where}: the vectors are of other weights (fingerprint ${cache.fingerprint.slice(0, 12)}…) than the model's tower (${own.slice(0, 12)}…); make them anew, by kernelgrad embed`,
    )
}

/** Vectors of some rows as numbers, [rows.length, size]; of neighbouring ones, from the first up to the end, without a copy where they are numbers. */
export function vectorsOf(
  { vectors, size }: Pick<VectorCache, 'vectors' | 'size'>,
  rows: ArrayLike<number> | { first: number; end: number },
): Float32Array {
  if ('first' in rows) {
    const part = vectors.subarray(rows.first * size, rows.end * size)
    return part instanceof Uint8Array ? bytesToVectors(part) : part
  }
  const bytes = vectors instanceof Uint8Array
  const out = bytes ? new Uint8Array(rows.length * size) : new Float32Array(rows.length * size)
  for (let i = 0; i < rows.length; i++)
    out.set(vectors.subarray(rows[i]! * size, (rows[i]! + 1) * size), i * size)
  return out instanceof Uint8Array ? bytesToVectors(out) : out
}
