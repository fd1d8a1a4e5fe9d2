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
