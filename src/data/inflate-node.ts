// Node's own decoders, which hold gzip's checksum against what they made.
import { brotliDecompressSync, unzipSync } from 'node:zlib'
import { wrongSize } from './compressed-blocks.ts'

export const gunzip = (input: Uint8Array, size: number): Uint8Array => limited(unzipSync, 'gzip', input, size)

export const unbrotli = (input: Uint8Array, size: number): Uint8Array =>
  limited(brotliDecompressSync, 'brotli', input, size)

/** Past the size that is expected nothing is made. */
function limited(decode: typeof unzipSync, codec: string, input: Uint8Array, size: number): Uint8Array {
  try {
    const { buffer, byteOffset, length } = decode(input, { maxOutputLength: size })
    return new Uint8Array(buffer, byteOffset, length)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw wrongSize(codec, 'more', size)
    throw error
  }
}
