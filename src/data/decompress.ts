/** A page's bytes out of any codec: exactly as many as its header claims, or an error. */

import { Decompress } from 'fzstd'
import type { CompressionCodec } from 'hyparquet'
import { xxhash64 } from 'hyparquet/src/xxhash.js'
import { compressors } from 'hyparquet-compressors'
import { gunzip, unbrotli } from '#inflate'
import { checkLz4, checkSnappy, hadoopBlocks, wrongSize, zstdFrameHead } from './compressed-blocks.ts'

/** Most bytes that a byte of each codec can stand for, so that a claim is judged before memory is taken for it. */
const EXPANDS: Partial<Record<CompressionCodec, number>> = {
  SNAPPY: 64,
  GZIP: 1032,
  LZ4: 255,
  LZ4_RAW: 255,
  ZSTD: 2 ** 17,
  BROTLI: 2 ** 24,
}

/** What zstd's own decoder takes unless told otherwise. */
const LARGEST_WINDOW = 2 ** 27

/**
 * Decompresses a page.
 * @param size Bytes that the page's header claims.
 * @throws Error where the codec is unknown or the data makes other than `size` bytes.
 */
export function decompress(codec: CompressionCodec, input: Uint8Array, size: number): Uint8Array {
  if (!(size >= 0)) throw new Error(`a page claims ${size} bytes`)
  // Writers differ in what they leave of nothing: no byte, an empty block, a frame.
  if (size === 0) return new Uint8Array(0)
  const most = EXPANDS[codec]
  if (!most) throw new Error(`codec ${codec} cannot be read`)
  if (size > input.length * most)
    throw new Error(`a page of ${input.length} bytes claims to hold ${size} (${codec})`)
  const out = DECODERS[codec]!(input, size)
  if (out.length !== size) throw wrongSize(codec.toLowerCase(), out.length, size)
  return out
}

type Decoder = (input: Uint8Array, size: number) => Uint8Array

const DECODERS: Partial<Record<CompressionCodec, Decoder>> = {
  SNAPPY(input, size) {
    checkSnappy(input, size)
    return compressors.SNAPPY!(input, size)
  },
  GZIP: gunzip,
  BROTLI: unbrotli,
  LZ4_RAW: lz4Raw,
  LZ4(input, size) {
    const blocks = hadoopBlocks(input, size)
    if (!blocks) return lz4Raw(input, size)
    const out = new Uint8Array(size)
    let at = 0
    for (const part of blocks) {
      out.set(lz4Raw(part.block, part.size), at)
      at += part.size
    }
    return out
  },
  ZSTD: unzstd,
}

function lz4Raw(input: Uint8Array, size: number): Uint8Array {
  checkLz4(input, size)
  return compressors.LZ4_RAW!(input, size)
}

function unzstd(input: Uint8Array, size: number): Uint8Array {
  const { window, content, checksum } = zstdFrameHead(input)
  if (window > Math.max(LARGEST_WINDOW, size)) throw new Error(`zstd data wants a window of ${window} bytes`)
  if (content !== undefined && content > size) throw wrongSize('zstd', content, size)
  const out = new Uint8Array(size)
  let made = 0
  // Decoding block by block is the way of this decoder that tells how much there was.
  const stream = new Decompress(block => {
    if (made + block.length > size) throw wrongSize('zstd', 'more', size)
    out.set(block, made)
    made += block.length
  })
  stream.push(input, true)
  if (made !== size) throw wrongSize('zstd', made, size)
  if (checksum && content === size) {
    const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
    if (BigInt(view.getUint32(input.length - 4, true)) !== (xxhash64(out) & 0xffffffffn))
      throw new Error('zstd data does not match its checksum')
  }
  return out
}
