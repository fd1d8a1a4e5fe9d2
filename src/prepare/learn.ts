// What is learned of a column in its role, from the different values of its training rows.
import { ConfigError, DataError } from '../errors.ts'
import type { Learned } from './document.ts'
import { DATE_EXAMPLES } from './encode.ts'
import type { Group } from './observe.ts'
import type { Choice, Where } from './roles.ts'
import { isMissing, keyOf, numberOf, timeOf } from './values.ts'

/** How numbers are learned. */
export interface NumberChoice {
  scale?: 'standard' | 'quantiles' | 'none' | undefined
  /** What stands for a missing value. */
  impute?: 'mean' | 'median' | undefined
}

/** How categories are learned. */
export interface CategoryChoice {
  /** Rows that a category needs for a code of its own. */
  leastCount: number
  /** Codes at most: of more categories, the most frequent have one. */
  mostCodes: number
  hashBuckets?: number | undefined
}

type Groups = AsyncIterable<Group>

/** Codes by frequency, then by key. */
export async function learnCategory(
  groups: Groups,
  also: ReadonlySet<string>,
  { type, format }: Pick<Choice, 'type' | 'format'>,
  { leastCount, mostCodes, hashBuckets }: CategoryChoice,
  out: string,
): Promise<Learned<'category'>> {
  const counts = new Map<string, number>()
  let missing = 0
  for await (const { value, count } of groups) {
    if (isMissing(value, type, also)) missing += count
    else if (!hashBuckets) {
      const key = keyOf(value, type, format)!
      counts.set(key, (counts.get(key) ?? 0) + count)
    }
  }
  const head = { role: 'category', type, ...(format ? { format } : {}), out } as const
  const ownCode = (codes: number) => (missing >= leastCount ? codes + 1 : 0)
  if (hashBuckets) return { ...head, hash_buckets: hashBuckets, missing_code: ownCode(hashBuckets) }
  const codes = [...counts]
    .filter(([, n]) => n >= leastCount)
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, mostCodes)
    .map(([key]) => key)
  return { ...head, codes, missing_code: ownCode(codes.length) }
}

/** Values with how often they stand there, ascending. */
interface Counted {
  values: Float64Array
  counts: Float64Array
  /** Rows with a value, and without. */
  there: number
  missing: number
}

async function countedNumbers(
  groups: Groups,
  isNothing: (value: unknown) => boolean,
  read: (value: unknown) => number | undefined,
  refuse: (group: Group) => never,
): Promise<Counted> {
  const values: number[] = []
  const counts: number[] = []
  let missing = 0
  for await (const group of groups) {
    if (isNothing(group.value)) {
      missing += group.count
      continue
    }
    values.push(read(group.value) ?? refuse(group))
    counts.push(group.count)
  }
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a]! - values[b]!)
  return {
    values: Float64Array.from(order, i => values[i]!),
    counts: Float64Array.from(order, i => counts[i]!),
    there: counts.reduce((sum, n) => sum + n, 0),
    missing,
  }
}

/** Steps between quantiles. */
const QUANTILES = 100

function scalingOf(
  { values, counts, there }: Counted,
  { scale = 'standard', impute = 'median' }: NumberChoice,
  { name }: Where,
) {
  // Welford's mean and squares, of repeated values.
  let [mean, squares, seen] = [0, 0, 0]
  for (const [i, value] of values.entries()) {
    seen += counts[i]!
    const off = value - mean
    mean += (off * counts[i]!) / seen
    squares += counts[i]! * off * (value - mean)
  }
  const at = (share: number) => {
    let before = 0
    for (const [i, n] of counts.entries()) {
      before += n
      if (before >= share * there) return values[i]!
    }
    return values.at(-1)!
  }
  const deviation = Math.sqrt(squares / there)
  if (scale === 'standard' && !(Number.isFinite(mean) && Number.isFinite(deviation)))
    throw new DataError(
      `column '${name}' has numbers up to ${values.at(-1)}, too large for a mean and deviation; scale it by quantiles: --scale ${name}=quantiles`,
    )
  const finite = (x: number, otherwise: number) => (Number.isFinite(x) ? x : otherwise)
  const common = {
    scale,
    mean: finite(mean, 0),
    std: finite(deviation, 1) || 1,
    fill: impute === 'median' ? at(0.5) : finite(mean, at(0.5)),
  }
  if (scale !== 'quantiles') return common
  const points: number[] = []
  for (let q = 0; q <= QUANTILES; q++) {
    const point = q === 0 ? values[0]! : at(q / QUANTILES)
    if (!points.length || point > points.at(-1)!) points.push(point)
  }
  if (points.length < 2) points.push(points[0]! + Math.max(1, Math.abs(points[0]!)))
  return { ...common, quantiles: points }
}

