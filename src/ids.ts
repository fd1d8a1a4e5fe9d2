/**
 * Ids grouped for a backward pass without atomics: entry `u` of `rows` is looked up by the positions
 * `positions[offsets[u]] … positions[offsets[u + 1] - 1]`, ascending.
 */
export interface GroupedIds {
  /** The ids themselves, in batch order. */
  ids: Uint32Array
  /** Unique ids, ascending, without the padding id. Length U. */
  rows: Uint32Array
  /** Segment starts in `positions`. Length U + 1. */
  offsets: Uint32Array
  /** Indices into `ids`, grouped by id. Length `offsets[U]`. */
  positions: Uint32Array
}

/** Whether ids come in groups. */
export const isGrouped = (ids: unknown): ids is GroupedIds =>
  typeof ids === 'object' && ids !== null && 'rows' in ids

/** Hands out memory for `n` unsigned numbers, zeroed. */
export type Take = (n: number) => Uint32Array

/** Bits of an id sorted by at once: a count per value then stays small beside a batch. */
const DIGIT = 9
const counts = new Uint32Array(1 << DIGIT)
/** Grows to the longest ids seen, and is used anew by every call. */
let scratch = new Uint32Array(0)

/**
 * Sorts ids into segments, one per unique id; `paddingIdx` is left out, since it gets no gradient. A radix sort of the
 * positions, least significant digit first: being stable, it leaves the positions of an id ascending.
 * @param take Where the result's memory comes from: at most 3 `ids.length` + 1 numbers.
 */
export function groupIds(
  ids: Uint32Array,
  paddingIdx = -1,
  take: Take = n => new Uint32Array(n),
): GroupedIds {
  let n = 0
  let bits = 0
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    if (id === paddingIdx) continue
    n++
    bits |= id
  }
  const positions = take(n)
  if (scratch.length < n) scratch = new Uint32Array(2 * n)
  const width = 32 - Math.clz32(bits)
  const passes = Math.max(Math.ceil(width / DIGIT), 1)
  // Passes write to the two by turns, and the last one to `positions`.
  let from = passes % 2 ? scratch : positions
  let to = passes % 2 ? positions : scratch
  for (let i = 0, k = 0; i < ids.length; i++) if (ids[i] !== paddingIdx) from[k++] = i
  const digit = Math.ceil(width / passes)
  for (let pass = 0; pass < passes; pass++) {
    sortByDigit(ids, from, to, n, pass * digit, digit)
    const swap = from
    from = to
    to = swap
  }
  let U = 0
  for (let i = 0; i < n; i++) if (i === 0 || ids[positions[i]!] !== ids[positions[i - 1]!]) U++
  const rows = take(U)
  const offsets = take(U + 1)
  for (let i = 0, u = 0; i < n; i++) {
    const id = ids[positions[i]!]!
    if (i > 0 && rows[u - 1] === id) continue
    rows[u] = id
    offsets[u++] = i
  }
  offsets[U] = n
  return { ids, rows, offsets, positions }
}

/** One pass: `to` gets the positions in `from`, ordered by `digit` bits of their ids from bit `shift` on. */
function sortByDigit(
  ids: Uint32Array,
  from: Uint32Array,
  to: Uint32Array,
  n: number,
  shift: number,
  digit: number,
) {
  const size = 1 << digit
  const mask = size - 1
  counts.fill(0, 0, size)
  for (let i = 0; i < n; i++) counts[(ids[from[i]!]! >>> shift) & mask]!++
  let start = 0
  for (let d = 0; d < size; d++) {
    const count = counts[d]!
    counts[d] = start
    start += count
  }
  for (let i = 0; i < n; i++) {
    const position = from[i]!
    to[counts[(ids[position]! >>> shift) & mask]!++] = position
  }
}
