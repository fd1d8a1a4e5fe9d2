// Where a pattern stands in a text, and the pieces that a text is cut into there.
import type { Is } from './unicode.ts'

/** A stretch of a text that a pattern matches, or one between two matches. */
export interface Stretch {
  start: number
  end: number
  matches: boolean
}

/** A text as stretches, one after another. */
export type Finder = (text: string) => Stretch[]

function between(text: string, found: Iterable<readonly [number, number]>): Stretch[] {
  const stretches: Stretch[] = []
  let at = 0
  for (const [start, end] of found) {
    if (at !== start) stretches.push({ start: at, end: start, matches: false })
    stretches.push({ start, end, matches: true })
    at = end
  }
  if (at !== text.length) stretches.push({ start: at, end: text.length, matches: false })
  return stretches
}

/** Every code point that `is` accepts is a match of its own. */
export function findCharacters(text: string, is: Is): Stretch[] {
  const found: [number, number][] = []
  for (let i = 0; i < text.length; ) {
    const c = text.codePointAt(i)!
    const end = i + (c > 0xffff ? 2 : 1)
    if (is(c)) found.push([i, end])
    i = end
  }
  return between(text, found)
}

/** Every place of `pattern`, which is not empty. */
export function findText(text: string, pattern: string): Stretch[] {
  const found: [number, number][] = []
  for (let i = text.indexOf(pattern); i >= 0; i = text.indexOf(pattern, i + pattern.length))
    found.push([i, i + pattern.length])
  return between(text, found)
}

/** Every match of a regular expression with flags `g` and `u`; none that is empty right behind another, as Oniguruma has it. */
export function findRegex(regex: RegExp): Finder {
  return text => {
    const found: [number, number][] = []
    let last = -1
    let from = 0
    while (from <= text.length) {
      regex.lastIndex = from
      const match = regex.exec(text)
      if (!match) break
      const [start, end] = [match.index, match.index + match[0].length]
      // V8 lets an assertion hold between the halves of a surrogate pair.
      if (start > 0 && (text.codePointAt(start - 1) ?? 0) > 0xffff) {
        from = start + 1
        continue
      }
      if (start === end && end === last) {
        from += (text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1
        continue
      }
      found.push([start, end])
      from = last = end
    }
    return between(text, found)
  }
}

export const BEHAVIORS = [
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
] as const
/** What becomes of the matches that a text is cut at. */
export type Behavior = (typeof BEHAVIORS)[number]

/** The pieces that a text is cut into; empty ones too. */
export function cut(stretches: Stretch[], behavior: Behavior): Stretch[] {
  if (behavior === 'Removed') return stretches.filter(({ matches }) => !matches)
  if (behavior === 'Isolated') return stretches
  const backwards = behavior === 'MergedWithNext'
  const pieces: Stretch[] = []
  let previous = false
  for (const stretch of backwards ? stretches.toReversed() : stretches) {
    const joins = behavior === 'Contiguous' ? stretch.matches === previous : stretch.matches && !previous
    const last = pieces.at(-1)
    if (!joins || !last) pieces.push({ ...stretch })
    else if (backwards) last.start = stretch.start
    else last.end = stretch.end
    previous = stretch.matches
  }
  return backwards ? pieces.reverse() : pieces
}
