/** A page's bytes out of any codec: exactly as many as its header claims, or an error. */

import type { CompressionCodec } from 'hyparquet/src/types.js'
import { compressors } from 'hyparquet-compressors'
import { ZSTDDecoder } from 'zstddec'
import { gunzip, unbrotli } from '#inflate'
import { checkLz4, checkSnappy, hadoopBlocks, wrongSize } from './compressed-blocks.ts'
import type { Decompress } from './pages.ts'

/** Most bytes that a byte of each codec can stand for, so that a claim is judged before memory is taken for it. */
const EXPANDS: Partial<Record<CompressionCodec, number>> = {
  SNAPPY: 64,
  GZIP: 1032,
  LZ4: 255,
  LZ4_RAW: 255,
  ZSTD: 2 ** 17,
  BROTLI: 2 ** 24,
}

// zstd's own decoder, in WebAssembly: it finds damage that others decode to something. It has a heap of 2 GiB.
const zstd = new ZSTDDecoder()
const MOST_ZSTD = 2 ** 30

/** Loads what a codec needs before `decompress` can decode it. */
export async function prepareCodec(codec: CompressionCodec): Promise<void> {
  if (codec === 'ZSTD') await zstd.init()
}

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

const DECODERS: Partial<Record<CompressionCodec, Decompress>> = {
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
  if (size > MOST_ZSTD) throw new Error(`a page of ${size} bytes is more than the zstd decoder takes`)
  const out = zstd.decode(input, size)
  if (out.length !== size) throw new Error('zstd data is damaged, or holds other than its page claims')
  return out
}
