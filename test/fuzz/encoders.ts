/** Plain encoders for what the readers under test decode: codecs as literals only, levels and indexes as runs of chosen lengths. */
import { brotliCompressSync, gzipSync } from 'node:zlib'
import type { RandomStream } from '../../src/data/shuffle.ts'

const join = (...parts: (number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap(part => [...part]))

const varint = (value: number): number[] => {
  const out = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128)
  out.push(rest)
  return out
}

/** Compressors by the format's names. */
export const COMPRESS: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  UNCOMPRESSED: bytes => bytes,
  GZIP: bytes => gzipSync(bytes),
  BROTLI: bytes => brotliCompressSync(bytes),
  SNAPPY(bytes) {
    const parts = [varint(bytes.length)]
    for (let at = 0; at < bytes.length; at += 60) {
      const piece = bytes.subarray(at, at + 60)
      parts.push([(piece.length - 1) << 2, ...piece])
    }
    return join(...parts)
  },
  LZ4_RAW(bytes) {
    const { length } = bytes
    if (length < 15) return join([length << 4], bytes)
    const rest = length - 15
    return join([0xf0], new Array(Math.floor(rest / 255)).fill(255), [rest % 255], bytes)
  },
  /** Hadoop's frame: big-endian sizes before each block. */
  LZ4(bytes) {
    const block = COMPRESS.LZ4_RAW!(bytes)
    const head = Buffer.alloc(8)
    head.writeUInt32BE(bytes.length, 0)
    head.writeUInt32BE(block.length, 4)
    return join(head, block)
  },
  /** One frame of a raw block, its content size in four bytes. */
  ZSTD(bytes) {
    const head = Buffer.alloc(12)
    head.writeUInt32LE(0xfd2fb528, 0)
    head[4] = 0xa0
    head.writeUInt32LE(bytes.length, 5)
    head.writeUIntLE((bytes.length << 3) | 1, 9, 3)
    return join(head, bytes)
  },
}

/** Values of `width` bits as run-length and bit-packed runs, cut wherever `random` likes. */
export function encodeHybrid(values: ArrayLike<number>, width: number, random: RandomStream): Uint8Array {
  const out: number[] = []
  for (let at = 0; at < values.length; ) {
    let same = 1
    while (at + same < values.length && values[at + same] === values[at]) same++
    const left = values.length - at
    if (random.below(2) || left < 8) {
      const run = 1 + random.below(same)
      out.push(...varint(run * 2))
      for (let byte = 0; byte < width; byte += 8) out.push(Math.floor(values[at]! / 2 ** byte) % 256)
      at += run
    } else {
      const groups = 1 + random.below(Math.floor(left / 8))
      out.push(...varint(groups * 2 + 1))
      let held = 0n
      let bits = 0n
      for (let i = 0; i < groups * 8; i++) {
        held |= BigInt(values[at + i]!) << bits
        bits += BigInt(width)
      }
      for (let byte = 0; byte < groups * width; byte++) out.push(Number((held >> BigInt(8 * byte)) & 255n))
      at += groups * 8
    }
  }
  return Uint8Array.from(out)
}
