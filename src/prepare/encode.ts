// From raw values to what a model reads, by what was learned. Files are written and rows are served by this code alone.
import { shown } from '../check.ts'
import { isFloat } from '../data/columns.ts'
import type { Columns } from '../data/index.ts'
import { DataError } from '../errors.ts'
import { fnv1a } from '../hash.ts'
import { LABEL, type Learned, type LearnedColumn, WEIGHT } from './document.ts'
import { type DateFormat, isMissing, keyOf, numberOf, timeOf } from './values.ts'

/** One column's raw values, and where they stand, for messages. */
export interface RawColumn {
  name: string
  values: readonly unknown[]
  /** As 'clicks.csv, row 3'. */
  at: (index: number) => string
}

/** What of a prepared table a column makes. */
export type Made = Pick<Columns, 'lists' | 'ids' | 'floats'>

/** Makes a column's part of the result. */
export type Encode = (column: RawColumn, out: Made) => void

/** What encoders of all columns share. */
export interface Shared {
  /** Texts that stand for no value. */
  missing: ReadonlySet<string>
  /** Token ids of a text, of a column that may have so many. */
  tokenize: (maxTokens: number) => (text: string) => number[]
}

/** What makes columns of a learned one's raw values; nothing of one that is left out. */
export function encoderOf(learned: LearnedColumn, shared: Shared): Encode | undefined {
  switch (learned.role) {
    case 'label':
      return labels(learned, shared)
    case 'category':
      return categories(learned, shared)
    case 'number':
      return numbers(learned, shared)
    case 'date':
      return dates(learned, shared)
    case 'text':
      return texts(learned, shared)
    case 'weight':
      return weights(shared)
    default:
      return undefined
  }
}

function refuse({ name, at, values }: RawColumn, i: number, expected: string): never {
  throw new DataError(`${at(i)}, column '${name}': value ${shown(values[i])}, expected ${expected}`)
}

const SAYS = 'one string, number or truth value'

function labels({ type, format, classes }: Learned<'label'>, { missing }: Shared): Encode {
  const codes = new Map(classes.map((key, code) => [key, code]))
  const listed = classes.slice(0, 8).map(key => `'${key}'`)
  const known = `${listed.join(', ')}${classes.length > 8 ? ', …' : ''}`
  return (column, out) => {
    const ids = new Uint32Array(column.values.length)
    for (const [i, value] of column.values.entries()) {
      const key = isMissing(value, type, missing) ? undefined : keyOf(value, type, format)
      ids[i] = (key === undefined ? undefined : codes.get(key)) ?? refuse(column, i, `one of ${known}`)
    }
    out.ids[LABEL] = ids
  }
}

/** The code of a category's value. */
function categories(learned: Learned<'category'>, { missing }: Shared): Encode {
  const { type, format, out: name, hash_buckets, missing_code } = learned
  const codes = new Map((learned.codes ?? []).map((key, i) => [key, i + 1]))
  const codeOf = hash_buckets
    ? (key: string) => (fnv1a(key) % hash_buckets) + 1
    : (key: string) => codes.get(key) ?? 0
  return (column, out) => {
    const ids = new Uint32Array(column.values.length)
    for (const [i, value] of column.values.entries())
      ids[i] = isMissing(value, type, missing)
        ? missing_code
        : codeOf(keyOf(value, type, format) ?? refuse(column, i, SAYS))
    out.ids[name] = ids
  }
}

/**
 * Refuses whole numbers that JavaScript may have rounded before they came here: two keys would be one.
 * @throws DataError naming the value.
 */
export function expectExact(learned: LearnedColumn, column: RawColumn): void {
  if (learned.role !== 'category' && learned.role !== 'label') return
  if (learned.type === 'number' || learned.type === 'date') return
  const wrong = column.values.findIndex(
    value => typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value),
  )
  if (wrong >= 0)
    refuse(
      column,
      wrong,
      'a whole number below 2^53 where it is a number, which is rounded above; a larger one as a text or bigint',
    )
}

type Scaling = Pick<Learned<'number'>, 'scale' | 'mean' | 'std' | 'quantiles'>

/** A number as the model is given it, before it is rounded to float32. */
function scaled(value: number, { scale, mean, std, quantiles }: Scaling): number {
  if (scale === 'standard') return (value - mean) / std
  if (scale === 'none') return value
  const points = quantiles!
  const last = points.length - 1
  if (value <= points[0]!) return 0
  if (value >= points[last]!) return 1
  let [low, high] = [0, last]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (points[middle]! <= value) low = middle
    else high = middle
  }
  const [a, b] = [points[low]!, points[high]!]
  const span = b - a
  // The difference of two large numbers may be past float64; that of two tiny ones has no half.
  const share = span < Infinity ? (value - a) / span : (value / 2 - a / 2) / (b / 2 - a / 2)
  return (low + share) / last
}

