// What the training rows say of a column: each different value once, with how often it stands there and in which class.

import type { RawKind } from './formats.ts'
import { looksDate, looksNumber } from './notation.ts'
import {
  DATE_FORMATS,
  type DateFormat,
  integerOf,
  isMissing,
  isPlainInteger,
  numberOf,
  timeOf,
  truthOf,
  type ValueType,
} from './values.ts'

/** One different value of a column. */
export interface Group {
  value: unknown
  count: number
  /** How many rows of each class have it. */
  classes: readonly number[]
  /** The first row that has it. */
  row: number
}

/** A value that is not like the others, and its row. */
interface Odd {
  value: unknown
  row: number
}

/** What was seen of a column. */
export interface Seen {
  rows: number
  /** Rows without a value, where a text is meant, and where a number, a date or a truth value is. */
  missing: number
  nothing: number
  /** Different values that are there. */
  distinct: number
  /** Rows whose value may be read as each type. */
  integers: number
  numbers: number
  truths: number
  dates: Record<DateFormat, number> // of those that are numbers, the ones of the years 1990 to 2099
  /** The first row that is no number, no date. */
  noNumber?: Odd
  noDate?: Odd
  /** Different values that are numbers, that are dates. */
  numberKinds: number
  dateKinds: number
  /** Rows that are numbers or dates to people alone, and the first of each. */
  looks: Record<'number' | 'date', number>
  looked: Partial<Record<'number' | 'date', Odd>>
  /** Words of a text, over all rows; the longest in characters. */
  words: number
  longest: number
  /** Whether truth values are written in words, and whole numbers with zeros in front. */
  trueWords: boolean
  zeros: boolean
  /** Whether some date has a time of day. */
  hours: boolean
  /** Rows whose value tells the class, and rows whose value stands there twice. */
  told: number
  repeated: number
  /** Rows of the most frequent class. */
  base: number
}

const CLOCKS = ['seconds', 'milliseconds', 'yyyymmdd', 'yymmddhh'] as const
const CALENDARS = ['iso', 'dmy', 'mdy'] as const
const isRecent = (time = Number.NaN): boolean => time >= Date.UTC(1990, 0) && time < Date.UTC(2100, 0)

/** How the whole numbers of a column may be times, where all may. */
export const clockOf = ({ rows, missing, dates }: Seen): DateFormat | undefined =>
  CLOCKS.find(format => dates[format] > 0 && dates[format] === rows - missing)

/** Looks at every different value of a column. */
export async function observe(
  groups: AsyncIterable<Group>,
  also: ReadonlySet<string>,
  classes: number,
): Promise<Seen> {
  const seen: Seen = {
    ...{ rows: 0, missing: 0, nothing: 0, distinct: 0, integers: 0, numbers: 0, truths: 0 },
    dates: Object.fromEntries(DATE_FORMATS.map(format => [format, 0])) as Seen['dates'],
    ...{ numberKinds: 0, dateKinds: 0, looks: { number: 0, date: 0 }, looked: {} },
    ...{ words: 0, longest: 0, trueWords: false, zeros: false, hours: false, told: 0, repeated: 0, base: 0 },
  }
  const totals = new Array<number>(classes).fill(0)
  for await (const group of groups) {
    for (const [c, n] of group.classes.entries()) totals[c]! += n
    observeGroup(seen, group, also)
  }
  seen.base = Math.max(0, ...totals)
  return seen
}

