/**
 * Turns decoded pages into compact typed arrays and checks every value on the way, so that nothing out of range
 * reaches the GPU, where an id past its table would silently read another row.
 */
import type { DecodedArray } from 'hyparquet/src/types.js'
import { DataError } from '../errors.ts'
import type { Leaf } from './leaf.ts'
import type { Page } from './pages.ts'

/** Lists of ids, one per row: row r owns values[offsets[r]] … values[offsets[r + 1] - 1]. */
export interface TokenLists {
  /** The tokens of all rows, one row after another. */
  values: Uint32Array
  /** Length rows + 1. */
  offsets: Uint32Array
}

/** What a column must hold, and where it stands, for the messages. */
export interface ColumnSpec {
  file: string
  leaf: Leaf
  /** 0-based row of the file that the first page starts at. */
  rowStart: number
  /** Rows that the pages must hold together. */
  rows: number
}

const FLOAT32_MAX = 3.4028234663852886e38

/** One whole number per row, from 0 to limit - 1: labels and categories. Floats such as 2.0 and booleans count. */
export function idColumn(pages: Page[], spec: ColumnSpec, limit: number): Uint32Array {
  const expected = `expected ${range(limit)}`
  expectKind(spec, false)
  const out = new Uint32Array(spec.rows)
  eachNumber(pages, spec, expected, (value, row) => {
    if (!(value >= 0 && value < limit && Math.floor(value) === value)) return false
    out[row] = value
    return true
  })
  return out
}

/** One finite number per row, rounded to float32; none is below `least`; with `missing` also NaN, which nulls are read as. */
export function floatColumn(pages: Page[], spec: ColumnSpec, least?: number, missing = false): Float32Array {
  expectKind(spec, false)
  const out = new Float32Array(spec.rows)
  if (missing) out.fill(Number.NaN)
  const take = (value: number, row: number) => {
    if (!isFloat(value, least, missing)) return false
    out[row] = value
    return true
  }
  eachNumber(pages, spec, `expected ${floatRange(least, missing)}`, take, missing)
  return out
}

/** One text per row. */
export function textColumn(pages: Page[], spec: ColumnSpec): string[] {
  const { leaf } = spec
  if (leaf.list || leaf.kind !== 'text') throw wrongKind(spec, 'text is expected')
  const out: string[] = []
  for (const { count, values, indexes, definition } of pages) {
    if (definition)
      fail(spec, out.length + definition.findIndex(d => d < leaf.maxDefinition), 'null, expected text')
    for (let i = 0; i < count; i++) {
      const value: unknown = values[indexes ? indexes[i]! : i]
      if (typeof value !== 'string') fail(spec, out.length, `value ${show(value)}, expected text`)
      out.push(value as string)
    }
  }
  expectRows(spec, out.length)
  return out
}

/** A list of whole numbers per row, each from 0 to limit - 1. Empty lists are fine, null is not. */
export function listColumn(pages: Page[], spec: ColumnSpec, limit: number): TokenLists {
  const { leaf, rows } = spec
  const expected = `expected ${range(limit)}`
  expectKind(spec, true)
  const offsets = new Uint32Array(rows + 1)
  const parts: Uint32Array[] = []
  const numbers = numberCache()
  let row = -1
  let total = 0
  for (const { count, values, indexes, definition, repetition } of pages) {
    const source = numbers(values)
    const part = new Uint32Array(indexes?.length ?? (definition ? count : values.length))
    let n = 0
    for (let i = 0; i < count; i++) {
      if (repetition![i] === 0) {
        if (++row >= rows) expectRows(spec, row + 1)
        offsets[row] = total + n
      } else if (row < 0) {
        throw new DataError(`${where(spec)} starts in the middle of a list`)
      }
      const level = definition ? definition[i]! : leaf.maxDefinition
      if (level === leaf.maxDefinition) {
        const at = indexes ? indexes[n]! : n
        const value = source[at]!
        if (!(value >= 0 && value < limit && Math.floor(value) === value))
          fail(spec, row, `value ${show(values[at])}, ${expected}`)
        part[n++] = value
      } else if (level >= leaf.elementDefinition) {
        fail(spec, row, `null element, ${expected}`)
      } else if (level < leaf.elementDefinition - 1) {
        fail(spec, row, 'null, expected a list')
      }
    }
    parts.push(part.subarray(0, n))
    total += n
  }
  expectRows(spec, row + 1)
  offsets[rows] = total
  return { values: concatIds(parts), offsets }
}

