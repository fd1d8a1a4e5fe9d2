// What a program hands over is checked where it enters: in JavaScript nothing else does it. Every message names the operation
// and the argument (together `where`), what came, and what was expected.
import { ArgumentError, ConfigError, ShapeError } from './errors.ts'

/** Which numbers are taken, and in words. */
export interface Range {
  says: string
  takes: (x: number) => boolean
}

/** Sizes: rows, features, heads. */
export const COUNT: Range = {
  says: 'a whole number of at least 1',
  takes: x => Number.isSafeInteger(x) && x >= 1,
}
export const NATURAL: Range = {
  says: 'a whole number of at least 0',
  takes: x => Number.isSafeInteger(x) && x >= 0,
}
export const UINT32: Range = {
  says: 'a whole number from 0 to 4294967295',
  takes: x => Number.isInteger(x) && x >= 0 && x < 2 ** 32,
}
export const FINITE: Range = { says: 'a finite number', takes: Number.isFinite }
export const POSITIVE: Range = { says: 'a finite number above 0', takes: x => x > 0 && x < Infinity }
export const NON_NEGATIVE: Range = {
  says: 'a finite number of at least 0',
  takes: x => x >= 0 && x < Infinity,
}
/** A probability where 1 makes sense. */
export const PROBABILITY: Range = { says: 'a number from 0 to 1', takes: x => x >= 0 && x <= 1 }
/** Dropout's p and Adam's betas. */
export const BELOW_ONE: Range = { says: 'a number in [0, 1)', takes: x => x >= 0 && x < 1 }

/** @throws ConfigError unless `value` is a number in the range */
export function expectNumber(where: string, value: unknown, range: Range): asserts value is number {
  if (typeof value === 'number' && range.takes(value)) return
  throw new ConfigError(`${where} is ${shown(value)}, expected ${range.says}`)
}

/**
 * Checks what dropout masks are computed from.
 * @throws ArgumentError for what is no object; ConfigError unless each is a uint32
 */
export function expectRng(where: string, rng: unknown): void {
  if (typeof rng !== 'object' || rng === null)
    throw new ArgumentError(`${where} is ${shown(rng)}, expected { seed, layer, step }`)
  const { seed, layer, step } = rng as Record<string, unknown>
  expectNumber(`${where}.seed`, seed, UINT32)
  expectNumber(`${where}.layer`, layer, UINT32)
  expectNumber(`${where}.step`, step, UINT32)
}

/** @throws ConfigError unless `value` is true or false */
export function expectFlag(where: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw new ConfigError(`${where} is ${shown(value)}, expected true or false`)
}

/** @throws ConfigError unless `value` is one of the words */
export function expectOneOf(where: string, value: unknown, words: readonly unknown[]): void {
  if (words.includes(value)) return
  const known = words.filter(word => word !== undefined).map(shown)
  throw new ConfigError(`${where} is ${shown(value)}, expected ${known.join(' or ')}`)
}

/** @throws ShapeError unless `shape` is a list of whole numbers, none below 0 */
export function expectDims(where: string, shape: unknown): asserts shape is readonly number[] {
  if (!Array.isArray(shape))
    throw new ShapeError(`${where} is ${shown(shape)}, expected an array of sizes, as [2, 3]`)
  const bad = shape.findIndex(size => !NATURAL.takes(size))
  if (bad >= 0)
    throw new ShapeError(
      `${where} is [${shape}]: size ${bad} is ${shown(shape[bad])}, expected ${NATURAL.says}`,
    )
}

/** @throws ArgumentError unless `value` is a function */
export function expectFunction(where: string, value: unknown): void {
  if (typeof value !== 'function') throw new ArgumentError(`${where} is ${shown(value)}, expected a function`)
}

/** Objects that have no options in them, whatever is meant: a promise is one that nobody waited for. */
const NO_BAGS = [Array, Promise, Map, Set, Date, ArrayBuffer]

/**
 * Refuses what is no bag of options, and names in it that mean nothing: misspelt ones would be ignored.
 * @throws ConfigError naming the name that is meant, where one is close, and all there are
 */
export function expectOptions(where: string, given: unknown, known: readonly string[]): void {
  const isBag = typeof given === 'object' && given !== null && !NO_BAGS.some(kind => given instanceof kind)
  if (!isBag || ArrayBuffer.isView(given))
    throw new ConfigError(`${where} is ${shown(given)}, expected an object with ${known.join(', ')}`)
  for (const key in given) {
    if (known.includes(key)) continue
    const near = closest(key, known)
    const hint = near === undefined ? '' : `did you mean '${near}'? `
    throw new ConfigError(`${where}: '${key}' is unknown; ${hint}expected ${known.join(', ') || 'none'}`)
  }
}

