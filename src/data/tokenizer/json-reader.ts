// Values out of a tokenizer's JSON, each with the place it stands at, for messages.
import { ConfigError } from '../../errors.ts'

/** An object of JSON. */
export type Json = Record<string, unknown>

/** Half of a surrogate pair. */
export const SURROGATE = /\p{Surrogate}/u
const LARGEST_ID = 2 ** 32 - 1

/** A value as a message shows it. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** Throws what is wrong at a place. */
export function refuse(where: string, what: string): never {
  throw new ConfigError(`${where}: ${what}`)
}

const expected = (what: string, value: unknown, where: string): never =>
  refuse(where, value === undefined ? `missing, expected ${what}` : `expected ${what}, got ${shown(value)}`)

export function objectAt(value: unknown, where: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  return expected('an object', value, where)
}

export const listAt = (value: unknown, where: string): unknown[] =>
  Array.isArray(value) ? value : expected('a list', value, where)

/** A string that UTF-8 can write. */
export function textAt(value: unknown, where: string): string {
  if (typeof value !== 'string') return expected('a string', value, where)
  return SURROGATE.test(value) ? refuse(where, `${shown(value)} has half of a surrogate pair`) : value
}

/** One character, however many code units it takes. */
export function characterAt(value: unknown, where: string): string {
  const text = textAt(value, where)
  return [...text].length === 1 ? text : expected('one character', value, where)
}

export const flagAt = (value: unknown, where: string): boolean =>
  typeof value === 'boolean' ? value : expected('true or false', value, where)

export const numberAt = (value: unknown, where: string): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : expected('a number', value, where)

export function integerAt(value: unknown, where: string, min = 0): number {
  if (Number.isSafeInteger(value) && (value as number) >= min) return value as number
  return expected(`an integer of at least ${min}`, value, where)
}

/** A token id. */
export function idAt(value: unknown, where: string): number {
  const id = integerAt(value, where)
  return id <= LARGEST_ID ? id : expected(`an integer below 2^32`, value, where)
}

/** A key's value as `read` takes it; nothing where the key is missing or null. */
export const optional = <T>(
  json: Json,
  key: string,
  where: string,
  read: (value: unknown, where: string) => T,
): T | undefined =>
  json[key] === undefined || json[key] === null
    ? undefined
    : read(json[key], where.endsWith(': ') ? where + key : `${where}.${key}`)

/** The one of a table's entries that `type` names. */
export function byType<T>(table: Record<string, T>, json: Json, where: string, kind: string): T {
  const type = textAt(json.type, `${where}.type`)
  if (Object.hasOwn(table, type)) return table[type]!
  return refuse(where, `${kind} '${type}' is not supported, expected one of ${Object.keys(table).join(', ')}`)
}