function observeGroup(seen: Seen, { value, count, classes, row }: Group, also: ReadonlySet<string>): void {
  seen.rows += count
  if (count > 1) {
    seen.repeated += count
    seen.told += Math.max(0, ...classes)
  }
  if (isMissing(value, 'string', also)) {
    seen.missing += count
    seen.nothing += count
    return
  }
  seen.distinct++
  const text = String(value)
  seen.words += count * wordsOf(text)
  seen.longest = Math.max(seen.longest, text.length)
  if (isMissing(value, 'number', also)) {
    seen.nothing += count
    return
  }
  if (truthOf(value) !== undefined) {
    seen.truths += count
    if (typeof value === 'boolean' || /^[a-z]/i.test(text.trim())) seen.trueWords = true
  }
  if (typeof value === 'string' && /^\s*[+-]?0\d/.test(value)) seen.zeros = true
  if (typeof value === 'string' ? isPlainInteger(value) : integerOf(value) !== undefined)
    seen.integers += count
  const isNumber = numberOf(value) !== undefined
  if (isNumber) {
    seen.numbers += count
    seen.numberKinds++
    for (const format of CLOCKS) if (isRecent(timeOf(value, format))) seen.dates[format] += count
  } else if (!seen.noNumber || row < seen.noNumber.row) seen.noNumber = { value, row }
  let dated = false
  for (const format of CALENDARS) {
    const time = timeOf(value, format)
    if (time === undefined) continue
    dated = true
    seen.dates[format] += count
    if (time % 86_400_000 !== 0) seen.hours = true
  }
  if (dated) seen.dateKinds++
  else if (!seen.noDate || row < seen.noDate.row) seen.noDate = { value, row }
  if (isNumber || dated || typeof value !== 'string') return
  const look = looksDate(value) ? 'date' : looksNumber(value) ? 'number' : undefined
  if (look === undefined) return
  seen.looks[look] += count
  const first = seen.looked[look]
  if (!first || row < first.row) seen.looked[look] = { value, row }
}

const wordsOf = (text: string): number => text.match(/\S+/g)?.length ?? 0

/** How the values of a column are to be read, or what stands against it. */
export type Typed =
  | { type: ValueType; format?: DateFormat }
  /** `of` says how many values are numbers or dates; without it the odd one is a number or date, written as nothing here reads it. */
  | { mixed: 'number' | 'date'; odd: Odd; of?: string }

/** Of a column with this share of numbers or dates, the others are mistakes. */
const MOSTLY = 0.75
const MOST_KINDS = 0.9
/** Different values up to which a column may be categories, whatever they look like. */
export const FEW = 20

/** The type that all values have; a column that is a number or date but for a few values is mixed. */
export function typeOf(seen: Seen, kind: RawKind): Typed {
  const there = seen.rows - seen.nothing
  if (kind === 'boolean') return { type: 'boolean' }
  if (kind === 'integer') return { type: 'integer' }
  if (kind === 'number') return { type: seen.integers === there ? 'integer' : 'number' }
  if (there === 0) return { type: 'string' }
  if (seen.truths === there && seen.trueWords) return { type: 'boolean' }
  const [format] = CALENDARS.filter(one => seen.dates[one] === there)
  if (format) return { type: 'date', format }
  if (seen.numbers === there)
    return { type: seen.zeros ? 'string' : seen.integers === there ? 'integer' : 'number' }
  const dated = Math.max(...CALENDARS.map(one => seen.dates[one]))
  const many = seen.distinct > FEW
  const share = (rows: number) => `${Math.floor((100 * rows) / there)}% of the values`
  const kinds = (n: number) => `${n} of ${seen.distinct} different values`
  // A word for no value may stand in most of the rows: then the different values tell what the column is.
  const mostKinds = (n: number) => many && n >= MOST_KINDS * seen.distinct
  if (seen.noNumber && !seen.zeros) {
    if (seen.numbers >= MOSTLY * there)
      return { mixed: 'number', odd: seen.noNumber, of: share(seen.numbers) }
    if (mostKinds(seen.numberKinds))
      return { mixed: 'number', odd: seen.noNumber, of: kinds(seen.numberKinds) }
  }
  // Of dates that none of the ways reads alone, day and month may be mixed up: then no single row is to blame.
  if (seen.noDate) {
    if (dated >= MOSTLY * there) return { mixed: 'date', odd: seen.noDate, of: share(dated) }
    if (mostKinds(seen.dateKinds)) return { mixed: 'date', odd: seen.noDate, of: kinds(seen.dateKinds) }
  }
  if (many && !seen.zeros && seen.looked.number && seen.looks.number + seen.numbers >= MOSTLY * there)
    return { mixed: 'number', odd: seen.looked.number }
  if (many && seen.looked.date && seen.looks.date + dated >= MOSTLY * there)
    return { mixed: 'date', odd: seen.looked.date }
  return { type: 'string' }
}

/** Whether day first and month first read all dates as well. */
export const isAmbiguous = ({ dates, rows, nothing }: Seen): boolean =>
  dates.dmy === rows - nothing && dates.mdy === rows - nothing && rows > nothing
