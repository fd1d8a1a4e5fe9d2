// A line's columns, checked: each is what the format says it holds, or the line is refused with file, line, column and value.
import { DataError } from '../../errors.ts'
import { isDash, readNumber, readTokens, readWhole, refuseField, shownField } from './fields.ts'
import { DOCUMENT_COLUMNS, PLACES } from './format.ts'
import type { Line } from './lines.ts'

/** The columns of a line, by number and name. */
export interface Row {
  path: string
  line: Line
  names: readonly string[]
}

const boundsOf = ({ bytes, from }: Line, column: number): [Uint8Array, number, number] => [
  bytes,
  from[column]!,
  from[column + 1]! - 1,
]

export function refuse(row: Row, column: number, expected: string): never {
  const { path, line, names } = row
  const place = { path, line: line.number, column: `column ${column} (${names[column]})` }
  refuseField(place, boundsOf(line, column), expected)
}

export function tokensAt(row: Row, column: number): number[] {
  return (
    readTokens(...boundsOf(row.line, column)) ??
    refuse(row, column, 'token ids of at most 9 digits joined by \\x01')
  )
}

/** A whole number from `least` to `most`. */
export function wholeAt(row: Row, column: number, least: number, most: number): number {
  const value = readWhole(...boundsOf(row.line, column))
  if (value < least || value > most) refuse(row, column, `a whole number from ${least} to ${most}`)
  return value
}

export function numberAt(row: Row, column: number): number {
  const value = readNumber(...boundsOf(row.line, column))
  if (Number.isNaN(value)) refuse(row, column, 'a number')
  return value
}

const QID_LIMIT = 2n ** 63n

export function qidAt(row: Row, column: number): bigint {
  const [bytes, start, end] = boundsOf(row.line, column)
  let text = ''
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte < 48 || byte > 57 || i - start > 18) return refuse(row, column, 'a whole number below 2^63')
    text += String.fromCharCode(byte)
  }
  const qid = text === '' ? -1n : BigInt(text)
  return qid >= 0n && qid < QID_LIMIT ? qid : refuse(row, column, 'a whole number below 2^63')
}

/** Checks the columns of a document's line that no field comes of: numbers, or a dash where there is none. */
export function checkOthers(row: Row): void {
  for (const column of OTHERS) {
    const bounds = boundsOf(row.line, column)
    if (Number.isNaN(readNumber(...bounds)) && !isDash(...bounds)) refuse(row, column, 'a number, or a dash')
  }
}

const FIELDS = ['SERP height', 'dwelling time']
const OTHERS = DOCUMENT_COLUMNS.flatMap(([name, kind], i) =>
  kind === 'number' && !FIELDS.includes(name) ? [i] : [],
)

/** @throws DataError for a line of another number of columns */
export function refuseColumns(
  { path, line: { number, bytes, from, columns } }: Row,
  expected: string,
): never {
  const end = bytes.indexOf(10, from[0])
  throw new DataError(
    `${path}: line ${number} has ${columns} tab-separated columns, expected ${expected}: ${shownField(bytes, from[0]!, end)}`,
  )
}

/** Says where a place must lie. */
export const placeAt = (row: Row, after: number): number => {
  const place = wholeAt(row, 0, 1, PLACES)
  if (place <= after)
    refuse(row, 0, `one above ${after}, the place of the line before: places rise within a session`)
  return place
}
