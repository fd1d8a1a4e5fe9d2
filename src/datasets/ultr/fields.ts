// Values out of bytes, without a string on the way: a file has some 30 of them a line, and 100,000 lines a second are to be read.
import { DataError } from '../../errors.ts'

const ZERO = 48
const NINE = 57
const POINT = 46
const MINUS = 45
const SEPARATOR = 1
/** Digits that a double holds whatever they are. */
const EXACT_DIGITS = 15

/** Token ids joined by \x01; nothing between the ends is no token. Undefined for anything else. */
export function readTokens(bytes: Uint8Array, start: number, end: number): number[] | undefined {
  const tokens: number[] = []
  if (start === end) return tokens
  let value = 0
  let digits = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte >= ZERO && byte <= NINE) {
      value = value * 10 + byte - ZERO
      if (++digits > 9) return undefined
    } else if (byte === SEPARATOR && digits > 0) {
      tokens.push(value)
      value = digits = 0
    } else return undefined
  }
  if (digits === 0) return undefined
  tokens.push(value)
  return tokens
}

/** A whole number of at most nine digits; -1 for anything else. */
export function readWhole(bytes: Uint8Array, start: number, end: number): number {
  if (start === end || end - start > 9) return -1
  let value = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte < ZERO || byte > NINE) return -1
    value = value * 10 + byte - ZERO
  }
  return value
}

/** A finite number, as 12, -0.5 or 1e-05; NaN for anything else. */
export function readNumber(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  let digits = 0
  let scale = 1
  let seen = false
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte >= ZERO && byte <= NINE) {
      value = value * 10 + byte - ZERO
      digits++
      if (seen) scale *= 10
    } else if (byte === POINT && !seen && digits > 0) seen = true
    else return slowNumber(bytes, start, end)
  }
  // Whole numbers below 2^53 over a power of ten that is exact: the quotient is the nearest double.
  if (digits > 0 && digits <= EXACT_DIGITS && bytes[end - 1] !== POINT) return value / scale
  return slowNumber(bytes, start, end)
}

function slowNumber(bytes: Uint8Array, start: number, end: number): number {
  const text = textOf(bytes, start, end)
  return /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text))
    ? Number(text)
    : Number.NaN
}

/** Whether a field is a dash, which stands for no value. */
export const isDash = (bytes: Uint8Array, start: number, end: number): boolean =>
  end - start === 1 && bytes[start] === MINUS

const decoder = new TextDecoder()

export const textOf = (bytes: Uint8Array, start: number, end: number): string =>
  decoder.decode(bytes.subarray(start, end))

/** The bytes of a text in a message: not too long, and without what a terminal would act on. */
export function shownField(bytes: Uint8Array, start: number, end: number): string {
  const text = textOf(bytes, start, Math.min(end, start + 400))
  const cut = text.length > 60 || end - start > 400 ? `${text.slice(0, 57)}...` : text
  return `'${cut.replace(/\p{Cc}/gu, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`
}

/** Where a value stands. */
export interface FieldPlace {
  path: string
  line: number
  /** As in `column 5 (click)`. */
  column: string
}

export function refuseField(
  { path, line, column }: FieldPlace,
  [bytes, start, end]: [Uint8Array, number, number],
  expected: string,
): never {
  throw new DataError(
    `${path}: line ${line}, ${column}: value ${shownField(bytes, start, end)}, expected ${expected}`,
  )
}