/** Mean, deviation, what is filled in, and an indicator where values miss. */
export async function learnNumber(
  groups: Groups,
  also: ReadonlySet<string>,
  choice: NumberChoice,
  where: Where,
  names: { out: string; indicator: () => string },
): Promise<Learned<'number'>> {
  const nothing = (value: unknown) => isMissing(value, 'number', also)
  const counted = await countedNumbers(groups, nothing, numberOf, group =>
    refuse(group, where, 'a finite number'),
  )
  const indicator = counted.missing > 0 ? { indicator: names.indicator() } : {}
  return { role: 'number', out: names.out, ...scalingOf(counted, choice, where), ...indicator }
}

const DAY = 86_400_000

/** The same of days, with the parts of a date beside them. */
export async function learnDate(
  groups: Groups,
  also: ReadonlySet<string>,
  format: NonNullable<Choice['format']>,
  where: Where,
  names: { out: string; part: (part: string) => string },
): Promise<Learned<'date'>> {
  let hours = false
  const read = (value: unknown) => {
    const time = timeOf(value, format)
    if (time === undefined) return undefined
    if (time % DAY !== 0) hours = true
    return time / DAY
  }
  const nothing = (value: unknown) => isMissing(value, 'date', also)
  const counted = await countedNumbers(groups, nothing, read, group =>
    refuse(group, where, `a date as ${DATE_EXAMPLES[format]}`),
  )
  if (!counted.there) throw new DataError(`column '${where.name}' has no value, expected dates`)
  return {
    role: 'date',
    format,
    out: names.out,
    ...scalingOf(counted, {}, where),
    month: names.part('month'),
    weekday: names.part('weekday'),
    ...(hours ? { hour: names.part('hour') } : {}),
    ...(counted.missing > 0 ? { indicator: names.part('missing') } : {}),
  }
}

function refuse({ value, row }: Group, { name, at }: Where, expected: string): never {
  throw new DataError(
    `${at(row)}, column '${name}': value ${JSON.stringify(String(value))}, expected ${expected}`,
  )
}

/** Most classes of a label. */
const MOST_CLASSES = 100
const TOLD = 6
const NEGATIVE = ['0', 'false', 'no', 'n', 'negative', 'neg', 'f', '-1', '-']

/**
 * The classes of a label: numbers in order, truth values false first, texts in order but for words as 'no', which come first.
 * @param asked the classes' names in the order that is wanted.
 * @throws DataError where a value is missing, all are alike, or too many to be classes; ConfigError where a name is none.
 */
export async function learnLabel(
  groups: Groups,
  also: ReadonlySet<string>,
  { type, format }: Pick<Choice, 'type' | 'format'>,
  { name, at }: Where,
  asked: readonly string[] | undefined,
): Promise<Learned<'label'>> {
  const counts = new Map<string, number>()
  for await (const { value, count, row } of groups) {
    if (isMissing(value, type, also))
      throw new DataError(
        `${at(row)}, column '${name}': no label; leave such rows out, ${count > 1 ? `${count} have none` : 'it is the only one'}`,
      )
    const key = keyOf(value, type, format)!
    counts.set(key, (counts.get(key) ?? 0) + count)
    if (asked && !asked.includes(key))
      throw new DataError(
        `${at(row)}, column '${name}': value '${key}' is none of the classes ${asked.join(', ')}; name it or leave such rows out`,
      )
    if (counts.size > MOST_CLASSES)
      throw new DataError(
        `column '${name}' has more than ${MOST_CLASSES} different values, expected classes such as 0 and 1`,
      )
  }
  const absent = asked?.find(key => !counts.has(key))
  if (absent !== undefined)
    throw new ConfigError(
      `no row of column '${name}' has the class '${absent}'; there are ${listed([...counts.keys()])}`,
    )
  const keys = asked ? [...asked] : [...counts.keys()].sort(byClass)
  if (!asked && type === 'number')
    throw new DataError(
      `column '${name}' has numbers such as ${keys.find(key => !/^-?\d+$/.test(key))}, expected classes such as 0 and 1 (name them with --classes if these are)`,
    )
  if (!asked) expectApart(keys, name)
  if (keys.length < 2)
    throw new DataError(`column '${name}' has the value '${keys[0]}' alone, expected at least two classes`)
  return { role: 'label', type, ...(format ? { format } : {}), classes: keys }
}

/** @throws DataError for classes that are one to people */
function expectApart(keys: readonly string[], name: string): void {
  const plain = keys.map(key => key.trim().toLowerCase())
  const twice = plain.findIndex((key, i) => plain.indexOf(key) < i)
  if (twice < 0) return
  const one = keys[plain.indexOf(plain[twice]!)]
  throw new DataError(
    `column '${name}' has the values '${one}' and '${keys[twice]}', which differ by case or space alone; write them alike, or name all classes (--classes)`,
  )
}

const listed = (keys: readonly string[]) =>
  `${keys.slice(0, TOLD).join(', ')}${keys.length > TOLD ? ', …' : ''}`

function byClass(a: string, b: string): number {
  const [m, n] = [numberOf(a), numberOf(b)]
  if (m !== undefined && n !== undefined) return m - n
  const negative = (key: string) => Number(!NEGATIVE.includes(key.toLowerCase()))
  return negative(a) - negative(b) || (a < b ? -1 : 1)
}
