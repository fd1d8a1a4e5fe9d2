/**
 * The values of a page: every encoding, then what the bytes mean. hyparquet decodes; it trusts the lengths in the data, so these are
 * held against the page first.
 */

import { parseFloat16 } from 'hyparquet/src/convert.js'
import { byteStreamSplit } from 'hyparquet/src/encoding.js'
import { readPlain } from 'hyparquet/src/plain.js'
import type { DataReader, DecodedArray, ParquetType } from 'hyparquet/src/types.js'
import { readDeltas } from './deltas.ts'
import type { Leaf, Meaning } from './leaf.ts'
import { readHybrid } from './levels.ts'
import { utf8 } from './thrift.ts'

const WIDTHS: Partial<Record<ParquetType, number>> = { INT32: 4, INT64: 8, INT96: 12, FLOAT: 4, DOUBLE: 8 }

/**
 * Decodes `n` values of a page or dictionary.
 * @param body The page without its levels; it is a buffer of its own, so that nothing reads on into the next page.
 */
export function readValues(body: Uint8Array, encoding: string, n: number, leaf: Leaf): DecodedArray {
  const { type, type_length = 0 } = leaf.element
  const reader = { view: new DataView(body.buffer, body.byteOffset, body.byteLength), offset: 0 }
  const width = type === 'FIXED_LEN_BYTE_ARRAY' ? type_length : WIDTHS[type!]
  const fits = (bytes: number) => {
    if (bytes > body.length) throw new Error(`${body.length} bytes are too few for ${n} values`)
  }
  switch (encoding) {
    case 'PLAIN':
      if (type === 'BYTE_ARRAY') checkPlainTexts(reader.view, n)
      else fits(width ? n * width : n / 8)
      if (type === 'INT96') return readOldTimestamps(reader.view, n)
      return readPlain(reader, type!, n, type_length)
    case 'RLE': {
      // Booleans only. A length of 4 bytes stands before the runs in both page versions.
      if (type !== 'BOOLEAN') break
      fits(4)
      const length = reader.view.getUint32(0, true)
      fits(4 + length)
      return Array.from(readHybrid(body.subarray(4, 4 + length), 1, new Uint8Array(n)), bit => bit === 1)
    }
    case 'BYTE_STREAM_SPLIT':
      if (!width || type === 'INT96') break
      fits(n * width)
      return byteStreamSplit(reader, n, type!, type_length)
    case 'DELTA_BINARY_PACKED':
      if (type !== 'INT32' && type !== 'INT64') break
      return readDeltas(reader, n, type)
    case 'DELTA_LENGTH_BYTE_ARRAY':
      if (type !== 'BYTE_ARRAY') break
      return readLengths(reader, n)
    case 'DELTA_BYTE_ARRAY':
      if (type !== 'BYTE_ARRAY' && type !== 'FIXED_LEN_BYTE_ARRAY') break
      return readPrefixes(reader, n, type === 'BYTE_ARRAY' ? undefined : type_length)
  }
  throw new Error(`encoding ${encoding} of ${type} cannot be read`)
}

function checkPlainTexts(view: DataView, n: number): void {
  let at = 0
  for (let i = 0; i < n; i++) {
    if (at + 4 > view.byteLength) throw new Error(`it ends after ${i} of ${n} values`)
    at += 4 + view.getUint32(at, true)
    if (at > view.byteLength) throw new Error(`value ${i} of ${n} ends past its page`)
  }
}

/** INT96: nanoseconds of the day, then the Julian day; as microseconds from 1970, rounded down. */
function readOldTimestamps(view: DataView, n: number): bigint[] {
  return Array.from({ length: n }, (_, i) => {
    const nanos = view.getBigInt64(12 * i, true)
    const micros = (nanos - (((nanos % 1000n) + 1000n) % 1000n)) / 1000n
    return BigInt(view.getInt32(12 * i + 8, true) - 2_440_588) * 86_400_000_000n + micros
  })
}

function readLengths(reader: DataReader, n: number): Uint8Array[] {
  const lengths = readDeltas(reader, n, 'INT32')
  const { buffer, byteOffset, byteLength } = reader.view
  const out: Uint8Array[] = []
  for (const length of lengths) {
    if (length < 0 || length > byteLength - reader.offset)
      throw new Error(`value ${out.length} of ${n} ends past its page`)
    out.push(new Uint8Array(buffer, byteOffset + reader.offset, length))
    reader.offset += length
  }
  return out
}

