/** Token lists of rows packed one after another: kept tokens only, at their own positions. */
import { groupIds, type Take } from '../ids.ts'
import { type CollatedTokens, joinedTokens, type TextInput } from '../inputs.ts'
import { badValue, isId } from './check-columns.ts'
import { range, type TokenLists } from './columns.ts'
import type { Columns } from './dataset.ts'
import { tooLong } from './place.ts'

type Lists = readonly (readonly [name: string, lists: TokenLists])[]

/** Most tokens that the rows can have. */
export function mostTokens(lists: Lists, rows: ArrayLike<number>, input: TextInput): number {
  const { maxPositions, keepFirst } = input
  const more = joinedTokens(input)
  let tokens = 0
  for (let b = 0; b < rows.length; b++)
    tokens += Math.max(Math.min(lengthOf(lists, rows[b]!) + more, maxPositions), keepFirst ? 1 : 0)
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
  input: TextInput & { truncate: boolean },
  room: TextRoom,
): CollatedTokens {
  if (input.joined) return collateJoined(columns, lists, rows, input, room)
  const { padTokenId, maxPositions, truncate, keepFirst, rows: words } = input
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

/** The same with special tokens around the columns, and the token type of each token. */
function collateJoined(
  columns: Columns,
  lists: Lists,
  rows: ArrayLike<number>,
  input: TextInput & { truncate: boolean },
  room: TextRoom,
): CollatedTokens {
  const { padTokenId, maxPositions, truncate, rows: words, columns: named } = input
  const { first, separator } = input.joined!
  const typeIds = room.typeIds!
  const more = joinedTokens(input)
  let tokens = 0
  for (let b = 0; b < rows.length; b++) {
    const row = rows[b]!
    const length = lengthOf(lists, row) + more
    if (length > maxPositions && !truncate) throw tooLong(columns, row, length, maxPositions)
    let position = 0
    const push = (id: number, segment: number) => {
      if (position < maxPositions && id !== padTokenId) {
        room.ids[tokens] = id
        room.positions[tokens] = position
        room.keyMask[tokens] = 1
        typeIds[tokens] = segment
        room.rowIds[tokens++] = b
      }
      position++
    }
    push(first, named[0]!.segment ?? 0)
    for (const [k, [name, { values, offsets }]] of lists.entries()) {
      const { segment = 0 } = named[k]!
      for (let i = offsets[row]!; i < offsets[row + 1]!; i++) {
        const id = values[i]!
        if (!isId(id, words)) badValue(name, columns.rowStart + row, id, range(words))
        push(id, segment)
      }
      push(separator, segment)
    }
    room.cuSeqlens[b + 1] = tokens
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
  /** Of texts whose tokens have types. */
  typeIds?: Uint32Array
  take: Take
}

/** Room for `tokens` tokens in `size` rows: with what {@link packText} adds, `size` + 10 `tokens` + 3 numbers, `tokens` more with types. */
export function textRoom(
  size: number,
  tokens: number,
  take: Take = n => new Uint32Array(n),
  { types = false } = {},
): TextRoom {
  return {
    ...(types ? { typeIds: take(tokens) } : {}),
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
  { ids, positions, keyMask, rowIds, cuSeqlens, typeIds, take }: TextRoom,
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
    ...(typeIds ? { typeIds: typeIds.subarray(0, tokens) } : {}),
  }
}
