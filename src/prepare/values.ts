// What a raw value means: the same for what is learned from, written, and served. Nothing here knows where rows come from.

/** How a column's values are read. */
export const VALUE_TYPES = ['string', 'integer', 'number', 'boolean', 'date'] as const
export type ValueType = (typeof VALUE_TYPES)[number]

/** How dates are written: year first, day first, month first, a number since 1970-01-01 UTC, or digits alone, of years from 2000 on where they have two. */
export const DATE_FORMATS = ['iso', 'dmy', 'mdy', 'seconds', 'milliseconds', 'yyyymmdd', 'yymmddhh'] as const
/** How dates are written. */
export type DateFormat = 'iso' | 'dmy' | 'mdy' | 'seconds' | 'milliseconds' | 'yyyymmdd' | 'yymmddhh'

/** Texts that stand for no value where a number, a date or a truth value is meant; any case. As a category, 'NA' is Namibia. */
const NOTHING = new Set(['', 'na', 'n/a', '#n/a', 'nan', 'null', 'none', '<na>', 'nat'])

/**
 * Whether there is no value.
 * @param also texts that stand for none in this table, whatever the type.
 */
export function isMissing(value: unknown, type: ValueType, also: ReadonlySet<string>): boolean {
  if (value === null || value === undefined || value === '') return true
  if (typeof value === 'number') return Number.isNaN(value) || (also.size > 0 && also.has(String(value)))
  if (typeof value !== 'string') return also.size > 0 && also.has(String(value))
  if (also.has(value)) return true
  return type !== 'string' && NOTHING.has(value.trim().toLowerCase())
}

const INTEGER = /^[+-]?\d+(?:\.0*)?$/
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const TRUTH: Record<string, string> = { true: 'true', false: 'false', '1': 'true', '0': 'false' }

/** The number that a value is, or undefined. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value)
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  if (!NUMBER.test(text)) return undefined
  const number = Number(text)
  return Number.isFinite(number) ? number : undefined
}

/** The whole number that a value is, as its digits, or undefined. */
export function integerOf(value: unknown): string | undefined {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isInteger(value) ? String(BigInt(value)) : undefined
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  if (!INTEGER.test(text)) return undefined
  const digits = /^[+-]?\d+/.exec(text)![0].replace(/^\+/, '')
  return String(BigInt(digits))
}

/** Whether a text is a whole number as it would be printed: '007' and '+7' are none, they are names. */
export const isPlainInteger = (text: string): boolean => /^(?:0|-?[1-9]\d*)(?:\.0+)?$/.test(text.trim())

/** 'true' or 'false', or undefined. */
export function truthOf(value: unknown): string | undefined {
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number' || typeof value === 'bigint') return TRUTH[String(value)]
  if (typeof value !== 'string') return undefined
  const text = value.trim().toLowerCase()
  return Object.hasOwn(TRUTH, text) ? TRUTH[text] : undefined
}

const TIME = String.raw`(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?`
const YEAR_FIRST = new RegExp(String.raw`^(\d{4})([-/.])(\d{1,2})\2(\d{1,2})${TIME}$`)
const YEAR_LAST = new RegExp(String.raw`^(\d{1,2})([-/.])(\d{1,2})\2(\d{4})${TIME}$`)
/** Milliseconds that a JavaScript Date can hold. */
const LAST_TIME = 8.64e15

/** Milliseconds since 1970-01-01 UTC of a date, or undefined; without a zone it is UTC. */
export function timeOf(value: unknown, format: DateFormat): number | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.getTime()
  if (format === 'seconds' || format === 'milliseconds') {
    const number = numberOf(value)
    const time = number === undefined ? Number.NaN : format === 'seconds' ? number * 1000 : number
    return Math.abs(time) <= LAST_TIME ? time : undefined
  }
  if (format === 'yyyymmdd' || format === 'yymmddhh') return timeOfDigits(integerOf(value), format)
  if (typeof value !== 'string') return undefined
  const match = (format === 'iso' ? YEAR_FIRST : YEAR_LAST).exec(value.trim())
  if (!match) return undefined
  const [first, second, third] = [Number(match[1]), Number(match[3]), Number(match[4])]
  const [year, month, day] =
    format === 'iso'
      ? [first, second, third]
      : format === 'dmy'
        ? [third, second, first]
        : [third, first, second]
  const [hour, minute, seconds] = [match[5], match[6], match[7]].map(text => Number(text ?? 0))
  const midnight = midnightOf(year!, month!, day!)
  if (midnight === undefined) return undefined
  if (hour! > 23 || minute! > 59 || seconds! > 59) return undefined
  const part = match[8] ? Number(`0.${match[8]}`) : 0
  const shift = zoneMinutes(match[9])
  if (shift === undefined) return undefined
  return midnight + ((hour! * 60 + minute! - shift) * 60 + seconds!) * 1000 + part * 1000
}

/** Milliseconds at which a day begins; undefined where there is no such day. */
function midnightOf(year: number, month: number, day: number): number | undefined {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined
}

/** 20241231 or 24123123, whose first zero a number has lost. */
function timeOfDigits(digits: string | undefined, format: 'yyyymmdd' | 'yymmddhh'): number | undefined {
  if (digits === undefined || !(format === 'yyyymmdd' ? /^\d{8}$/ : /^\d{6,8}$/).test(digits))
    return undefined
  const pairs = digits.padStart(8, '0').match(/../g)!.map(Number)
  const [a, b, c, d] = pairs as [number, number, number, number]
  if (format === 'yyyymmdd') return midnightOf(a * 100 + b, c, d)
  const midnight = midnightOf(2000 + a, b, c)
  return midnight === undefined || d > 23 ? undefined : midnight + d * 3_600_000
}

function zoneMinutes(zone: string | undefined): number | undefined {
  if (zone === undefined || /^(?:z|utc|gmt)$/i.test(zone)) return 0
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(':', '') || 0)]
  if (hours > 23 || minutes > 59) return undefined
  return (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes)
}

/**
 * What tells one category from another: the same text for every way to write a value of the type. What is no value of it keeps its own
 * text, which no category has. undefined for what is no single value.
 */
export function keyOf(value: unknown, type: ValueType, format: DateFormat = 'iso'): string | undefined {
  if (value instanceof Date) {
    const time = value.getTime()
    return Number.isNaN(time) ? undefined : value.toISOString()
  }
  if (!['string', 'number', 'bigint', 'boolean'].includes(typeof value)) return undefined
  switch (type) {
    case 'integer':
      return integerOf(value) ?? String(value)
    case 'boolean':
      return truthOf(value) ?? String(value)
    case 'number': {
      const number = numberOf(value)
      return number === undefined ? String(value) : String(number)
    }
    case 'date': {
      const time = timeOf(value, format)
      return time === undefined ? String(value) : new Date(time).toISOString()
    }
    default:
      return String(value)
  }
}