/** Texts that share their start with the one before may be far larger than their page; not without end. */
const LARGEST_EXPANSION = 2 ** 28

function readPrefixes(reader: DataReader, n: number, fixed?: number): Uint8Array[] {
  const prefixes = readDeltas(reader, n, 'INT32')
  const suffixes = readLengths(reader, n)
  let last = new Uint8Array(0)
  let total = 0
  return suffixes.map((suffix, i) => {
    const shared = prefixes[i]!
    if (shared < 0 || shared > last.length)
      throw new Error(`value ${i} of ${n} shares ${shared} bytes with one of ${last.length}`)
    total += shared + suffix.length
    if (total > LARGEST_EXPANSION && total > 1024 * reader.view.byteLength)
      throw new Error(`${reader.view.byteLength} bytes claim to hold more than ${total}`)
    if (fixed !== undefined && shared + suffix.length !== fixed)
      throw new Error(`value ${i} of ${n} has ${shared + suffix.length} bytes, ${fixed} are expected`)
    const value = new Uint8Array(shared + suffix.length)
    value.set(last.subarray(0, shared))
    value.set(suffix, shared)
    last = value
    return value
  })
}

/** How many of a unit are a millisecond. */
const UNITS = { MILLIS: 1n, MICROS: 1000n, NANOS: 1_000_000n }

/** Rounded down, also before 1970. */
const milliseconds = (value: bigint, unit: bigint) =>
  Number((value - (((value % unit) + unit) % unit)) / unit)

/** Turns what stands in the file into what it means: texts, numbers, dates. */
export function convert(data: DecodedArray, meaning: Meaning): DecodedArray {
  const each = <T>(make: (value: never) => T): T[] => Array.from(data as unknown as ArrayLike<never>, make)
  switch (meaning.type) {
    case 'TEXT':
    case 'JSON':
      return each((bytes: Uint8Array) => decodeText(bytes))
    case 'DECIMAL':
      return each((value: Uint8Array | number | bigint) => decimal(value, meaning.scale))
    case 'INTEGER':
      return integers(data, meaning)
    case 'FLOAT16':
      return each((bytes: Uint8Array) => parseFloat16(bytes)!)
    case 'UUID':
      return each((bytes: Uint8Array) =>
        Array.from(bytes, byte => byte.toString(16).padStart(2, '0'))
          .join('')
          .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
      )
    case 'DATE':
      return each((days: number) => date(days * 86_400_000))
    case 'TIMESTAMP':
      return each((value: bigint) => date(milliseconds(value, UNITS[meaning.unit])))
    case 'INT96':
      return each((value: bigint) => date(milliseconds(value, UNITS.MICROS)))
    case 'UNREADABLE':
      throw new Error('intervals cannot be read')
    default:
      return data
  }
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    const shown = Array.from(bytes.subarray(0, 16), byte => byte.toString(16).padStart(2, '0')).join(' ')
    throw new Error(`a value is no UTF-8 text: ${shown}${bytes.length > 16 ? ' …' : ''}`)
  }
}

function date(milliseconds: number): Date {
  const made = new Date(milliseconds)
  if (Number.isNaN(made.getTime())) throw new Error(`no date is ${milliseconds} ms from 1970`)
  return made
}

/** The number nearest to the decimal one. */
function decimal(value: Uint8Array | number | bigint, scale: number): number {
  const whole = value instanceof Uint8Array ? bigEndian(value) : value
  // One division of exact numbers is rounded once; all else goes through the decimal digits.
  const exact = Number.isSafeInteger(Number(whole)) && scale <= 22
  return exact ? Number(whole) / Number(`1e${scale}`) : Number(`${whole}e-${scale}`)
}

function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return BigInt.asIntN(8 * bytes.length, value)
}

function integers(data: DecodedArray, { bits, signed }: { bits: number; signed: boolean }): DecodedArray {
  if (data instanceof BigInt64Array)
    return signed ? data : new BigUint64Array(data.buffer, data.byteOffset, data.length)
  const values = data as Int32Array
  // Of nothing, a decoder makes a plain array.
  if (bits === 32)
    return signed || !values.length
      ? values
      : new Uint32Array(values.buffer, values.byteOffset, values.length)
  const least = signed ? -(2 ** (bits - 1)) : 0
  for (const value of values)
    if (value < least || value >= least + 2 ** bits)
      throw new Error(`value ${value} is no ${signed ? '' : 'unsigned '}integer of ${bits} bits`)
  return data
}
