/** Any struct of Thrift's compact protocol as a tree that can be changed and written again: independent of the reader under test. */

type Scalar = boolean | bigint | number | Uint8Array
export type Value = Scalar | Field[] | List
export interface Field {
  id: number
  type: number
  value: Value
}
export interface List {
  element: number
  items: Value[]
}

export const TYPES = {
  TRUE: 1,
  FALSE: 2,
  BYTE: 3,
  I16: 4,
  I32: 5,
  I64: 6,
  DOUBLE: 7,
  BINARY: 8,
  LIST: 9,
  SET: 10,
  MAP: 11,
  STRUCT: 12,
}
const { TRUE, FALSE, BYTE, I64, DOUBLE, BINARY, LIST, SET, STRUCT } = TYPES

export const isList = (value: Value): value is List => typeof value === 'object' && 'items' in value
export const isStruct = (value: Value): value is Field[] => Array.isArray(value)

/** Reads the struct at `at`; maps do not occur. */
export function parseStruct(bytes: Uint8Array, at = 0): { fields: Field[]; end: number } {
  const byte = () => {
    if (at >= bytes.length) throw new Error('thrift ends early')
    return bytes[at++]!
  }
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const bits = byte()
      value |= BigInt(bits & 127) << shift
      if (bits < 128) return value
    }
  }
  const zigzag = () => {
    const value = varint()
    return (value >> 1n) ^ -(value & 1n)
  }
  const value = (type: number): Value => {
    if (type === TRUE || type === FALSE) return type === TRUE
    if (type === BYTE) return BigInt((byte() << 24) >> 24)
    if (type > BYTE && type <= I64) return zigzag()
    if (type === DOUBLE) {
      at += 8
      return new DataView(bytes.buffer, bytes.byteOffset + at - 8, 8).getFloat64(0, true)
    }
    if (type === BINARY) {
      const length = Number(varint())
      at += length
      return bytes.slice(at - length, at)
    }
    if (type === LIST || type === SET) {
      const head = byte()
      const size = head >> 4 === 15 ? Number(varint()) : head >> 4
      const element = head & 15
      return {
        element,
        items: Array.from({ length: size }, () => (element <= FALSE ? byte() === 1 : value(element))),
      }
    }
    if (type === STRUCT) return struct()
    throw new Error(`thrift type ${type}`)
  }
  const struct = (): Field[] => {
    const fields: Field[] = []
    let id = 0
    for (;;) {
      const head = byte()
      const type = head & 15
      if (type === 0) return fields
      id = head >> 4 ? id + (head >> 4) : Number(zigzag())
      fields.push({ id, type, value: value(type) })
    }
  }
  const fields = struct()
  return { fields, end: at }
}

/** How a struct is written; readers must not care. */
export interface Spelling {
  /** Field numbers in full instead of steps. */
  longIds?: boolean
  /** Sizes of lists in full. */
  longLists?: boolean
  /** Numbers with a zero digit too many. */
  padded?: boolean
}

export function writeStruct(fields: Field[], spelling: Spelling = {}): Uint8Array<ArrayBuffer> {
  const out: number[] = []
  const varint = (value: bigint, pad = false) => {
    let rest = value
    while (rest > 127n) {
      out.push(Number(rest & 127n) | 128)
      rest >>= 7n
    }
    if (pad) out.push(Number(rest) | 128, 0)
    else out.push(Number(rest))
  }
  const zigzag = (value: bigint, pad = false) =>
    varint(value < 0n ? (-value << 1n) - 1n : value << 1n, pad && value >= 0n && value < 1n << 20n)
  const write = (type: number, value: Value) => {
    if (isStruct(value)) struct(value)
    else if (isList(value)) {
      const { element, items } = value
      if (items.length < 15 && !spelling.longLists) out.push((items.length << 4) | element)
      else {
        out.push(0xf0 | element)
        varint(BigInt(items.length), spelling.padded)
      }
      for (const item of items) {
        if (element <= FALSE) out.push(item ? 1 : 2)
        else write(element, item)
      }
    } else if (value instanceof Uint8Array) {
      varint(BigInt(value.length), spelling.padded)
      for (const byte of value) out.push(byte)
    } else if (type === BYTE) out.push(Number(value) & 255)
    else if (typeof value === 'bigint') zigzag(value, spelling.padded)
    else if (typeof value === 'number') out.push(...new Uint8Array(Float64Array.of(value).buffer))
  }
  const struct = (inner: Field[]) => {
    let last = 0
    for (const { id, type, value } of inner) {
      const shown = type === TRUE || type === FALSE ? (value === true ? TRUE : FALSE) : type
      const step = id - last
      if (step > 0 && step < 16 && !spelling.longIds) out.push((step << 4) | shown)
      else {
        out.push(shown)
        zigzag(BigInt(id), spelling.padded)
      }
      last = id
      if (shown > FALSE) write(type, value)
    }
    out.push(0)
  }
  struct(fields)
  return Uint8Array.from(out)
}

export const field = (fields: Field[], id: number): Field | undefined => fields.find(f => f.id === id)
export const int = (fields: Field[], id: number): number => Number(field(fields, id)?.value ?? 0)
export const struct = (fields: Field[], id: number): Field[] | undefined =>
  field(fields, id)?.value as Field[] | undefined
export const items = (fields: Field[], id: number): Field[][] =>
  ((field(fields, id)?.value as List | undefined)?.items ?? []) as Field[][]

/** Sets a number, adding the field where it is missing. */
export function setInt(fields: Field[], id: number, value: number | bigint, type = TYPES.I32): void {
  const found = field(fields, id)
  if (found) found.value = BigInt(value)
  else {
    fields.push({ id, type, value: BigInt(value) })
    fields.sort((a, b) => a.id - b.id)
  }
}

export function drop(fields: Field[], ...ids: number[]): void {
  for (const id of ids) {
    const at = fields.findIndex(f => f.id === id)
    if (at >= 0) fields.splice(at, 1)
  }
}

/** Every struct of a tree with the names of the fields that lead to it. */
export function* structsOf(
  fields: Field[],
  path: number[] = [],
): Generator<{ fields: Field[]; path: number[] }> {
  yield { fields, path }
  for (const { id, value } of fields) {
    if (isStruct(value)) yield* structsOf(value, [...path, id])
    else if (isList(value))
      for (const item of value.items) if (isStruct(item)) yield* structsOf(item, [...path, id])
  }
}
