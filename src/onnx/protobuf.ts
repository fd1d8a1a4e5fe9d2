// As much of Protocol Buffers' encoding as a model file takes: https://protobuf.dev/programming-guides/encoding

/** Bytes that are drawn when the file is written, a piece at a time: a tensor's. */
export interface Later {
  readonly size: number
  bytes(): AsyncIterable<Uint8Array>
}

/** A part of a message. */
export type Piece = Uint8Array | Later

const VARINT = 0
const LENGTH = 2
const FIXED32 = 5

export const sizeOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, piece) => sum + (piece instanceof Uint8Array ? piece.length : piece.size), 0)

/** Seven bits a byte, the lowest first; below zero as 64 bits of two's complement. */
function varint(value: number | bigint): number[] {
  const bytes: number[] = []
  let left = BigInt.asUintN(64, BigInt(value))
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80)
  return [...bytes, Number(left)]
}

const key = (field: number, wire: number) => varint((field << 3) | wire)

/** An integer or an enumeration's value. */
export const int = (field: number, value: number | bigint): Piece =>
  Uint8Array.from([...key(field, VARINT), ...varint(value)])

/** A float32. */
export const float = (field: number, value: number): Piece =>
  Uint8Array.from([...key(field, FIXED32), ...new Uint8Array(Float32Array.of(value).buffer)])

/** A message in a message, or bytes. */
export const nested = (field: number, pieces: readonly Piece[]): Piece[] => [
  Uint8Array.from([...key(field, LENGTH), ...varint(sizeOf(pieces))]),
  ...pieces,
]

/** A string as UTF-8. */
export const text = (field: number, value: string): Piece[] =>
  nested(field, [new TextEncoder().encode(value)])
