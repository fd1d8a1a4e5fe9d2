// Columns may be built by hand: what a batch takes of them is checked as a file's are, by column and row.
import { COUNT, expectFlag, expectNumber, expectOptions, NATURAL, shown, UINT32 } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import type { CollateOptions } from './collate.ts'
import { FLOAT32_MAX, range, type TokenLists } from './columns.ts'
import type { Columns } from './dataset.ts'

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))

/** Names of the options of `collate`. */
export const COLLATE_OPTIONS = ['padTokenId', 'maxPositions', 'truncate', 'keepFirst', 'vocabSize']

/** @throws ConfigError naming the option that is unknown or out of range */
export function checkCollateOptions(where: string, options: CollateOptions, known = COLLATE_OPTIONS): void {
  expectOptions(`${where}: options`, options, known)
  const { padTokenId, maxPositions, truncate, keepFirst, vocabSize } = options
  expectNumber(`${where}: padTokenId`, padTokenId, UINT32)
  if (maxPositions !== undefined) expectNumber(`${where}: maxPositions`, maxPositions, COUNT)
  if (vocabSize !== undefined) expectNumber(`${where}: vocabSize`, vocabSize, COUNT)
  if (truncate !== undefined) expectFlag(`${where}: truncate`, truncate)
  if (keepFirst !== undefined) expectFlag(`${where}: keepFirst`, keepFirst)
}

/**
 * Checks that every column that the features name is there and has the rows; values are checked where they are read.
 * @throws ArgumentError for what are no columns; DataError naming the column
 */
export function checkColumns(where: string, columns: Columns): void {
  if (!isObject(columns))
    throw new ArgumentError(
      `${where}: columns is ${shown(columns)}, expected columns, as loadDataset() gives`,
    )
  const { length, rowStart, features, lists, categorical, numerical, labels } = columns
  expectNumber(`${where}: columns.length`, length, NATURAL)
  expectNumber(`${where}: columns.rowStart`, rowStart, NATURAL)
  for (const [name, record] of Object.entries({ features, lists, categorical, numerical }))
    if (!isObject(record))
      throw new ArgumentError(`${where}: columns.${name} is ${shown(record)}, expected an object by column`)
  for (const [name, feature] of Object.entries(features)) {
    if (!isObject(feature))
      throw new ArgumentError(`${where}: feature '${name}' is ${shown(feature)}, expected { dtype, … }`)
    if (feature.dtype === 'categorical') {
      expectNumber(`${where}: feature '${name}': vocab_size`, feature.vocab_size, COUNT)
      expectRows(where, name, categorical[name], length)
    } else if (feature.dtype === 'numerical') expectRows(where, name, numerical[name], length)
    else if (feature.dtype !== 'token_id' && feature.dtype !== 'text')
      throw new DataError(
        `${where}: feature '${name}' has dtype ${shown((feature as { dtype?: unknown }).dtype)}, expected token_id, text, categorical or numerical`,
      )
    else if (feature.dtype === 'token_id' && !(name in lists)) expectRows(where, name, undefined, length)
  }
  for (const [name, list] of Object.entries(lists)) {
    if (!isObject(list))
      throw new DataError(`${where}: column '${name}' is ${shown(list)}, expected { values, offsets }`)
    if (!isList(list.values))
      throw new DataError(
        `${where}: column '${name}': values is ${shown(list.values)}, expected a Uint32Array`,
      )
    expectOffsets(where, name, list, length)
  }
  if (labels !== undefined && labels !== null) expectRows(where, 'labels', labels, length)
}

function expectOffsets(where: string, name: string, { values, offsets }: TokenLists, length: number): void {
  if (!isList(offsets) || offsets.length < length + 1)
    throw new DataError(
      `${where}: column '${name}': offsets is ${shown(offsets)}, expected ${length + 1} numbers, one more than rows`,
    )
  if (!isId(offsets[0], 2 ** 32) || !isId(offsets[length], values.length + 1))
    throw new DataError(
      `${where}: column '${name}': offsets go from ${offsets[0]} to ${offsets[length]}, expected whole numbers up to ${values.length}, the number of values`,
    )
}

function expectRows(where: string, name: string, values: unknown, length: number): void {
  if (values === undefined)
    throw new DataError(`${where}: the data has no column '${name}', which its features name`)
  if (!isList(values))
    throw new ArgumentError(`${where}: column '${name}' is ${shown(values)}, expected a typed array`)
  if (values.length < length)
    throw new DataError(
      `${where}: column '${name}' has ${values.length} values, expected ${length}, one per row`,
    )
}

/** @throws DataError naming feature, row and value */
export function badValue(feature: string, row: number, value: unknown, expected: string): never {
  throw new DataError(
    `feature ${feature}, row ${row}: value ${typeof value === 'number' ? value : shown(value)}, expected ${expected}`,
  )
}

/** Takes the ids of some rows, each below `limit`. */
export function gatherIds(
  from: ArrayLike<number>,
  rows: ArrayLike<number>,
  out: Uint32Array,
  { limit, name, source }: { limit: number; name: string; source: readonly number[] },
): Uint32Array {
  for (let i = 0; i < rows.length; i++) {
    const id = from[rows[i]!]!
    if (!isId(id, limit)) badValue(name, source[i]!, id, range(limit))
    out[i] = id
  }
  return out
}

export const isId = (id: unknown, limit: number): boolean =>
  typeof id === 'number' && id >= 0 && id < limit && Math.floor(id) === id

/** Takes the finite numbers of some rows. */
export function gatherFloats(
  from: ArrayLike<number>,
  rows: ArrayLike<number>,
  out: Float32Array,
  { name, source }: { name: string; source: readonly number[] },
): Float32Array {
  for (let i = 0; i < rows.length; i++) {
    const value = from[rows[i]!]!
    if (typeof value !== 'number' || !(Math.abs(value) <= FLOAT32_MAX))
      badValue(name, source[i]!, value, 'a finite float32 number')
    out[i] = value
  }
  return out
}
