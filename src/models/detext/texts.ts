// Packed texts on the host: one of each list, several behind each other, and with boundary words.
import { DataError, ShapeError } from '../../errors.ts'
import type { PackedTokens } from '../../inputs.ts'
import { plainIds } from '../../nn/check-text.ts'

/** The lists of a batch: `starts` [B + 1] into its N rows. */
export interface BatchLists {
  starts: Uint32Array
  B: number
  N: number
  /** Source row of each, for messages. */
  rowOf(row: number): number
}

/** @throws DataError naming the row whose value is another than that of the first row of its list */
function expectOne(
  where: string,
  { starts, B, rowOf }: BatchLists,
  same: (first: number, row: number) => boolean,
): void {
  for (let list = 0; list < B; list++)
    for (let row = starts[list]! + 1; row < starts[list + 1]!; row++)
      if (!same(starts[list]!, row))
        throw new DataError(
          `${where}, row ${rowOf(row)}: the value is another than that of row ${rowOf(starts[list]!)}, which is of the same list, expected one for all of its documents`,
        )
}

/**
 * What is the same for all documents of a list, once a list: values of rows or of lists already.
 * @throws ShapeError for another number of values; DataError naming the row that differs
 */
export function idsOfLists(where: string, given: unknown, lists: BatchLists): Uint32Array {
  const values = plainIds(given as Uint32Array, where)
  const { starts, B, N } = lists
  if (values.length === B) return values
  expectCount(where, values.length, lists)
  expectOne(where, lists, (first, row) => values[first] === values[row])
  return Uint32Array.from({ length: N && B }, (_, list) => values[starts[list]!]!)
}

function expectCount(where: string, n: number, { B, N }: BatchLists): void {
  if (n !== N)
    throw new ShapeError(`${where} has ${n} rows, expected ${N}, a document each, or ${B}, a list each`)
}

/** The same of texts. */
export function textOfLists(where: string, text: PackedTokens, lists: BatchLists): PackedTokens {
  const { cuSeqlens, keyMask } = text
  const { starts, B } = lists
  if (cuSeqlens.length - 1 === B) return text
  expectCount(where, cuSeqlens.length - 1, lists)
  const [ids, positions] = [plainIds(text.inputIds), plainIds(text.positionIds)]
  expectOne(where, lists, (first, row) => {
    const [a, b] = [cuSeqlens[first]!, cuSeqlens[row]!]
    const length = cuSeqlens[first + 1]! - a
    if (cuSeqlens[row + 1]! - b !== length) return false
    for (let i = 0; i < length; i++)
      if (ids[a + i] !== ids[b + i] || positions[a + i] !== positions[b + i]) return false
    return true
  })
  const offsets = new Uint32Array(B + 1)
  for (let list = 0; list < B; list++) {
    const row = starts[list]!
    offsets[list + 1] = offsets[list]! + cuSeqlens[row + 1]! - cuSeqlens[row]!
  }
  const taken = (from: Uint32Array) => {
    const out = new Uint32Array(offsets[B]!)
    for (let list = 0; list < B; list++)
      out.set(from.subarray(cuSeqlens[starts[list]!], cuSeqlens[starts[list]! + 1]), offsets[list])
    return out
  }
  return packed(taken(ids), taken(positions), taken(keyMask), offsets)
}

function packed(
  inputIds: Uint32Array,
  positionIds: Uint32Array,
  keyMask: Uint32Array,
  cuSeqlens: Uint32Array,
): PackedTokens {
  const rowIds = new Uint32Array(inputIds.length)
  for (let row = 0; row + 1 < cuSeqlens.length; row++) rowIds.fill(row, cuSeqlens[row], cuSeqlens[row + 1])
  return { inputIds, positionIds, keyMask, cuSeqlens, rowIds }
}

/** Texts one behind the other, as one call of an encoder takes them. */
export function joinTexts(texts: readonly PackedTokens[]): PackedTokens {
  const joined = (of: (text: PackedTokens) => Uint32Array) => {
    const parts = texts.map(of)
    const out = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of parts) {
      out.set(part, at)
      at += part.length
    }
    return out
  }
  const cuSeqlens = new Uint32Array(1 + texts.reduce((sum, text) => sum + text.cuSeqlens.length - 1, 0))
  let [row, tokens] = [1, 0]
  for (const text of texts) {
    for (const end of text.cuSeqlens.subarray(1)) cuSeqlens[row++] = tokens + end
    tokens += text.keyMask.length
  }
  return packed(
    joined(text => plainIds(text.inputIds)),
    joined(text => plainIds(text.positionIds)),
    joined(({ keyMask }) => keyMask),
    cuSeqlens,
  )
}

/** Words of packed texts. */
export interface Words {
  ids: Uint32Array
  /** [rows + 1]. */
  starts: Uint32Array
}

/** Kept words alone. */
export function wordsOf({ inputIds, cuSeqlens, keyMask }: PackedTokens): Words {
  const ids = plainIds(inputIds)
  if (!keyMask.includes(0)) return { ids, starts: cuSeqlens }
  const before = new Uint32Array(ids.length + 1)
  for (const [t, kept] of keyMask.entries()) before[t + 1] = before[t]! + kept
  return { ids: ids.filter((_, t) => keyMask[t]), starts: cuSeqlens.map(start => before[start]!) }
}

/** Each text between `width` boundary words on either side, so that a window fits on the shortest one. An empty text stays empty. */
export function withBoundaries({ ids, starts }: Words, width: number, begin: number, end: number): Words {
  const rows = starts.length - 1
  const out: number[] = []
  const offsets = new Uint32Array(rows + 1)
  for (let row = 0; row < rows; row++) {
    const own = ids.subarray(starts[row], starts[row + 1])
    if (own.length) {
      for (let i = 0; i < width; i++) out.push(begin)
      for (const id of own) out.push(id)
      for (let i = 0; i < width; i++) out.push(end)
    }
    offsets[row + 1] = out.length
  }
  return { ids: Uint32Array.from(out), starts: offsets }
}
