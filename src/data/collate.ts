/** Rows to batches: packed tokens, grouped ids, plain arrays. */
import { shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { groupIds, type Take } from '../ids.ts'
import type { Batch, TokenBatch } from './batch.ts'
import {
  badValue,
  checkCollateOptions,
  checkColumns,
  gatherFloats,
  gatherIds,
  isId,
} from './check-columns.ts'
import { range, type TokenLists } from './columns.ts'
import type { Columns } from './dataset.ts'
import { tooLong } from './place.ts'

/** How texts become packed tokens. */
export interface CollateOptions {
  /** Tokens equal to it are masked: an out-of-vocabulary token carries it too. */
  padTokenId: number
  /** Longest text, default 512. */
  maxPositions?: number
  /** Cuts longer texts instead of refusing them. */
  truncate?: boolean
  /**
   * Keeps position 0 of every row even where it is masked or the row is empty (then as one padding token), with
   * keyMask 0: the text-only classifier reads that position.
   */
  keepFirst?: boolean
  /** Rows of the word table; token ids are checked against it where given. */
  vocabSize?: number
}

/**
 * Gathers rows of a dataset or chunk into a batch. Several token lists are joined in config order; a token's position
 * id is its index in the joined list, so masked tokens leave holes and shift nothing.
 * @param rows Row indices in `columns` (not in the file).
 * @throws DataError naming file, row, length and limit of a text that is too long, or feature, row and value of a bad id.
 *
 * @example
 * ```ts
 * import { collate } from 'kernelgrad'
 *
 * const batch = collate(dataset, [0, 5, 7], { padTokenId: 0, maxPositions: 64 })
 * ```
 */
export function collate(columns: Columns, rows: ArrayLike<number>, options: CollateOptions): Batch {
  checkColumns('collate', columns)
  checkCollateOptions('collate', options)
  if (typeof rows !== 'object' || rows === null || !('length' in rows))
    throw new ArgumentError(`collate: rows is ${shown(rows)}, expected an array of row numbers`)
  const size = rows.length
  const source = new Array<number>(size)
  for (let b = 0; b < size; b++) {
    const row = rows[b]!
    if (!isId(row, columns.length))
      throw new DataError(
        `row ${typeof row === 'number' ? row : shown(row)} is asked for, the data has rows 0 to ${columns.length - 1}`,
      )
    source[b] = columns.rowStart + row
  }
  const lists = Object.entries(columns.lists)
  for (const [name, list] of lists) checkOffsets(name, list, rows, source)
  const room = lists.length > 0 ? mostTokens(lists, rows, options) : 0
  const take = batchMemory(columns, size, room)
  const batch: Batch = { size, categorical: {}, numerical: {}, rows: source }
  for (const [name, feature] of Object.entries(columns.features)) {
    if (feature.dtype === 'categorical') {
      const place = { limit: feature.vocab_size, name, source }
      const ids = gatherIds(columns.categorical[name]!, rows, take(size), place)
      batch.categorical[name] = groupIds(ids, -1, take)
    } else if (feature.dtype === 'numerical') {
      const { buffer, byteOffset } = take(size)
      const out = new Float32Array(buffer, byteOffset, size)
      batch.numerical[name] = gatherFloats(columns.numerical[name]!, rows, out, { name, source })
    }
  }
  const place = { limit: 2 ** 32, name: 'labels', source }
  if (columns.labels) batch.labels = gatherIds(columns.labels, rows, take(size), place)
  if (lists.length > 0) batch.text = collateTokens(columns, rows, options, tokenRoom(size, room, take))
  return batch
}

/**
 * Memory of one batch, in one piece: it is asked for once, and moves to another thread as a whole.
 * @param tokens Most tokens that the texts can have.
 */
function batchMemory({ features, labels }: Columns, size: number, tokens: number): Take {
  const kinds = Object.values(features).map(({ dtype }) => dtype)
  const categorical = kinds.filter(dtype => dtype === 'categorical').length
  const numerical = kinds.filter(dtype => dtype === 'numerical').length
  const text = size + 1 + 4 * tokens + 2 * (3 * tokens + 1)
  const buffer = new ArrayBuffer(
    4 * (categorical * (4 * size + 1) + numerical * size + (labels ? size : 0) + text),
  )
  let at = 0
  return n => {
    const part = new Uint32Array(buffer, at, n)
    at += 4 * n
    return part
  }
}

function mostTokens(
  lists: [string, TokenLists][],
  rows: ArrayLike<number>,
  { maxPositions = 512, keepFirst = false }: CollateOptions,
): number {
  let tokens = 0
  for (let b = 0; b < rows.length; b++) {
    const row = rows[b]!
    let length = 0
    for (const [, { offsets }] of lists) length += offsets[row + 1]! - offsets[row]!
    tokens += Math.max(Math.min(length, maxPositions), keepFirst ? 1 : 0)
  }
  return tokens
}

function collateTokens(
  columns: Columns,
  rows: ArrayLike<number>,
  {
    padTokenId,
    maxPositions = 512,
    truncate = false,
    keepFirst = false,
    vocabSize = 2 ** 32,
  }: CollateOptions,
  room: TokenRoom,
): TokenBatch {
  const { ids, positions, keyMask, rowIds, cuSeqlens } = room
  const lists = Object.entries(columns.lists)
  let tokens = 0
  for (let b = 0; b < rows.length; b++) {
    const row = rows[b]!
    let length = 0
    for (const [, { offsets }] of lists) length += offsets[row + 1]! - offsets[row]!
    if (length > maxPositions && !truncate) throw tooLong(columns, row, length, maxPositions)
    let position = 0
    for (const [name, { values, offsets }] of lists) {
      const end = Math.min(offsets[row + 1]!, offsets[row]! + maxPositions - position)
      for (let i = offsets[row]!; i < end; i++, position++) {
        const id = values[i]!
        if (!isId(id, vocabSize)) badValue(name, columns.rowStart + row, id, range(vocabSize))
        if (id === padTokenId && !(keepFirst && position === 0)) continue
        ids[tokens] = id
        positions[tokens] = position
        keyMask[tokens] = id === padTokenId ? 0 : 1
        rowIds[tokens++] = b
      }
    }
    if (keepFirst && position === 0) {
      ids[tokens] = padTokenId
      positions[tokens] = 0
      keyMask[tokens] = 0
      rowIds[tokens++] = b
    }
    cuSeqlens[b + 1] = tokens
  }
  return packTokens(room, padTokenId)
}

/** Arrays that texts are packed into, row after row; cuSeqlens ends with the number of tokens there are. */
export interface TokenRoom {
  ids: Uint32Array
  positions: Uint32Array
  keyMask: Uint32Array
  rowIds: Uint32Array
  cuSeqlens: Uint32Array
  take: Take
}

/** Room for `tokens` tokens in `size` rows: with what {@link packTokens} adds, `size` + 10 `tokens` + 3 numbers. */
export function tokenRoom(size: number, tokens: number, take: Take = n => new Uint32Array(n)): TokenRoom {
  return {
    ids: take(tokens),
    positions: take(tokens),
    keyMask: take(tokens),
    rowIds: take(tokens),
    cuSeqlens: take(size + 1),
    take,
  }
}

/** Cuts the room to what is in it, and groups ids and positions. */
export function packTokens(
  { ids, positions, keyMask, rowIds, cuSeqlens, take }: TokenRoom,
  padTokenId: number,
): TokenBatch {
  const tokens = cuSeqlens.at(-1)!
  return {
    tokens,
    inputIds: groupIds(ids.subarray(0, tokens), padTokenId, take),
    positionIds: groupIds(positions.subarray(0, tokens), -1, take),
    keyMask: keyMask.subarray(0, tokens),
    cuSeqlens,
    rowIds: rowIds.subarray(0, tokens),
  }
}

/** @throws DataError naming feature, row and value of the first id that is not below `limit`. */
export function checkIds(
  ids: ArrayLike<number>,
  limit: number,
  feature: string,
  rowOf: (i: number) => number,
): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    if (!isId(id, limit)) badValue(feature, rowOf(i), id, range(limit))
  }
}

/** Lists made by hand: a row's tokens are a stretch of the values. */
function checkOffsets(
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
