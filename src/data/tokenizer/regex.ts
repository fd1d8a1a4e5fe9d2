// Regular expressions of tokenizer.json are Oniguruma's, in Ruby's syntax. The part of it that pre-tokenizers are written in is
// put into JavaScript's, every class written out as code points, so that no engine's Unicode version counts; the rest is
// refused by name.

import { asClass, category, complement, intersection, shorthand, union } from './code-point-sets.ts'
import { refuse } from './json-reader.ts'
import type { Ranges } from './unicode.ts'

const CONTROLS: Record<string, number> = { a: 7, b: 8, e: 27, f: 12, n: 10, r: 13, t: 9, v: 11 }
const NOT_NEWLINE = '[^\\n]'
const LINE_START = '(?:(?<![\\s\\S])|(?<=\\n)(?=[\\s\\S]))'
const LINE_END = '(?:(?=\\n)|(?![\\s\\S]))'
/** What a group may begin with. */
const GROUP = /\(\?(?::|=|!|<=|<!|>|i:|<[A-Za-z_]\w*>)/y
/** Characters outside ASCII that fold to a letter, and pairs of letters that one character folds to. */
const FOLDS: Record<string, number> = { k: 0x212a, s: 0x17f }
const FOLDED_PAIRS = /ss|st|ff|fi|fl/i
const DEEPEST = 64

/** Shorthands outside brackets: there, some digits and fractions of Latin-1 are word characters too. */
const outside: typeof shorthand = {
  ...shorthand,
  w: () =>
    union(shorthand.w!(), [
      [0xb2, 0xb3],
      [0xb9, 0xb9],
      [0xbc, 0xbe],
    ]),
}

/** Code points of both cases of a character. */
const sameLetter = (letter: string): number[] =>
  [
    letter.toLowerCase().codePointAt(0),
    letter.toUpperCase().codePointAt(0),
    FOLDS[letter.toLowerCase()],
  ].filter(c => c !== undefined)

const only = (c: number): Ranges => [[c, c]]
const wordEdge = (inside: boolean): string => {
  const word = asClass(outside.w!())
  return inside
    ? `(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`
    : `(?:(?<!${word})(?=${word})|(?<=${word})(?!${word}))`
}

/**
 * A regular expression of tokenizer.json as one of JavaScript, with flags `g` and `u`.
 * @throws ConfigError naming the place and what is not supported.
 */
export function compileRegex(source: string, where: string): RegExp {
  let at = 0
  let atomics = 0
  const fail = (what: string): never =>
    refuse(where, `${what} is not supported in a regular expression, in ${JSON.stringify(source)} at ${at}`)
  const peek = (text: string) => source.startsWith(text, at)
  const take = (text: string): boolean => {
    if (!peek(text)) return false
    at += text.length
    return true
  }
  const matched = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(source)
    if (match) at += match[0].length
    return match
  }

  function character(): number {
    const c = source.codePointAt(at)
    if (c === undefined) return fail('an end within an escape or a class')
    at += c > 0xffff ? 2 : 1
    return c
  }

  /** The set behind a backslash, or the one character. */
  function escaped(shorthands: typeof shorthand): Ranges {
    const property = matched(/([pP])\{(\^?)([A-Za-z]+)\}/y)
    if (property) {
      const set = category(property[3]!) ?? fail(`\\${property[0]}`)
      return (property[1] === 'P') !== (property[2] === '^') ? complement(set) : set
    }
    const hex = matched(/x\{([0-9A-Fa-f]{1,8})\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})/y)
    if (hex) {
      const c = Number.parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16)
      // Above 0x7f, \xHH is a byte of UTF-8.
      if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || (hex[2] && c > 0x7f)) fail(`\\${hex[0]}`)
      return only(c)
    }
    const letter = String.fromCodePoint(character())
    const set = shorthands[letter.toLowerCase()]
    if (set) return letter === letter.toLowerCase() ? set() : complement(set())
    if (Object.hasOwn(CONTROLS, letter)) return only(CONTROLS[letter]!)
    return /[0-9A-Za-z]/.test(letter) || letter.codePointAt(0)! > 0x7f
      ? fail(`\\${letter}`)
      : only(letter.codePointAt(0)!)
  }

  /** What stands between brackets; the opening one is read. */
  function bracketed(depth: number): Ranges {
    if (depth > DEEPEST) fail('a class so deep')
    const negated = take('^')
    const operands: Ranges[] = []
    let set: Ranges = []
    while (!take(']')) {
      if (peek('[:') || peek('[.') || peek('[=')) fail(`'${source.slice(at, at + 2)}'`)
      if (take('&&')) {
        if (!set.length) fail('an empty side of &&')
        operands.push(set)
        set = []
        continue
      }
      if (take('[')) {
        set = union(set, bracketed(depth + 1))
        continue
      }
      const low = take('\\') ? escaped(shorthand) : only(character())
      if (!peek('-') || peek('-]')) {
        set = union(set, low)
        continue
      }
      if (peek('-[') || peek('-&&')) fail("'-' before a class")
      at++
      const high = take('\\') ? escaped(shorthand) : only(character())
      const [first, last] = [single(low), single(high)]
      if (first === undefined || last === undefined || first > last) return fail('such a range')
      set = union(set, [[first, last]])
    }
    if (!set.length) fail(operands.length ? 'an empty side of &&' : 'an empty class')
    const all = operands.reduceRight((both, operand) => intersection(both, operand), set)
    return negated ? complement(all) : all
  }

  function single(set: Ranges): number | undefined {
    return set.length === 1 && set[0]![0] === set[0]![1] ? set[0]![0] : undefined
  }

  /** One character or group, without what repeats it. */
  function atom(ignoreCase: boolean, depth: number): string {
    if (take('.')) return NOT_NEWLINE
    if (take('^')) return LINE_START
    if (take('$')) return LINE_END
    if (take('[')) return asClass(ignoreCase ? folded(bracketed(0)) : bracketed(0))
    if (peek('(')) return group(ignoreCase, depth)
    if (take('\\')) {
      if (take('A')) return '(?<![\\s\\S])'
      if (take('z')) return '(?![\\s\\S])'
      if (take('Z')) return '(?=\\n?(?![\\s\\S]))'
      if (take('b')) return wordEdge(false)
      if (take('B')) return wordEdge(true)
      return ignoreCase ? fail('an escape within (?i:)') : asClass(escaped(outside))
    }
    if (/[)*+?]/.test(source[at] ?? '') || matched(/\{\d*,?\d*\}/y)) fail('a repetition of nothing')
    const c = only(character())
    return asClass(ignoreCase ? folded(c) : c)
  }

  /** What is the same letter as one of an ASCII set, whatever its case. */
  function folded(set: Ranges): Ranges {
    if (set.some(([, last]) => last > 0x7f)) fail('a character outside ASCII within (?i:)')
    const letters = set.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i),
    )
    return union(...letters.flatMap(c => sameLetter(String.fromCodePoint(c))).map(only))
  }

  function group(ignoreCase: boolean, depth: number): string {
    if (depth > DEEPEST) fail('a group so deep')
    const opened = at
    const kind = matched(GROUP)?.[0]
    if (kind === undefined) {
      if (peek('(?') || peek('(*')) fail(`'${source.slice(at, at + 4)}'`)
      at++
    }
    const inner = alternatives(ignoreCase || kind === '(?i:', depth + 1)
    if (!take(')')) fail('a group without an end')
    if (kind === '(?i:' && FOLDED_PAIRS.test(source.slice(opened, at).replace(/\[[^\]]*\]/g, '|')))
      fail('ss, st, ff, fi or fl within (?i:)')
    if (kind === '(?>') return atomic(inner)
    return kind && /^\(\?<?[=!]$/.test(kind) ? `${kind}${inner})` : `(?:${inner})`
  }

  /** What matches once and is never taken back: JavaScript has a lookahead and a reference for it. */
  function atomic(inner: string): string {
    const name = `a${atomics++}`
    return `(?=(?<${name}>${inner}))\\k<${name}>`
  }

  function repeated(ignoreCase: boolean, depth: number): string {
    const begin = at
    const one = atom(ignoreCase, depth)
    const repeat = matched(/[*+?]|\{(?:\d+,\d*|,?\d+)\}/y)?.[0]
    if (repeat === undefined) return one
    if (/^[\^$]|^\\[AzZbB]|^\(\?<?[=!]/.test(source.slice(begin))) fail('a repeated assertion')
    const times = repeat.replace('{,', '{0,')
    const simple = repeat.length === 1
    const many = `(?:${one})${times}`
    let out = many
    if (simple && take('+')) out = atomic(many)
    else if ((simple || repeat.includes(',')) && take('?')) out = `${many}?`
    // In Ruby's syntax only +, * and ? can be kept from giving back.
    else if (!simple && take('+')) out = `(?:${many})+`
    if (/[*+?]/.test(source[at] ?? '') || matched(/\{(?:\d+,?\d*|,\d+)\}/y))
      fail('a repetition of a repetition')
    return out
  }

  function alternatives(ignoreCase: boolean, depth: number): string {
    let out = ''
    while (at < source.length && !peek(')')) out += take('|') ? '|' : repeated(ignoreCase, depth)
    return out
  }

  const text = alternatives(false, 0)
  if (at < source.length) fail("')' without '('")
  try {
    return new RegExp(text, 'gu')
  } catch (error) {
    return fail((error as Error).message)
  }
}
