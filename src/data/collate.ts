/** Rows to batches: packed tokens, grouped ids, plain arrays. */
import { DataError } from '../errors.ts'
import { groupIds } from '../ids.ts'
import type { Batch, TokenBatch } from './batch.ts'
import { range } from './columns.ts'
import type { Columns } from './dataset.ts'

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
 * @throws DataError naming row, length and limit of a text that is too long, or feature, row and value of a bad id.
 */
export function collate(columns: Columns, rows: ArrayLike<number>, options: CollateOptions): Batch {
  const size = rows.length
  const source = Array.from(rows, row => {
    if (!(row >= 0 && row < columns.length))
      throw new DataError(`row ${row} is asked for, the data has rows 0 to ${columns.length - 1}`)
    return columns.rowStart + row
  })
  const batch: Batch = { size, categorical: {}, numerical: {}, rows: source }
  for (const [name, feature] of Object.entries(columns.features)) {
    if (feature.dtype === 'categorical') {
      const ids = gather(columns.categorical[name]!, rows, new Uint32Array(size))
      checkIds(ids, feature.vocab_size, name, i => source[i]!)
      batch.categorical[name] = groupIds(ids)
    } else if (feature.dtype === 'numerical') {
      batch.numerical[name] = gather(columns.numerical[name]!, rows, new Float32Array(size))
    }
  }
  if (columns.labels) batch.labels = gather(columns.labels, rows, new Uint32Array(size))
  if (Object.keys(columns.lists).length > 0) batch.text = collateTokens(columns, rows, source, options)
  return batch
}

function collateTokens(columns: Columns, rows: ArrayLike<number>, source: number[], options: CollateOptions) {
  const { padTokenId, maxPositions = 512, truncate = false, keepFirst = false, vocabSize } = options
  const lists = Object.entries(columns.lists)
  const packer = tokenPacker(rows.length, padTokenId)
  for (let b = 0; b < rows.length; b++) {
    const row = rows[b]!
    let length = 0
    for (const [, { offsets }] of lists) length += offsets[row + 1]! - offsets[row]!
    if (length > maxPositions && !truncate)
      throw new DataError(
        `row ${source[b]} has a text of ${length} tokens, expected at most ${maxPositions} (max_position_embeddings)`,
      )
    let position = 0
    for (const [name, { values, offsets }] of lists) {
      const end = Math.min(offsets[row + 1]!, offsets[row]! + maxPositions - position)
      for (let i = offsets[row]!; i < end; i++, position++) {
        const id = values[i]!
        if (vocabSize !== undefined && id >= vocabSize) badId(name, source[b]!, id, vocabSize)
        if (id !== padTokenId) packer.push(id, position, 1)
        else if (keepFirst && position === 0) packer.push(id, position, 0)
      }
    }
    if (keepFirst && position === 0) packer.push(padTokenId, 0, 0)
    packer.endRow()
  }
  return packer.finish()
}

/** Collects kept tokens row by row. */
export function tokenPacker(size: number, padTokenId: number) {
  const ids: number[] = []
  const positions: number[] = []
  const mask: number[] = []
  const rowIds: number[] = []
  const cuSeqlens = new Uint32Array(size + 1)
  let row = 0
  return {
    push(id: number, position: number, keep: 0 | 1) {
      ids.push(id)
      positions.push(position)
      mask.push(keep)
      rowIds.push(row)
    },
    endRow() {
      cuSeqlens[++row] = ids.length
    },
    finish(): TokenBatch {
      return {
        tokens: ids.length,
        inputIds: groupIds(Uint32Array.from(ids), padTokenId),
        positionIds: groupIds(Uint32Array.from(positions)),
        keyMask: Uint32Array.from(mask),
        cuSeqlens,
        rowIds: Uint32Array.from(rowIds),
      }
    },
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
    if (!(id >= 0 && id < limit && Math.floor(id) === id)) badId(feature, rowOf(i), id, limit)
  }
}

function badId(feature: string, row: number, value: number, limit: number): never {
  throw new DataError(`feature ${feature}, row ${row}: value ${value}, expected ${range(limit)}`)
}

function gather<A extends Uint32Array | Float32Array>(from: A, rows: ArrayLike<number>, out: A): A {
  for (let i = 0; i < rows.length; i++) out[i] = from[rows[i]!]!
  return out
}
