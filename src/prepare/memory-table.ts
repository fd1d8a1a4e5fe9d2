// A table in memory: of each column the different values, and which of them each row has. Learning asks it what it asks a database.
import type { Which, Work } from './columns.ts'
import type { RawTable } from './formats.ts'
import { md5Lower } from './md5.ts'
import type { Group } from './observe.ts'

/** A column's different values, in the order they came, and which of them each row has. */
export interface CodedColumn {
  values: unknown[]
  codes: Uint32Array
}

/** A table as learning in memory takes it. */
export interface MemoryTable extends RawTable {
  /** What it is called in messages. */
  name: string
  /** The columns that have one value a row, by name. */
  coded: ReadonlyMap<string, CodedColumn>
}

// A map takes both zeros for one; as a value that is written, they are two.
const NEGATIVE_ZERO = Symbol('-0')

/** Gathers a column, value by value. */
export interface Coder {
  push(value: unknown): void
  /** Values so far. */
  readonly length: number
  column(): CodedColumn
}

/** A column without values yet. */
export function coder(): Coder {
  const known = new Map<unknown, number>()
  const values: unknown[] = []
  let codes = new Uint32Array(1024)
  let length = 0
  return {
    push(value) {
      const key = Object.is(value, -0) ? NEGATIVE_ZERO : value
      let code = known.get(key)
      if (code === undefined) {
        code = values.push(value) - 1
        known.set(key, code)
      }
      if (length === codes.length) {
        const longer = new Uint32Array(2 * length)
        longer.set(codes)
        codes = longer
      }
      codes[length++] = code
    },
    get length() {
      return length
    },
    column: () => ({ values, codes: codes.slice(0, length) }),
  }
}

/** Values of a column at some rows. */
export const valuesAt = ({ values, codes }: CodedColumn, rows: Uint32Array): unknown[] =>
  Array.from(rows, row => values[codes[row]!])

/** As a database has texts: by their bytes in UTF-8, which is by code point. */
export function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x === y) continue
    // Halves of a pair stand for what is above all others.
    const rank = (unit: number) => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)
    return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** As a database orders a column: no value last, NaN above all numbers. */
function byValue(a: unknown, b: unknown): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  if (typeof a === 'string' && typeof b === 'string') return byCodePoint(a, b)
  const [m, n] = [a as number, b as number]
  if (Number.isNaN(m) || Number.isNaN(n)) return Number(Number.isNaN(m)) - Number(Number.isNaN(n))
  return m < n ? -1 : m > n ? 1 : 0
}

/** Groups as learning asks for them. */
export function groupsIn(
  { coded, rows }: MemoryTable,
  test: Uint8Array,
  /** The class of each row, and how many there are. */
  told: { classes: Uint32Array; count: number } | undefined,
): Work['groups'] {
  const orders = new Map<string, Uint32Array>()
  return async function* (name: string, which: Which, { byClass } = { byClass: false }) {
    const { values, codes } = coded.get(name)!
    const count = new Uint32Array(values.length)
    const first = new Uint32Array(values.length)
    const classes = byClass ? told!.count : 0
    const ofClass = new Uint32Array(values.length * classes)
    for (let row = 0; row < rows; row++) {
      if (which === 'training' && test[row]) continue
      const code = codes[row]!
      if (count[code]!++ === 0) first[code] = row
      if (classes) ofClass[code * classes + told!.classes[row]!]!++
    }
    const order =
      orders.get(name) ?? Uint32Array.from(values.keys()).sort((a, b) => byValue(values[a], values[b]))
    orders.set(name, order)
    let held: Group | undefined
    for (const code of order) {
      if (!count[code]) continue
      const of = [...ofClass.subarray(code * classes, (code + 1) * classes)]
      const group = { value: values[code], count: count[code]!, row: first[code]!, classes: of }
      // Both zeros are one value.
      if (held && held.value === 0 && group.value === 0)
        held = {
          value: 0,
          count: held.count + group.count,
          row: Math.min(held.row, group.row),
          classes: of.map((n, c) => n + held!.classes[c]!),
        }
      else {
        if (held) yield held
        held = group
      }
    }
    if (held) yield held
  }
}

/** Which rows are the test, drawn as a database draws them: 1 for those that are. */
export function drawTest(rows: number, seed: number, share: number): Uint8Array {
  const test = new Uint8Array(rows)
  if (share === 0) return test
  const halves = new Uint32Array(2 * rows)
  for (let row = 0; row < rows; row++) halves.set(md5Lower(`${seed}:${row}`), 2 * row)
  const hashes = new BigUint64Array(halves.buffer)
  const last = hashes.slice().sort()[Math.min(Math.max(Math.round(rows * share), 1), rows - 1) - 1]!
  for (let row = 0; row < rows; row++) test[row] = Number(hashes[row]! <= last)
  return test
}
