/** Token lists of rows packed one after another: kept tokens only, at their own positions. */
import { groupIds, type Take } from '../ids.ts'
import type { CollatedTokens, TextInput } from '../inputs.ts'
import { badValue, isId } from './check-columns.ts'
import { range, type TokenLists } from './columns.ts'
import type { Columns } from './dataset.ts'
import { tooLong } from './place.ts'

type Lists = readonly (readonly [name: string, lists: TokenLists])[]

/** Most tokens that the rows can have. */
export function mostTokens(
  lists: Lists,
  rows: ArrayLike<number>,
  { maxPositions, keepFirst }: TextInput,
): number {
  let tokens = 0
  for (let b = 0; b < rows.length; b++)
    tokens += Math.max(Math.min(lengthOf(lists, rows[b]!), maxPositions), keepFirst ? 1 : 0)
  return tokens
}

/** Tokens of a row's text, masked ones included. */
function lengthOf(lists: Lists, row: number): number {
  let length = 0
  for (const [, { offsets }] of lists) length += offsets[row + 1]! - offsets[row]!
  return length
}

/** Packs the texts of `rows` into `room`. */
export function collateText(
  columns: Columns,
  lists: Lists,
  rows: ArrayLike<number>,
  { padTokenId, maxPositions, truncate, keepFirst, rows: words }: TextInput & { truncate: boolean },
  room: TextRoom,
): CollatedTokens {
  const { ids, positions, keyMask, rowIds, cuSeqlens } = room
  let tokens = 0
  for (let b = 0; b < rows.length; b++) {
    const row = rows[b]!
    const length = lengthOf(lists, row)
    if (length > maxPositions && !truncate) throw tooLong(columns, row, length, maxPositions)
    let position = 0
    for (const [name, { values, offsets }] of lists) {
      const end = Math.min(offsets[row + 1]!, offsets[row]! + maxPositions - position)
      for (let i = offsets[row]!; i < end; i++, position++) {
        const id = values[i]!
        if (!isId(id, words)) badValue(name, columns.rowStart + row, id, range(words))
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
  return packText(room, padTokenId)
}

/** Arrays that texts are packed into, row after row; cuSeqlens ends with the number of tokens there are. */
export interface TextRoom {
  ids: Uint32Array
  positions: Uint32Array
  keyMask: Uint32Array
  rowIds: Uint32Array
  cuSeqlens: Uint32Array
  take: Take
}

/** Room for `tokens` tokens in `size` rows: with what {@link packText} adds, `size` + 10 `tokens` + 3 numbers. */
export function textRoom(size: number, tokens: number, take: Take = n => new Uint32Array(n)): TextRoom {
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
export function packText(
  { ids, positions, keyMask, rowIds, cuSeqlens, take }: TextRoom,
  padTokenId: number,
): CollatedTokens {
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
