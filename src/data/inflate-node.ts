// Node's own decoders, which hold gzip's checksum against what they made.
import { pipeline, Readable, type Transform } from 'node:stream'
import { brotliDecompressSync, createGunzip, createGzip, unzipSync } from 'node:zlib'
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

const PIECE = 1 << 18

/** What gzip'd bytes hold, piece by piece; ends in an error where they are damaged or cut short. */
export const gunzipStream = (bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> =>
  through(bytes, createGunzip({ chunkSize: PIECE }))

/** Bytes as gzip has them, piece by piece. */
export const gzipStream = (bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> =>
  through(bytes, createGzip({ chunkSize: PIECE }))

function through(bytes: AsyncIterable<Uint8Array>, coder: Transform): AsyncIterable<Uint8Array> {
  // An error on the way ends the coder with it, and so the loop that reads it.
  pipeline(Readable.from(bytes, { objectMode: true, highWaterMark: 1 }), coder, () => {})
  return coder
}
