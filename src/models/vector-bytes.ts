// A byte a number, for vectors that end in tanh. Lu, Jiao and Zhang 2020, TwinBERT.
import { shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'

/** What float32 may make of a tanh beyond 1. */
const SLACK = 1e-6

/**
 * Numbers in [-1, 1] as bytes: u = round((v + 1) * 255 / 2), a half to the even one.
 *
 * @throws DataError naming the position of a number that is outside, or NaN
 *
 * @example
 * ```ts
 * import { bytesToVectors, vectorsToBytes } from 'kernelgrad'
 *
 * const bytes = vectorsToBytes(Float32Array.of(-0.5, 0.25)) // [64, 159]
 * const close = bytesToVectors(bytes) // at most 1 / 255 away
 * ```
 */
export function vectorsToBytes(vectors: Float32Array): Uint8Array<ArrayBuffer> {
  if (!(vectors instanceof Float32Array))
    throw new ArgumentError(`vectorsToBytes: vectors is ${shown(vectors)}, expected a Float32Array`)
  const bytes = new Uint8Array(vectors.length)
  for (let i = 0; i < vectors.length; i++) {
    const value = vectors[i]!
    if (!(Math.abs(value) <= 1 + SLACK))
      throw new DataError(
        `vectorsToBytes: number ${i} is ${value}, expected one in [-1, 1], as towers that end in tanh give; keep others in float32`,
      )
    const scaled = Math.min(Math.max((value + 1) * 127.5, 0), 255)
    const below = Math.floor(scaled)
    const over = scaled - below
    bytes[i] = below + (over > 0.5 || (over === 0.5 && below % 2 === 1) ? 1 : 0)
  }
  return bytes
}

/**
 * Bytes of {@link vectorsToBytes} as numbers: v = u * 2 / 255 - 1.
 *
 * @throws ArgumentError for what are no bytes
 */
export function bytesToVectors(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  if (!(bytes instanceof Uint8Array))
    throw new ArgumentError(`bytesToVectors: bytes is ${shown(bytes)}, expected a Uint8Array`)
  return Float32Array.from(bytes, byte => (byte * 2) / 255 - 1)
}
