// Building blocks for strict configuration schemas: every message says what was expected and what stood there, an
// unknown key is an error that lists the allowed ones, and the first issue found becomes a ConfigError.
import * as v from 'valibot'
import { ConfigError } from '../errors.ts'

const shown = (value: unknown): string => {
  // JSON has none of these; programs do.
  const plain = ['number', 'bigint', 'symbol'].includes(typeof value)
  const text = plain ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
const expected = (what: string) => (issue: { input: unknown }) =>
  `expected ${what}, got ${shown(issue.input)}`

/** An object with exactly these keys; `instead` has what to use in place of some others. */
export function strict<const E extends v.ObjectEntries>(
  entries: E,
  instead: Readonly<Record<string, string>> = {},
) {
  const hint = (key: string) => (Object.hasOwn(instead, key) ? ` (in its place: ${instead[key]})` : '')
  return v.pipe(
    v.custom<Record<string, unknown>>(isObject, expected('an object')),
    v.strictObject(entries, issue =>
      issue.expected === 'never'
        ? `unknown key ${issue.received}${hint(JSON.parse(issue.received))}; allowed keys: ${Object.keys(entries).join(', ')}`
        : `missing key ${issue.expected}`,
    ),
  )
}

/** An integer from `min` to 2^53. */
export const integer = (min: number) =>
  v.custom<number>(
    x => Number.isSafeInteger(x) && (x as number) >= min,
    expected(`an integer of at least ${min}`),
  )

/** A number of things, at least one. */
export const count = integer(1)

/** A finite number that `accepts` takes; `range` is its wording in the message. */
export const real = (range: string, accepts: (x: number) => boolean) =>
  v.custom<number>(x => Number.isFinite(x) && accepts(x as number), expected(`a number ${range}`))

export const probability = real('in [0, 1)', x => x >= 0 && x < 1)
export const positive = real('above 0', x => x > 0)
export const nonNegative = real('of at least 0', x => x >= 0)
export const flag = v.boolean(expected('true or false'))
export const text = v.string(expected('a string'))

/** One of the given words. */
export const oneOf = <const T extends readonly string[]>(words: T) =>
  v.picklist(words, expected(`one of ${words.map(word => `'${word}'`).join(', ')}`))

/**
 * Checks `input` and fills in defaults.
 * @param where what is being read, for the message: a file name, or file name and key.
 * @throws ConfigError naming `where`, the path to the key, and what was expected there.
 */
export function parseStrict<S extends v.GenericSchema>(
  schema: S,
  input: unknown,
  where: string,
): v.InferOutput<S> {
  const result = v.safeParse(schema, input)
  if (result.success) return result.output
  const issue = result.issues[0]
  const path = issue.path ?? []
  // Unknown and missing keys are named by the message itself; the place is then the object they stand in.
  const missing = issue.message.startsWith('Invalid key: ')
  const steps = (missing || issue.type === 'strict_object') && path.length ? path.slice(0, -1) : path
  const place = steps
    .map(item => (typeof item.key === 'number' ? `[${item.key}]` : `.${String(item.key)}`))
    .join('')
    .replace(/^\./, '')
  const absent = issue.received === 'undefined' && issue.message.startsWith('Invalid type: ')
  const what = missing
    ? `${issue.expected} is missing`
    : absent
      ? `expected ${issue.expected}, got nothing`
      : issue.message
  throw new ConfigError([where, ...(place ? [place] : []), what].join(': '))
}

/** Whether parsed JSON is an object: no list, no null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
