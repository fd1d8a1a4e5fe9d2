/** The checksum of `bytes`, from 0 to 2^32 - 1. */
type Checksum = (bytes: Uint8Array) => number

/** Of a polynomial, reflected. */
function checksumOf(polynomial: number): Checksum {
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    let value = n
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? polynomial ^ (value >>> 1) : value >>> 1
    return value
  })
  return bytes => {
    let crc = -1
    for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8)
    return ~crc >>> 0
  }
}

/** CRC-32 as gzip and Parquet pages carry it; Node has one built in from 22 on only. */
export const crc32 = checksumOf(0xedb88320)
/** CRC-32C (Castagnoli) as TensorBoard's records carry it. */
export const crc32c = checksumOf(0x82f63b78)
