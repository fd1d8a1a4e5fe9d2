/**
 * Delta-encoded integers. hyparquet decodes them and trusts what stands in the data: block sizes that step backwards, widths and
 * first values of more bits than it keeps. So the blocks are walked first: one look per block, none per value.
 * Format: https://parquet.apache.org/docs/file-format/data-pages/encodings/#delta-encoding-delta_binary_packed--5
 */

import { deltaBinaryUnpack } from 'hyparquet/src/delta.js'
import type { DataReader } from 'hyparquet/src/types.js'

/**
 * Decodes `n` integers; the reader then stands behind the last that is used.
 * @throws Error where the blocks have sizes that the format does not allow, or end early.
 */
export function readDeltas(reader: DataReader, n: number, type: 'INT32'): Int32Array<ArrayBuffer>
export function readDeltas(
  reader: DataReader,
  n: number,
  type: 'INT32' | 'INT64',
): Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>
export function readDeltas(
  reader: DataReader,
  n: number,
  type: 'INT32' | 'INT64',
): Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> {
  const { end, wide } = walk(reader, n)
  let out: Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>
  if (type === 'INT32' && !wide) {
    out = new Int32Array(n)
    deltaBinaryUnpack(reader, n, out)
  } else {
    const whole = new BigInt64Array(n)
    deltaBinaryUnpack(reader, n, whole)
    // Sums of 32-bit integers wrap; some writers reckon them, and unsigned ones, in 64.
    out = type === 'INT64' ? whole : Int32Array.from(whole, value => Number(BigInt.asIntN(32, value)))
  }
  reader.offset = end
  return out
}

/** Where the blocks of `n` integers end, and whether a number among them needs more than 32 bits. */
function walk({ view, offset }: DataReader, n: number): { end: number; wide: boolean } {
  let at = offset
  const byte = () => {
    if (at >= view.byteLength) throw new Error(`its deltas end before ${n} values`)
    return view.getUint8(at++)
  }
  const number = () => {
    let value = 0
    for (let i = 0; i < 10; i++) {
      const bits = byte()
      value += (bits & 127) * 2 ** (7 * i)
      if (bits < 128) return value
    }
    throw new Error('a number among its deltas has too many digits')
  }
  const [block, parts, total] = [number(), number(), number()]
  if (!(block > 0 && block % 128 === 0 && parts > 0 && block % parts === 0 && (block / parts) % 32 === 0))
    throw new Error(`its deltas stand in blocks of ${block} with ${parts} parts`)
  if (total !== n) throw new Error(`its deltas make ${total} values, ${n} are expected`)
  let wide = number() >= 2 ** 32
  for (let left = n - 1; left > 0; ) {
    if (number() >= 2 ** 32) wide = true
    const widths = at
    at += parts
    if (at > view.byteLength) throw new Error(`its deltas end before ${n} values`)
    for (let part = 0; part < parts && left > 0; part++) {
      const width = view.getUint8(widths + part)
      if (width > 64) throw new Error(`its deltas have ${width} bits`)
      // The last part is whole as well, whatever of it is used.
      at += (width * (block / parts)) / 8
      left -= block / parts
      if (at > view.byteLength) throw new Error(`its deltas end before ${n} values`)
    }
  }
  return { end: at, wide }
}
