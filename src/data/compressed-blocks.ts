/**
 * Walks over compressed blocks, which the decoders do not hold against the size that a page claims: what is missing they leave
 * zero, what is too much they drop. A walk reads the lengths in the stream and copies nothing.
 */

/**
 * Checks a Snappy block. Format: https://github.com/google/snappy/blob/main/format_description.txt
 * @throws Error where it does not make exactly `size` bytes.
 */
export function checkSnappy(input: Uint8Array, size: number): void {
  let claimed = 0
  let at = 0
  for (let i = 0; ; i++) {
    const byte = input[at++]
    if (byte === undefined || i > 4) throw new Error('snappy data ends early')
    claimed += (byte & 127) * 2 ** (7 * i)
    if (byte < 128) break
  }
  let made = 0
  if (claimed !== size) throw wrongSize('snappy', claimed, size)
  while (at < input.length) {
    const tag = input[at++]!
    if ((tag & 3) === 0) {
      let length = tag >> 2
      if (length >= 60) {
        const bytes = length - 59
        length = littleEndian(input, at, bytes)
        at += bytes
      }
      length++
      at += length
      made += length
      if (at > input.length) throw new Error('snappy data ends early')
    } else {
      const width = (tag & 3) === 3 ? 4 : tag & 3
      const offset = littleEndian(input, at, width) + ((tag & 3) === 1 ? (tag >> 5) * 256 : 0)
      at += width
      if (at > input.length) throw new Error('snappy data ends early')
      if (offset === 0 || offset > made) throw new Error('snappy data refers to bytes before its start')
      made += (tag & 3) === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1
    }
    if (made > size) break
  }
  if (made !== size) throw wrongSize('snappy', made > size ? 'more' : made, size)
}

/**
 * Checks a raw LZ4 block. Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
 * @throws Error where it does not make exactly `size` bytes.
 */
export function checkLz4(input: Uint8Array, size: number): void {
  let at = 0
  let made = 0
  const length = (nibble: number): number => {
    let sum = nibble
    if (nibble < 15) return sum
    for (let byte = 255; byte === 255; sum += byte) {
      byte = input[at++] ?? -1
      if (byte < 0) throw new Error('lz4 data ends early')
    }
    return sum
  }
  while (at < input.length) {
    const token = input[at++]!
    const literals = length(token >> 4)
    at += literals
    made += literals
    if (at > input.length) throw new Error('lz4 data ends early')
    // The last sequence has no match.
    if (at === input.length || made > size) break
    if (at + 2 > input.length) throw new Error('lz4 data ends early')
    const offset = input[at]! | (input[at + 1]! << 8)
    at += 2
    if (offset === 0 || offset > made) throw new Error('lz4 data refers to bytes before its start')
    made += length(token & 15) + 4
    if (made > size) break
  }
  if (made !== size) throw wrongSize('lz4', made > size ? 'more' : made, size)
}

/**
 * The blocks within Hadoop's frame (big-endian sizes before each block), or undefined where this is no such frame.
 * What old Parquet calls LZ4 may be either.
 */
export function hadoopBlocks(
  input: Uint8Array,
  size: number,
): { block: Uint8Array; size: number }[] | undefined {
  const blocks = []
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  let at = 0
  let made = 0
  while (at < input.length) {
    if (at + 8 > input.length) return undefined
    const plain = view.getUint32(at)
    const packed = view.getUint32(at + 4)
    at += 8
    if (packed > input.length - at || plain > size - made) return undefined
    if (plain > 0) blocks.push({ block: input.subarray(at, at + packed), size: plain })
    at += packed
    made += plain
  }
  return made === size ? blocks : undefined
}

function littleEndian(bytes: Uint8Array, at: number, width: number): number {
  let value = 0
  for (let i = 0; i < width; i++) value += (bytes[at + i] ?? 0) * 2 ** (8 * i)
  return value
}

/** The one message of every decoder that makes another number of bytes than its page claims. */
export function wrongSize(codec: string, made: number | string, size: number): Error {
  return new Error(`${codec} data holds ${made} bytes, its page claims ${size}`)
}
