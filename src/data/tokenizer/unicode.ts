// What Python's `tokenizers` takes each character for, whatever Unicode version the JavaScript engine has.
import {
  CATEGORIES,
  CATEGORY_LETTERS,
  CATEGORY_RUNS,
  LOWER_RUNS,
  LOWER_SPECIAL,
  MARKS,
  NONSPACING,
  NORMAL,
  NUMERIC,
  PUNCTUATION,
  REMOVED,
  SPACES,
  WORDS,
} from './unicode-tables.ts'

/** A set of code points: ranges in rising order that do not touch, both ends included. */
export type Ranges = readonly (readonly [first: number, last: number])[]

/** A question asked of a code point. */
export type Is = (codePoint: number) => boolean

export const LAST_CODE_POINT = 0x10ffff
const BEYOND_ASCII = /[\u0080-\uffff]/

const once = <T>(make: () => T): (() => T) => {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** The ranges that a table holds as gaps and lengths. */
export function unpacked(table: string): Ranges {
  const numbers = table.split(' ').map(text => Number.parseInt(text, 36))
  const ranges: [number, number][] = []
  let at = 0
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    const first = at + numbers[i]!
    at = first + numbers[i + 1]!
    ranges.push([first, at - 1])
  }
  return ranges
}

/** Membership in a set, one bit a code point, made on first use. */
function member(table: string): Is {
  const bits = once(() => {
    const made = new Uint8Array((LAST_CODE_POINT >> 3) + 1)
    for (const [first, last] of unpacked(table))
      for (let c = first; c <= last; c++) made[c >> 3]! |= 1 << (c & 7)
    return made
  })
  return c => ((bits()[c >> 3]! >> (c & 7)) & 1) === 1
}

export const isWord = member(WORDS)
export const isSpace = member(SPACES)
export const isPunctuation = member(PUNCTUATION)
export const isNumeric = member(NUMERIC)
/** Control, format and private-use characters, which BertNormalizer cleans away. */
export const isRemoved = member(REMOVED)
export const isMark = member(MARKS)
export const isNonspacing = member(NONSPACING)
const isNormal = member(NORMAL)

/** Ranges of each general category, by its two letters. */
export const categories = once(() => {
  const found = new Map<string, [number, number][]>(CATEGORIES.map(name => [name, []]))
  let at = 0
  for (const [, letter, count] of CATEGORY_RUNS.matchAll(/([A-Z!#%])([0-9a-z]*)/g)) {
    const end = at + (count ? Number.parseInt(count, 36) : 1)
    found.get(CATEGORIES[CATEGORY_LETTERS.indexOf(letter!)]!)!.push([at, end - 1])
    at = end
  }
  return found as ReadonlyMap<string, Ranges>
})

const lowerCase = once(() => {
  const map = new Map<string, string>(
    LOWER_SPECIAL.map(([c, lower]) => [String.fromCodePoint(c), lower] as const),
  )
  const numbers = LOWER_RUNS.split(' ').map(text => Number.parseInt(text, 36))
  let first = 0
  for (let i = 0; i < numbers.length; i += 4) {
    first += numbers[i]!
    const [count, step, difference] = numbers.slice(i + 1, i + 4) as [number, number, number]
    for (let k = 0; k < count; k++) {
      const c = first + k * step
      map.set(String.fromCodePoint(c), String.fromCodePoint(c + difference))
    }
  }
  return map
})

/** Lower case, character by character: a final sigma is a sigma like any other. */
export function lowered(text: string): string {
  if (!BEYOND_ASCII.test(text)) return text.toLowerCase()
  const map = lowerCase()
  let out = ''
  for (const character of text) out += map.get(character) ?? character
  return out
}

/**
 * A normal form, as of the Unicode version of `tokenizers`. Characters of later versions stay as they are, and those known then
 * have the same normal forms in every version since.
 */
export function normalForm(text: string, form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): string {
  if (!BEYOND_ASCII.test(text)) return text
  let out = ''
  let run = ''
  for (const character of text) {
    if (isNormal(character.codePointAt(0)!)) {
      run += character
      continue
    }
    if (run) out += run.normalize(form)
    run = ''
    out += character
  }
  return run ? out + run.normalize(form) : out
}

/** The characters that stay. */
export function filtered(text: string, stays: Is): string {
  let out = ''
  for (const character of text) if (stays(character.codePointAt(0)!)) out += character
  return out
}
