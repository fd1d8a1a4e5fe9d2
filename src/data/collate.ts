/** Rows to batches: packed tokens, grouped ids, plain arrays, as a model declares them. */
import { shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { groupIds, type Take } from '../ids.ts'
import {
  type BatchOf,
  type CollatedTokens,
  type Input,
  type Inputs,
  type TextInput,
  textLists,
} from '../inputs.ts'
import {
  checkCollateOptions,
  checkColumns,
  checkOffsets,
  gatherFloats,
  gatherIds,
  isId,
} from './check-columns.ts'
import { collateText, mostTokens, textRoom } from './collate-text.ts'
import type { Columns } from './dataset.ts'
import { startsOf } from './lists.ts'
import { maskTokens } from './mask-tokens.ts'
import { numberOf } from './place.ts'

/** How rows become a batch, besides what the model declares. */
export interface CollateOptions {
  /** Cuts longer texts instead of refusing them. */
  truncate?: boolean
  /** With the epoch and the row, what is drawn follows from: which tokens are masked. Default 0. */
  seed?: number
  /** Default 0. */
  epoch?: number
}

/**
 * Gathers rows of a dataset or chunk into a batch. Several token lists of a text are joined in the order declared; a token's position
 * id is its index in the joined list, so masked tokens leave holes and shift nothing.
 * @param rows Row indices in `columns` (not in the file).
 * @param inputs What the batch is to hold: a model's `inputs`.
 * @throws DataError naming file, row, length and limit of a text that is too long, or feature, row and value of a bad id, or a column that
 * is missing.
 *
 * @example
 * ```ts
 * import { collate } from 'kernelgrad'
 *
 * const batch = collate(dataset, [0, 5, 7], model.inputs)
 * ```
 */
export function collate<I extends { [K in keyof I]: Input }>(
  columns: Columns,
  rows: ArrayLike<number>,
  inputs: I,
  options: CollateOptions = {},
): BatchOf<I> {
  return collateInto(columns, rows, inputs, options).batch as BatchOf<I>
}

/** {@link collate}, and the one buffer that all arrays of the batch lie in. */
export function collateInto(
  columns: Columns,
  rows: ArrayLike<number>,
  inputs: Inputs,
  options: CollateOptions = {},
): { batch: BatchOf<Inputs>; buffer: ArrayBuffer } {
  checkColumns('collate', columns)
  checkCollateOptions('collate', options)
  if (typeof inputs !== 'object' || inputs === null)
    throw new ArgumentError(`collate: inputs is ${shown(inputs)}, expected a model's inputs`)
  if (typeof rows !== 'object' || rows === null || !('length' in rows))
    throw new ArgumentError(`collate: rows is ${shown(rows)}, expected an array of row numbers`)
  const { truncate = false, seed = 0, epoch = 0 } = options
  const size = rows.length
  const source = new Array<number>(size)
  for (let b = 0; b < size; b++) {
    const row = rows[b]!
    if (!isId(row, columns.length))
      throw new DataError(
        `row ${typeof row === 'number' ? row : shown(row)} is asked for, the data has rows 0 to ${columns.length - 1}`,
      )
    source[b] = numberOf(columns, row)
  }
  const named = Object.entries(inputs)
  const tokens = new Map<string, number>()
  const starting = new Map<string, number[]>()
  for (const [name, input] of named) {
    if (!isThere(columns, input)) continue
    if (input.kind === 'list') {
      const keys = input.columns.map(key => column(columns.ids, name, key))
      starting.set(name, startsOf(keys, rows, source))
    }
    if (input.kind !== 'text') continue
    const lists = listsOf(columns, name, input)
    for (const [key, list] of lists) checkOffsets(key, list, rows, source)
    tokens.set(name, mostTokens(lists, rows, input))
  }
  const [take, buffer] = batchMemory(named, size, tokens)
  const batch: Record<string, unknown> = { size }
  for (const [name, input] of named) {
    if (input.kind === 'masked' || !isThere(columns, input)) continue
    if (input.kind === 'text') {
      const room = textRoom(size, tokens.get(name)!, take, { types: input.joined !== undefined })
      batch[name] = collateText(columns, listsOf(columns, name, input), rows, { ...input, truncate }, room)
    } else if (input.kind === 'list') {
      const starts = starting.get(name)!
      const taken = take(starts.length)
      taken.set(starts)
      batch[name] = taken
    } else if (input.kind === 'classes') {
      const place = { limit: input.classes, name: input.column, source }
      batch[name] = gatherIds(column(columns.ids, name, input.column), rows, take(size), place)
    } else if (input.kind === 'ids') {
      batch[name] = mapNames(Object.keys(input.columns), feature => {
        const place = { limit: input.columns[feature]!, name: feature, source }
        return groupIds(gatherIds(column(columns.ids, name, feature), rows, take(size), place), -1, take)
      })
    } else {
      batch[name] = mapNames(input.columns, feature => {
        const { buffer, byteOffset } = take(size)
        const values = new Float32Array(buffer, byteOffset, size)
        const place = { name: feature, source, least: input.least, missing: input.missing === 'nan' }
        return gatherFloats(column(columns.floats, name, feature), rows, values, place)
      })
    }
  }
  for (const [name, input] of named) {
    if (input.kind !== 'masked') continue
    const text = batch[input.of] as CollatedTokens | undefined
    if (!text) continue
    const words = inputs[input.of] as TextInput
    batch[name] = maskTokens(text, input, words, { seed, epoch, rows: source }, take)
  }
  batch.rows = source
  return { batch: batch as BatchOf<Inputs>, buffer }
}

/** Whether the columns of an input were read; what is for the loss alone need not have been. */
function isThere(columns: Columns, input: Input): boolean {
  if (!input.trainOnly) return true
  if (input.kind === 'classes') return columns.ids[input.column] !== undefined
  if (input.kind === 'ids') return Object.keys(input.columns).every(key => columns.ids[key])
  if (input.kind === 'floats') return input.columns.every(key => columns.floats[key])
  if (input.kind === 'list') return input.columns.every(key => columns.ids[key])
  if (input.kind === 'text') return textLists(input).every(({ key }) => columns.lists[key])
  // What is hidden is drawn, and read from no column.
  return input.kind === 'masked'
}

function column<T>(columns: Record<string, T>, input: string, name: string): T {
  const values = Object.hasOwn(columns, name) ? columns[name] : undefined
  if (values === undefined)
    throw new DataError(`the data has no column '${name}', which the model reads as '${input}'`)
  return values
}

const listsOf = (columns: Columns, name: string, input: TextInput) =>
  textLists(input).map(({ key }) => [key, column(columns.lists, name, key)] as const)

/**
 * Memory of one batch, in one piece: it is asked for once, and moves to another thread as a whole.
 * @param tokens Most tokens that each text can have.
 */
function batchMemory(
  inputs: [string, Input][],
  size: number,
  tokens: Map<string, number>,
): [Take, ArrayBuffer] {
  let numbers = 0
  for (const [name, input] of inputs) {
    const T = tokens.get(input.kind === 'masked' ? input.of : name) ?? 0
    if (input.kind === 'text') numbers += size + 1 + (input.joined ? 5 : 4) * T + 2 * (3 * T + 1)
    else if (input.kind === 'masked') numbers += T + 3 * T + 1 + 2 * T
    else if (input.kind === 'classes') numbers += size
    else if (input.kind === 'list') numbers += size + 1
    else if (input.kind === 'ids') numbers += Object.keys(input.columns).length * (4 * size + 1)
    else numbers += input.columns.length * size
  }
  const buffer = new ArrayBuffer(4 * numbers)
  let at = 0
  const take: Take = n => {
    const part = new Uint32Array(buffer, at, n)
    at += 4 * n
    return part
  }
  return [take, buffer]
}

const mapNames = <T>(names: readonly string[], make: (name: string) => T): Record<string, T> =>
  Object.fromEntries(names.map(name => [name, make(name)]))
