/**
 * Thrift's compact protocol, as Parquet's footer and page headers use it. A table says which fields of a struct are wanted and what
 * they hold; all others are skipped. hyparquet has a reader too, which trusts every length: a damaged varint there can take minutes,
 * or end as a TypeError far from its cause.
 * Format: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 */

/** What a field holds: i64 arrive as bigint, text as string, an enumeration as one of its names. */
type Kind = 'bool' | 'i32' | 'i64' | 'text' | { one: readonly string[] } | { list: Kind } | Struct

/** Fields by their number: name, kind, and whether the struct makes no sense without it. */
export type Struct = { readonly [id: number]: readonly [name: string, kind: Kind, required?: 'required'] }

/** Bytes and the place reached in them. */
export interface Cursor {
  bytes: Uint8Array
  at: number
}

const STOP = 0
const TRUE = 1
const FALSE = 2
const BYTE = 3
const I64 = 6
const DOUBLE = 7
const BINARY = 8
const LIST = 9
const SET = 10
const MAP = 11
const STRUCT = 12
const UUID = 13

/** Parquet nests nothing deeper than ten; unknown fields may, but not without end. */
const DEEPEST = 40

export const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a struct; the cursor then stands behind it.
 * @throws Error naming the field, where the bytes are no such struct.
 */
export function readStruct(cursor: Cursor, struct: Struct, depth = 0): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [id, type] of fieldsOf(cursor, depth)) {
    const field = struct[id]
    if (!field) {
      skip(cursor, type, depth)
      continue
    }
    const [name, kind] = field
    if (name in out) throw new Error(`${name} stands twice`)
    out[name] = readValue(cursor, type, kind, name, depth)
  }
  for (const [name, , required] of Object.values(struct))
    if (required && !(name in out)) throw new Error(`${name} is missing`)
  return out
}

/** Number and wire type of each field; the caller reads or skips its value before it asks for the next. */
function* fieldsOf(cursor: Cursor, depth: number): Generator<[id: number, type: number]> {
  if (depth > DEEPEST) throw new Error('structs are nested without end')
  let id = 0
  for (;;) {
    const byte = take(cursor)
    const type = byte & 15
    if (type === STOP) return
    id = byte >> 4 ? id + (byte >> 4) : signed32(varint32(cursor))
    yield [id, type]
  }
}

