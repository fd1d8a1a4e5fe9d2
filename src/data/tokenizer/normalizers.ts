// Normalizers of tokenizer.json: what is done to a text before it is cut.

import { bytesAsText } from './byte-text.ts'
import { byType, flagAt, type Json, listAt, objectAt, optional, refuse, textAt } from './json-reader.ts'
import { type Finder, findRegex, findText } from './matches.ts'
import { compileRegex } from './regex.ts'
import {
  filtered,
  isMark,
  isNonspacing,
  isRemoved,
  isSpace,
  lowered,
  normalForm,
  type Ranges,
} from './unicode.ts'

/** A text made into another. */
export type Normalize = (text: string) => string

/** What BertNormalizer is told. */
export interface BertNormalizerOptions {
  clean_text: boolean
  handle_chinese_chars: boolean
  /** As `lowercase` where it is not said. */
  strip_accents?: boolean | undefined
  lowercase: boolean
}

const PLAIN = /^[\x20-\x7e]*$/
// The blocks BERT takes for Chinese; U+2B820 to U+2B91F are missing from `tokenizers` and so from here.
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu

/** Cleans, sets Chinese characters apart, strips accents and lowers case, as asked. */
export function bertNormalizer(options: BertNormalizerOptions): Normalize {
  const { clean_text, handle_chinese_chars, lowercase, strip_accents = lowercase } = options
  return text => {
    if (PLAIN.test(text)) return lowercase ? text.toLowerCase() : text
    let out = text
    if (clean_text) out = cleaned(out)
    if (handle_chinese_chars) out = out.replace(CHINESE, ' $& ')
    if (strip_accents) out = filtered(normalForm(out, 'NFD'), c => !isNonspacing(c))
    return lowercase ? lowered(out) : out
  }
}

function cleaned(text: string): string {
  let out = ''
  for (const character of text) {
    const c = character.codePointAt(0)!
    if (c === 9 || c === 10 || c === 13) out += ' '
    else if (c !== 0 && c !== 0xfffd && !isRemoved(c)) out += isSpace(c) ? ' ' : character
  }
  return out
}

const NMT_DROPPED: Ranges = [
  [1, 8],
  [0xb, 0xb],
  [0xe, 0x1f],
  [0x7f, 0x7f],
  [0x8f, 0x8f],
  [0x9f, 0x9f],
]
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g

const nmt: Normalize = text =>
  filtered(text, c => !NMT_DROPPED.some(([first, last]) => c >= first && c <= last)).replace(NMT_SPACES, ' ')

/** A text without the white space at its ends. */
export function stripped(text: string, left: boolean, right: boolean): string {
  let [from, to] = [0, text.length]
  // White space is one code unit each.
  if (left) while (from < to && isSpace(text.charCodeAt(from))) from++
  if (right) while (to > from && isSpace(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

/** What a Replace or a Split looks for. */
export function patternAt(value: unknown, where: string): Finder {
  const json = objectAt(value, where)
  const [key, ...more] = Object.keys(json)
  if ((key !== 'String' && key !== 'Regex') || more.length)
    return refuse(where, 'expected an object with one key, String or Regex')
  const pattern = textAt(json[key], `${where}.${key}`)
  if (pattern === '') return refuse(`${where}.${key}`, 'an empty pattern is not supported')
  return key === 'String'
    ? text => findText(text, pattern)
    : findRegex(compileRegex(pattern, `${where}.Regex`))
}

function replace(json: Json, where: string): Normalize {
  const find = patternAt(json.pattern, `${where}.pattern`)
  const content = textAt(json.content, `${where}.content`)
  return text =>
    find(text)
      .map(({ start, end, matches }) => (matches ? content : text.slice(start, end)))
      .join('')
}

const normalizers: Record<string, (json: Json, where: string) => Normalize> = {
  BertNormalizer: (json, where) =>
    bertNormalizer({
      clean_text: flagAt(json.clean_text, `${where}.clean_text`),
      handle_chinese_chars: flagAt(json.handle_chinese_chars, `${where}.handle_chinese_chars`),
      strip_accents: optional(json, 'strip_accents', where, flagAt),
      lowercase: flagAt(json.lowercase, `${where}.lowercase`),
    }),
  Lowercase: () => lowered,
  NFC: () => text => normalForm(text, 'NFC'),
  NFD: () => text => normalForm(text, 'NFD'),
  NFKC: () => text => normalForm(text, 'NFKC'),
  NFKD: () => text => normalForm(text, 'NFKD'),
  Nmt: () => nmt,
  Prepend: (json, where) => {
    const before = textAt(json.prepend, `${where}.prepend`)
    return text => (text ? before + text : text)
  },
  Replace: replace,
  Strip: (json, where) => {
    const left = flagAt(json.strip_left, `${where}.strip_left`)
    const right = flagAt(json.strip_right, `${where}.strip_right`)
    return text => stripped(text, left, right)
  },
  StripAccents: () => text => filtered(text, c => !isMark(c)),
  ByteLevel: () => bytesAsText,
  Sequence: (json, where) => {
    const steps = listAt(json.normalizers, `${where}.normalizers`).map((step, i) =>
      buildNormalizer(step, `${where}.normalizers[${i}]`),
    )
    return text => steps.reduce((done, step) => step(done), text)
  },
}

/**
 * The normalizer that JSON describes.
 * @throws ConfigError naming the place, for one that is not supported or lacks a key.
 */
export function buildNormalizer(value: unknown, where: string): Normalize {
  const json = objectAt(value, where)
  return byType(normalizers, json, where, 'normalizer')(json, where)
}
