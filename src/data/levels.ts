/**
 * Parquet's run-length / bit-packed hybrid, decoded into typed arrays. hyparquet has its own, which trusts run
 * lengths: one damaged byte there can ask for 2^31 entries and exhaust memory, so lists and indexes are read here.
 * Format: https://parquet.apache.org/docs/file-format/data-pages/encodings/
 */

/**
 * Decodes `out.length` values of `width` bits from `bytes`; runs longer than what is left are cut.
 * @throws Error where the data ends early, or a run's value has more bits than `width`.
 */
export function readHybrid<A extends Uint8Array | Uint32Array>(bytes: Uint8Array, width: number, out: A): A {
  const end = bytes.length
  const runBytes = (width + 7) >> 3
  let at = 0
  let seen = 0
  while (seen < out.length) {
    let header = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= end || shift > 28) throw new Error('run-length data ends early')
      const byte = bytes[at++]!
      header |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    const left = out.length - seen
    if ((header & 1) === 0) {
      const run = Math.min(header >>> 1, left)
      if (run === 0) throw new Error('run-length data has an empty run')
      if (at + runBytes > end) throw new Error('run-length data ends early')
      let value = 0
      for (let i = 0; i < runBytes; i++) value |= bytes[at++]! << (8 * i)
      if (width < 32 && value >>> width)
        throw new Error(`run-length data holds ${value >>> 0} in ${width} bits`)
      out.fill(value >>> 0, seen, seen + run)
      seen += run
    } else {
      const groups = header >>> 1
      if (groups === 0) throw new Error('run-length data has an empty run')
      // The last group may be cut off where the page needs no more of it.
      const run = Math.min(groups * 8, left)
      if (at + Math.ceil((run * width) / 8) > end) throw new Error('bit-packed data ends early')
      unpack(bytes, at, width, out, seen, run)
      at += groups * width
      seen += run
    }
  }
  return out
}

function unpack(
  bytes: Uint8Array,
  at: number,
  width: number,
  out: Uint8Array | Uint32Array,
  first: number,
  n: number,
) {
  if (width === 0) {
    out.fill(0, first, first + n)
    return
  }
  let held = 0
  let bits = 0
  if (width <= 24) {
    const mask = (1 << width) - 1
    for (let i = 0; i < n; i++) {
      while (bits < width) {
        held |= bytes[at++]! << bits
        bits += 8
      }
      out[first + i] = held & mask
      held >>>= width
      bits -= width
    }
    return
  }
  // Up to 39 bits are held at once: plain arithmetic, since shifts end at 32.
  const size = 2 ** width
  for (let i = 0; i < n; i++) {
    while (bits < width) {
      held += bytes[at++]! * 2 ** bits
      bits += 8
    }
    const rest = Math.floor(held / size)
    out[first + i] = held - rest * size
    held = rest
    bits -= width
  }
}

/** Bits that hold every level from 0 to `max`. */
export function levelWidth(max: number): number {
  return 32 - Math.clz32(max)
}