/**
 * Numbers for the device or a batch, in a typed array: of that kind as they are, plain arrays of numbers converted where every
 * one of them can be said exactly (float32: where it is in range). Other arrays are refused by name.
 * @throws ArgumentError for what is no such array; ConfigError naming the index of a value that does not fit
 */
export function toUints(where: string, given: unknown): Uint32Array<ArrayBufferLike> {
  if (given instanceof Uint32Array) return given
  return Uint32Array.from(plainNumbers(where, given, 'Uint32Array', UINT32))
}

/** As `toUints`, of float32; what is not a number (NaN) and infinities count as values. */
export function toFloats(where: string, given: unknown): Float32Array<ArrayBufferLike> {
  if (given instanceof Float32Array) return given
  return Float32Array.from(plainNumbers(where, given, 'Float32Array', FLOAT32))
}

const FLOAT32: Range = {
  says: 'a number of float32 (at most 3.4e38)',
  takes: x => !Number.isFinite(x) || Number.isFinite(Math.fround(x)),
}

function plainNumbers(where: string, given: unknown, wanted: string, range: Range): number[] {
  if (!Array.isArray(given))
    throw new ArgumentError(`${where} is ${shown(given)}, expected a ${wanted}, or an array of numbers`)
  for (let i = 0; i < given.length; i++) expectNumber(`${where}: element ${i}`, given[i], range)
  return given
}

/**
 * Checks what is only read: a typed array of numbers, or an array whose elements are in `range` (any number, NaN too, unless given).
 * @throws ArgumentError for what is neither; ConfigError naming the index of an element that is not in range
 */
export function expectNumbers(
  where: string,
  given: unknown,
  range: Range = ANY,
): asserts given is ArrayLike<number> {
  const typed =
    ArrayBuffer.isView(given) && !(given instanceof DataView) && typeof (given as Uint8Array)[0] !== 'bigint'
  if (!typed && !Array.isArray(given))
    throw new ArgumentError(`${where} is ${shown(given)}, expected an array of numbers`)
  if (typed && range === ANY) return
  const values = given as ArrayLike<number>
  for (let i = 0; i < values.length; i++) expectNumber(`${where}: element ${i}`, values[i], range)
}

const ANY: Range = { says: 'a number', takes: () => true }

/** @throws ArgumentError unless `gpu` is a device from `openGpu` */
export function expectDevice(where: string, gpu: unknown): void {
  if (typeof gpu === 'object' && gpu !== null && 'launch' in gpu && 'acquire' in gpu) return
  throw new ArgumentError(`${where} is ${shown(gpu)}, expected a device from openGpu()`)
}

/** What a value is, in a few words. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `'${value.slice(0, 37)}…'` : `'${value}'`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return value.name ? `the function or class ${value.name}` : 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  const kind = value.constructor?.name ?? 'Object'
  if (ArrayBuffer.isView(value) && 'length' in value) return `a ${kind} of ${value.length}`
  if (value instanceof Promise) return 'a promise'
  if ('dtype' in value && 'shape' in value) return `a ${value.dtype} tensor of shape [${value.shape}]`
  if (kind !== 'Object') return `${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`
  const keys = Object.keys(value)
  return `an object with ${keys.slice(0, 6).join(', ') || 'nothing'}${keys.length > 6 ? ', …' : ''}`
}

/** The name that takes the fewest edits to become `name`, where more of it stays than changes. */
export function closest(name: string, names: readonly string[]): string | undefined {
  const distance = (other: string) => {
    const [a, b] = [name.toLowerCase(), other.toLowerCase()]
    return b.length > 2 && (a.includes(b) || b.includes(a)) ? 0.5 : editDistance(a, b)
  }
  const [best] = names.map(other => ({ other, edits: distance(other) })).sort((a, b) => a.edits - b.edits)
  if (!best) return undefined
  // learningRate is lr: initials count too.
  const initials = (text: string) => (text[0] ?? '') + text.slice(1).replace(/[^A-Z]/g, '')
  if (best.edits <= Math.max(2, name.length / 3)) return best.other
  return names.find(other => initials(name).toLowerCase() === other.toLowerCase())
}

/** Fewest insertions, deletions and replacements of characters from a to b (Levenshtein 1966). */
export function editDistance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = before[j - 1]! + Number(a[i - 1] !== b[j - 1])
      row[j] = Math.min(before[j]! + 1, row[j - 1]! + 1, replaced)
    }
    before = row
  }
  return before[b.length]!
}
