// Columns may be built by hand: what a batch takes of them is checked as a file's are, by column and row.
import { expectFlag, expectNumber, expectOptions, NATURAL, shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { columnsOf, type Inputs, textLists } from '../inputs.ts'
import type { CollateOptions } from './collate.ts'
import { floatRange, isFloat, range, type TokenLists } from './columns.ts'
import type { Columns } from './dataset.ts'

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))

/** Names of the options of `collate`. */
const COLLATE_OPTIONS = ['truncate', 'seed', 'epoch']

/** @throws ConfigError naming the option that is unknown or out of range */
export function checkCollateOptions(where: string, options: CollateOptions, known = COLLATE_OPTIONS): void {
  expectOptions(`${where}: options`, options, known)
  const { truncate, seed, epoch } = options
  if (truncate !== undefined) expectFlag(`${where}: truncate`, truncate)
  if (seed !== undefined) expectNumber(`${where}: seed`, seed, NATURAL)
  if (epoch !== undefined) expectNumber(`${where}: epoch`, epoch, NATURAL)
}

/**
 * Checks that every column is of its kind and has the rows; which are there is for whoever reads them to say, and values are
 * checked where they are read.
 * @throws ArgumentError for what are no columns; DataError naming the column
 */
export function checkColumns(where: string, columns: Columns): void {
  if (!isObject(columns))
    throw new ArgumentError(
      `${where}: columns is ${shown(columns)}, expected columns, as loadDataset() gives`,
    )
  const { length, rowStart, lists, ids, floats } = columns
  expectNumber(`${where}: columns.length`, length, NATURAL)
  expectNumber(`${where}: columns.rowStart`, rowStart, NATURAL)
  for (const [name, record] of Object.entries({ lists, ids, floats }))
    if (!isObject(record))
      throw new ArgumentError(`${where}: columns.${name} is ${shown(record)}, expected an object by column`)
  for (const record of [ids, floats])
    for (const [name, values] of Object.entries(record)) expectRows(where, name, values, length)
  for (const [name, list] of Object.entries(lists)) {
    if (!isObject(list))
      throw new DataError(`${where}: column '${name}' is ${shown(list)}, expected { values, offsets }`)
    if (!isList(list.values))
      throw new DataError(
        `${where}: column '${name}': values is ${shown(list.values)}, expected a Uint32Array`,
      )
    expectOffsets(where, name, list, length)
  }
}

/**
 * Checks that the columns of a model's inputs are there, those for the loss alone as far as they are.
 * @throws DataError naming the column, and the input that reads it
 */
export function expectInputs(where: string, columns: Columns, inputs: Inputs, reader = 'the model'): void {
  for (const [name, input] of Object.entries(inputs)) {
    if (input.trainOnly) continue
    const record =
      input.kind === 'text' ? columns.lists : input.kind === 'floats' ? columns.floats : columns.ids
    const keys = input.kind === 'text' ? textLists(input).map(({ key }) => key) : columnsOf(input)
    for (const key of keys)
      if (!Object.hasOwn(record, key))
        throw new DataError(`${where}: the data has no column '${key}', which ${reader} reads as '${name}'`)
  }
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

/** Takes the finite numbers of some rows, and NaN where it may be `missing`. */
export function gatherFloats(
  from: ArrayLike<number>,
  rows: ArrayLike<number>,
  out: Float32Array,
  {
    name,
    source,
    least,
    missing,
  }: { name: string; source: readonly number[]; least?: number | undefined; missing?: boolean },
): Float32Array {
  for (let i = 0; i < rows.length; i++) {
    const value = from[rows[i]!]!
    if (!isFloat(value, least, missing)) badValue(name, source[i]!, value, floatRange(least, missing))
    out[i] = value
  }
  return out
}

/** @throws DataError naming feature, row and value of the first id that is not below `limit`. */
export function checkIds(
  ids: ArrayLike<number>,
  limit: number,
  feature: string,
  rowOf: (i: number) => number,
): void {
  for (let i = 0; i < ids.length; i++)
    if (!isId(ids[i], limit)) badValue(feature, rowOf(i), ids[i], range(limit))
}

/** Lists made by hand: a row's tokens are a stretch of the values. */
export function checkOffsets(
  name: string,
  { values, offsets }: TokenLists,
  rows: ArrayLike<number>,
  source: readonly number[],
): void {
  for (let b = 0; b < rows.length; b++) {
    const [start, end] = [offsets[rows[b]!]!, offsets[rows[b]! + 1]!]
    if (end >= start && isId(start, 2 ** 32) && isId(end, values.length + 1)) continue
    throw new DataError(
      `feature ${name}, row ${source[b]}: its tokens go from ${start} to ${end}, expected offsets that do not decrease, up to ${values.length}`,
    )
  }
}