/** Reads, fills and scales the numbers of a column. */
function scaledColumn(
  column: RawColumn,
  learned: Scaling & { out: string; fill: number; indicator?: string | undefined },
  read: (value: unknown) => number | undefined,
  missing: (value: unknown) => boolean,
  expected: string,
  out: Made,
): void {
  const { length } = column.values
  const floats = new Float32Array(length)
  const misses = learned.indicator === undefined ? undefined : new Float32Array(length)
  for (const [i, value] of column.values.entries()) {
    const absent = missing(value)
    if (absent && misses) misses[i] = 1
    const number = absent ? learned.fill : (read(value) ?? refuse(column, i, expected))
    const result = scaled(number, learned)
    if (!isFloat(result))
      refuse(column, i, `${expected} that is within float32 once it is scaled; scale 'quantiles' takes any`)
    floats[i] = result
  }
  out.floats[learned.out] = floats
  if (misses) out.floats[learned.indicator!] = misses
}

function numbers(learned: Learned<'number'>, { missing }: Shared): Encode {
  const absent = (value: unknown) => isMissing(value, 'number', missing)
  return (column, out) => scaledColumn(column, learned, numberOf, absent, 'a finite number', out)
}

const DAY = 86_400_000
const HOUR = 3_600_000

/** A date format's example, for messages. */
export const DATE_EXAMPLES: Record<DateFormat, string> = {
  iso: '2024-12-31 or 2024-12-31 23:59:59',
  dmy: '31.12.2024, 31/12/2024 or 31-12-2024',
  mdy: '12/31/2024 or 12-31-2024',
  seconds: 'seconds since 1970',
  milliseconds: 'milliseconds since 1970',
  yyyymmdd: '20241231',
  yymmddhh: '24123123, with the hour behind',
}

function dates(learned: Learned<'date'>, { missing }: Shared): Encode {
  const { format } = learned
  const absent = (value: unknown) => isMissing(value, 'date', missing)
  const days = (value: unknown) => {
    const time = timeOf(value, format)
    return time === undefined ? undefined : time / DAY
  }
  return (column, out) => {
    scaledColumn(column, learned, days, absent, `a date as ${DATE_EXAMPLES[format]}`, out)
    const part = (name: string | undefined, of: (time: number) => number) => {
      if (name === undefined) return
      const code = (value: unknown) => (absent(value) ? 0 : of(timeOf(value, format)!))
      out.ids[name] = Uint32Array.from(column.values, code)
    }
    part(learned.month, time => new Date(time).getUTCMonth() + 1)
    part(learned.weekday, time => ((new Date(time).getUTCDay() + 6) % 7) + 1)
    part(learned.hour, time => Math.floor((((time % DAY) + DAY) % DAY) / HOUR) + 1)
  }
}

function texts({ out: name, max_tokens }: Learned<'text'>, { missing, tokenize }: Shared): Encode {
  const encode = tokenize(max_tokens)
  return (column, out) => {
    const offsets = new Uint32Array(column.values.length + 1)
    const tokens: number[] = []
    for (const [i, value] of column.values.entries()) {
      const text = isMissing(value, 'string', missing)
        ? ''
        : (keyOf(value, 'string') ?? refuse(column, i, 'a text'))
      for (const id of tokensOf(encode, text, column, i)) tokens.push(id)
      offsets[i + 1] = tokens.length
    }
    out.lists[name] = { values: Uint32Array.from(tokens), offsets }
  }
}

function tokensOf(encode: (text: string) => number[], text: string, { at, name }: RawColumn, i: number) {
  try {
    return encode(text)
  } catch (error) {
    if (error instanceof DataError) error.message = `${at(i)}, column '${name}': ${error.message}`
    throw error
  }
}

function weights({ missing }: Shared): Encode {
  const expected = 'a weight: a finite number of at least 0'
  return (column, out) => {
    const floats = new Float32Array(column.values.length)
    for (const [i, value] of column.values.entries()) {
      const weight = isMissing(value, 'number', missing) ? undefined : numberOf(value)
      if (!isFloat(weight, 0)) refuse(column, i, expected)
      floats[i] = weight!
    }
    out.floats[WEIGHT] = floats
  }
}