function readValue(cursor: Cursor, type: number, kind: Kind, name: string, depth: number): unknown {
  const isInteger = type >= BYTE && type <= I64
  if (kind === 'bool' && (type === TRUE || type === FALSE)) return type === TRUE
  if (kind === 'i64' && isInteger)
    return type === I64 ? signed64(varint64(cursor)) : BigInt(integer(cursor, type))
  if (kind === 'i32' && isInteger) return integer(cursor, type)
  if (kind === 'text' && type === BINARY) {
    const bytes = binary(cursor)
    try {
      return utf8.decode(bytes)
    } catch {
      throw new Error(`${name} is no UTF-8 text`)
    }
  }
  if (typeof kind === 'object') {
    if ('one' in kind) {
      // fastparquet writes the first two of a kind as false and true.
      const isBoolean = type === TRUE || type === FALSE
      if (isInteger || isBoolean) {
        const value = isBoolean ? Number(type === TRUE) : integer(cursor, type)
        const found = (kind as { one: readonly string[] }).one[value]
        if (found === undefined) throw new Error(`${name} is ${value}, which stands for nothing known`)
        return found
      }
    } else if ('list' in kind) {
      if (type === LIST) {
        const [size, element] = listHead(cursor)
        const values: unknown[] = []
        for (let i = 0; i < size; i++)
          values.push(
            element === TRUE || element === FALSE
              ? readValue(
                  cursor,
                  take(cursor) === 1 ? TRUE : FALSE,
                  (kind as { list: Kind }).list,
                  name,
                  depth,
                )
              : readValue(cursor, element, (kind as { list: Kind }).list, name, depth),
          )
        return values
      }
    } else if (type === STRUCT) {
      try {
        return readStruct(cursor, kind, depth + 1)
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`)
      }
    }
  }
  throw new Error(`${name} is of another type (${type})`)
}

function skip(cursor: Cursor, type: number, depth: number): void {
  if (type === TRUE || type === FALSE) return
  if (type === BYTE) take(cursor)
  else if (type > BYTE && type <= I64) varint64(cursor)
  else if (type === DOUBLE) advance(cursor, 8)
  else if (type === BINARY) binary(cursor)
  else if (type === UUID) advance(cursor, 16)
  else if (type === STRUCT)
    for (const [, inner] of fieldsOf(cursor, depth + 1)) skip(cursor, inner, depth + 1)
  else if (type === LIST || type === SET) {
    const [size, element] = listHead(cursor)
    for (let i = 0; i < size; i++) skipElement(cursor, element, depth + 1)
  } else if (type === MAP) {
    const size = fitting(cursor, varint32(cursor))
    const types = size ? take(cursor) : 0
    for (let i = 0; i < size; i++) {
      skipElement(cursor, types >> 4, depth + 1)
      skipElement(cursor, types & 15, depth + 1)
    }
  } else throw new Error(`there is no field type ${type}`)
}

/** In a list a boolean takes a byte; as a field it stands in the field's type. */
function skipElement(cursor: Cursor, type: number, depth: number): void {
  if (depth > DEEPEST) throw new Error('lists are nested without end')
  skip(cursor, type === TRUE || type === FALSE ? BYTE : type, depth)
}

function listHead(cursor: Cursor): [size: number, element: number] {
  const byte = take(cursor)
  const size = byte >> 4 === 15 ? varint32(cursor) : byte >> 4
  return [fitting(cursor, size), byte & 15]
}

/** Every element takes a byte at least. */
function fitting(cursor: Cursor, size: number): number {
  if (size > cursor.bytes.length - cursor.at)
    throw new Error(`a list of ${size} entries in ${cursor.bytes.length - cursor.at} bytes`)
  return size
}

function binary(cursor: Cursor): Uint8Array {
  const length = varint32(cursor)
  const start = cursor.at
  advance(cursor, length)
  return cursor.bytes.subarray(start, cursor.at)
}

function advance(cursor: Cursor, length: number): void {
  if (length > cursor.bytes.length - cursor.at) throw new Error('it ends early')
  cursor.at += length
}

function take(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.at++]
  if (byte === undefined) throw new Error('it ends early')
  return byte
}

function integer(cursor: Cursor, type: number): number {
  if (type === BYTE) return (take(cursor) << 24) >> 24
  if (type !== I64) return signed32(varint32(cursor))
  const value = signed64(varint64(cursor))
  if (value !== BigInt.asIntN(32, value)) throw new Error(`${value} is no 32-bit number`)
  return Number(value)
}

const signed32 = (zigzag: number) => (zigzag >>> 1) ^ -(zigzag & 1)
const signed64 = (zigzag: bigint) => BigInt.asIntN(64, (zigzag >> 1n) ^ -(zigzag & 1n))

function varint32(cursor: Cursor): number {
  let value = 0
  for (let i = 0; i < 5; i++) {
    const byte = take(cursor)
    value += (byte & 127) * 2 ** (7 * i)
    if (byte < 128) {
      if (value >= 2 ** 32) break
      return value
    }
  }
  throw new Error('a number has too many digits')
}

function varint64(cursor: Cursor): bigint {
  let value = 0n
  for (let i = 0n; i < 10n; i++) {
    const byte = take(cursor)
    value |= BigInt(byte & 127) << (7n * i)
    if (byte < 128) {
      if (value >= 1n << 64n) break
      return value
    }
  }
  throw new Error('a number has too many digits')
}
