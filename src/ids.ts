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

/** Sorts ids into segments, one per unique id; `paddingIdx` is left out, since it gets no gradient. */
export function groupIds(ids: Uint32Array, paddingIdx = -1): GroupedIds {
  // One float64 key holds id and position: 2^32 ids times 2^21 positions fit 53 bits.
  if (ids.length > 2 ** 21) throw new RangeError(`groupIds takes at most ${2 ** 21} ids, got ${ids.length}`)
  const keys = new Float64Array(ids.length)
  let n = 0
  for (let i = 0; i < ids.length; i++) if (ids[i] !== paddingIdx) keys[n++] = ids[i]! * 2 ** 21 + i
  const sorted = keys.subarray(0, n).sort()
  const positions = new Uint32Array(n)
  const rows = new Uint32Array(n)
  const offsets = new Uint32Array(n + 1)
  let u = 0
  for (let i = 0; i < n; i++) {
    const id = Math.floor(sorted[i]! / 2 ** 21)
    positions[i] = sorted[i]! - id * 2 ** 21
    if (u === 0 || rows[u - 1] !== id) {
      rows[u] = id
      offsets[u++] = i
    }
  }
  offsets[u] = n
  return { ids, rows: rows.slice(0, u), offsets: offsets.slice(0, u + 1), positions }
}
