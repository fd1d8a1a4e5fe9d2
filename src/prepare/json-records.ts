// Lines of NDJSON as columns of texts, numbers as DuckDB writes them.
import { DataError } from '../errors.ts'
import type { RawTableColumn } from './formats.ts'
import { nestedAt, topKeys, whyNoRow } from './json-text.ts'
import { byCodePoint, type CodedColumn, coder } from './memory-table.ts'

/** Tokens that are numbers, and those that may hold what looks like one. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** A number as the command line's database writes it: whole ones and those past float64 as they stand, others by their shortest digits. */
function numberText(digits: string): string {
  if (/^-?\d+$/.test(digits)) return digits === '-0' ? '0' : digits
  const value = Number(digits)
  if (!Number.isFinite(value)) return digits
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const [mantissa, power] = Math.abs(value).toExponential().split('e') as [string, string]
  const exponent = Number(power)
  if (exponent < -4 || exponent >= 16)
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  const plain = String(Math.abs(value))
  const fixed = plain.includes('e') ? Math.abs(value).toFixed(20).replace(/0+$/, '') : plain
  return `${sign}${fixed}${fixed.includes('.') ? '' : '.0'}`
}

/**
 * Reads lines of objects; blank ones are left out.
 * @throws DataError naming file, line and column: what is no JSON, no object, or a list where others have one value.
 */
export function readJsonLines(
  name: string,
  text: string,
): { columns: RawTableColumn[]; coded: Map<string, CodedColumn>; rows: number } {
  const all = new Map<string, { place: number; nested?: [line: number, value: string]; single: number }>()
  const coders = new Map<string, ReturnType<typeof coder>>()
  let rows = 0
  for (const [i, line] of text.split('\n').entries()) {
    if (!line.trim()) continue
    const why = whyNoRow(line)
    if (why !== undefined) throw new DataError(`${name}, line ${i + 1}${why}`)
    const row = JSON.parse(line) as Record<string, unknown>
    const keys = topKeys(line)
    // A number's digits are what stands there, not what is left of them in a float64.
    const digits: Record<string, string> = JSON.parse(
      line.replace(TOKENS, token => (token.startsWith('"') ? token : `"${token}"`)),
    )
    for (const [place, key] of keys.entries()) {
      const value = row[key]
      const seen = all.get(key) ?? { place, single: 0 }
      all.set(key, seen)
      seen.place = Math.min(seen.place, place)
      const nested = typeof value === 'object' && value !== null
      if (nested) seen.nested ??= [i + 1, nestedAt(line, key)!]
      else if (value !== null) seen.single++
      const own = coders.get(key) ?? coder()
      coders.set(key, own)
      while (own.length < rows) own.push(null)
      if (nested || value === null) own.push(null)
      else own.push(typeof value === 'number' ? numberText(digits[key]!) : String(value))
    }
    rows++
  }
  if (!all.size) throw new DataError(`${name} has no rows: expected an object of values a line`)
  const mixed = [...all].find(([, { nested, single }]) => nested && single)
  if (mixed) {
    const [key, { nested, single }] = mixed
    throw new DataError(
      `${name}, line ${nested![0]}, column '${key}': value ${nested![1]}, expected one value a row, as ${single} rows have`,
    )
  }
  const ordered = [...all].sort(([a, m], [b, n]) => m.place - n.place || byCodePoint(a, b))
  const coded = new Map<string, CodedColumn>()
  for (const [key, { nested }] of ordered) {
    const own = coders.get(key)!
    while (own.length < rows) own.push(null)
    if (!nested) coded.set(key, own.column())
  }
  const columns = ordered.map(
    ([key, { nested }]): RawTableColumn =>
      nested
        ? { name: key, kind: 'nested', type: 'lists or objects' }
        : { name: key, kind: 'text', type: 'text' },
  )
  return { columns, coded, rows }
}
