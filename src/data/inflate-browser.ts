// A page has no synchronous decoders of its own.
import { decompressBrotli, gunzip as inflate } from 'hyparquet-compressors'
import { wrongSize } from './compressed-blocks.ts'
import { crc32 } from './crc32.ts'

/** Checks what gzip's trailer says of the last member, which is nearly always the only one. */
export function gunzip(input: Uint8Array, size: number): Uint8Array {
  const out = inflate(input, new Uint8Array(size))
  if (input[0] !== 31 || input[1] !== 139 || input.length < 18) return out
  const trailer = new DataView(input.buffer, input.byteOffset + input.length - 8, 8)
  const last = trailer.getUint32(4, true)
  if (last > size) throw wrongSize('gzip', last, size)
  if (crc32(out.subarray(size - last)) !== trailer.getUint32(0, true))
    throw new Error('gzip data does not match its checksum')
  return out
}

export const unbrotli = (input: Uint8Array, size: number): Uint8Array => decompressBrotli(input, size)

/** What gzip'd bytes hold, piece by piece; ends in an error where they are damaged or cut short, or where a second member follows. */
export const gunzipStream = (bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> =>
  through(bytes, new DecompressionStream('gzip'))

/** Bytes as gzip has them, piece by piece. */
export const gzipStream = (bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> =>
  through(bytes, new CompressionStream('gzip'))

async function* through(
  bytes: AsyncIterable<Uint8Array>,
  { readable, writable }: CompressionStream | DecompressionStream,
): AsyncGenerator<Uint8Array> {
  const writer = writable.getWriter()
  const written = (async () => {
    try {
      for await (const piece of bytes) await writer.write(piece as Uint8Array<ArrayBuffer>)
      await writer.close()
    } catch (error) {
      await writer.abort(error)
      throw error
    }
  })()
  // What went wrong is told by the reader's end; here it only must not be an unhandled rejection.
  written.catch(() => {})
  const reader = readable.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
    await written
  } finally {
    await reader.cancel()
  }
}