/** One array after the other. */
function concatIds(parts: Uint32Array[]): Uint32Array {
  if (parts.length === 1) return parts[0]!
  const out = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** Whether a value is a finite float32 number, and not below `least`; or NaN, where it may be missing. */
export const isFloat = (value: unknown, least = -FLOAT32_MAX, missing = false): boolean =>
  typeof value === 'number' &&
  ((Math.abs(value) <= FLOAT32_MAX && value >= least) || (missing && Number.isNaN(value)))

/** The same in words. */
export const floatRange = (least?: number, missing = false): string =>
  `a finite float32 number${least === undefined ? '' : ` of at least ${least}`}${missing ? ', or none' : ''}`

/** In words, the whole numbers below `limit`. */
export function range(limit: number): string {
  return limit >= 2 ** 32 ? 'an integer from 0 to 4294967295' : `0 to ${limit - 1}`
}

/** Calls `take` for every row; it returns false for a value it refuses. Nulls are refused, or passed over where they may be. */
function eachNumber(
  pages: Page[],
  spec: ColumnSpec,
  expected: string,
  take: (value: number, row: number) => boolean,
  nulls = false,
) {
  const numbers = numberCache()
  let row = 0
  for (const { count, values, indexes, definition } of pages) {
    if (row + count > spec.rows) expectRows(spec, row + count)
    const source = numbers(values)
    if (definition && nulls) {
      for (let i = 0, n = 0; i < count; i++) {
        if (definition[i]! < spec.leaf.maxDefinition) continue
        const at = indexes ? indexes[n]! : n
        if (!take(source[at]!, row + i)) fail(spec, row + i, `value ${show(values[at])}, ${expected}`)
        n++
      }
      row += count
      continue
    }
    // Values before the null are reported first: the first fault in row order is the one named.
    const end = definition ? definition.findIndex(level => level < spec.leaf.maxDefinition) : count
    for (let i = 0; i < end; i++) {
      const at = indexes ? indexes[i]! : i
      if (!take(source[at]!, row + i)) fail(spec, row + i, `value ${show(values[at])}, ${expected}`)
    }
    if (definition) fail(spec, row + end, `null, ${expected}`)
    row += count
  }
  expectRows(spec, row)
}

/** Converts value arrays to float64, a shared dictionary only once. */
function numberCache(): (values: DecodedArray) => ArrayLike<number> {
  let last: DecodedArray | undefined
  let numbers: ArrayLike<number> = []
  return values => {
    if (values !== last) {
      last = values
      numbers = toNumbers(values)
    }
    return numbers
  }
}

/**
 * 64-bit integers come as pairs of halves rather than as BigInts, which would be one heap object each. Past 2^53 the
 * result is rounded, yet still past every vocabulary: the message shows the original.
 */
function toNumbers(values: DecodedArray): ArrayLike<number> {
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    const low = new Uint32Array(values.buffer, values.byteOffset, values.length * 2)
    const high =
      values instanceof BigInt64Array
        ? new Int32Array(values.buffer, values.byteOffset, values.length * 2)
        : low
    const out = new Float64Array(values.length)
    for (let i = 0; i < out.length; i++) out[i] = high[2 * i + 1]! * 2 ** 32 + low[2 * i]!
    return out
  }
  if (!Array.isArray(values)) return values
  return Float64Array.from(values, value =>
    typeof value === 'bigint' || typeof value === 'boolean' || typeof value === 'number'
      ? Number(value)
      : Number.NaN,
  )
}

function expectKind(spec: ColumnSpec, list: boolean) {
  const expected = list ? 'a list of integers is expected' : 'a number is expected'
  if (spec.leaf.kind !== 'number' || spec.leaf.list !== list) throw wrongKind(spec, expected)
}

function wrongKind(spec: ColumnSpec, expected: string) {
  return new DataError(`${where(spec)} is ${spec.leaf.description}, ${expected}`)
}

function expectRows(spec: ColumnSpec, rows: number) {
  if (rows !== spec.rows)
    throw new DataError(`${where(spec)} has ${rows} rows from row ${spec.rowStart} on, expected ${spec.rows}`)
}

function fail(spec: ColumnSpec, row: number, what: string): never {
  throw new DataError(`${where(spec)}, row ${spec.rowStart + row}: ${what}`)
}

function where(spec: ColumnSpec) {
  return `${spec.file}: column ${spec.leaf.name}`
}

function show(value: unknown) {
  if (value === undefined) return 'outside its dictionary'
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}
