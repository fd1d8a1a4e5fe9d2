// Sets of code points as ranges: what the classes of a regular expression are worked out with.

import { categories, LAST_CODE_POINT, type Ranges, unpacked } from './unicode.ts'
import { REGEX_WORDS_LESS, SPACES, WORDS } from './unicode-tables.ts'

/** What any of the sets holds. */
export function union(...sets: Ranges[]): Ranges {
  const merged: [number, number][] = []
  for (const [first, last] of sets.flat().toSorted((a, b) => a[0] - b[0])) {
    const before = merged.at(-1)
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else merged.push([first, last])
  }
  return merged
}

/** Every code point that the set does not hold. */
export function complement(set: Ranges): Ranges {
  const others: [number, number][] = []
  let at = 0
  for (const [first, last] of set) {
    if (at < first) others.push([at, first - 1])
    at = last + 1
  }
  if (at <= LAST_CODE_POINT) others.push([at, LAST_CODE_POINT])
  return others
}

/** What both sets hold. */
export const intersection = (a: Ranges, b: Ranges): Ranges => complement(union(complement(a), complement(b)))

/** A general category by its one or two letters; nothing for another name. */
export function category(name: string): Ranges | undefined {
  const found = [...categories()].filter(([full]) => full === name || (name.length === 1 && full[0] === name))
  return found.length ? union(...found.map(([, ranges]) => ranges)) : undefined
}

/** What `\d`, `\h`, `\s` and `\w` stand for in a regular expression of tokenizer.json. */
export const shorthand: Record<string, () => Ranges> = {
  d: () => category('Nd')!,
  h: () => [
    [0x30, 0x39],
    [0x41, 0x46],
    [0x61, 0x66],
  ],
  s: () => unpacked(SPACES),
  w: () => intersection(unpacked(WORDS), complement(unpacked(REGEX_WORDS_LESS))),
}

/** The set as a class of a JavaScript regular expression with flag `u`. */
export function asClass(set: Ranges): string {
  const one = (c: number) => `\\u{${c.toString(16)}}`
  const text = set
    .map(([first, last]) => (first === last ? one(first) : `${one(first)}-${one(last)}`))
    .join('')
  return text ? `[${text}]` : '[]'
}
