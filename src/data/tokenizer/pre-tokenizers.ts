// Pre-tokenizers of tokenizer.json: how a text is cut into the words that the model sees.
import { ConfigError } from '../../errors.ts'
import { bytesAsText } from './byte-text.ts'
import {
  byType,
  characterAt,
  flagAt,
  integerAt,
  type Json,
  listAt,
  objectAt,
  optional,
  refuse,
  shown,
  textAt,
} from './json-reader.ts'
import { BEHAVIORS, type Behavior, cut, type Finder, findCharacters, findRegex } from './matches.ts'
import { patternAt } from './normalizers.ts'
import { compileRegex } from './regex.ts'
import { type Is, isNumeric, isPunctuation, isSpace, isWord } from './unicode.ts'

/** A piece of a text: still to be cut, or one added token. */
export interface Piece {
  text: string
  /** Of an added token; nothing is done to such a piece. */
  id?: number
  /** Whether it begins where the text does. */
  first: boolean
}

/** Pieces made of pieces. */
export type PreTokenize = (pieces: Piece[]) => Piece[]

/** A part of a piece, and where in the piece it begins. */
type Part = [text: string, start: number]

/** Cuts every piece that is no token; empty parts are dropped. */
const each =
  (split: (piece: Piece) => Part[]): PreTokenize =>
  pieces =>
    pieces.flatMap(piece => {
      if (piece.id !== undefined) return [piece]
      return split(piece).flatMap(([text, start]) =>
        text ? [{ text, first: piece.first && start === 0 }] : [],
      )
    })

const parts = (text: string, find: Finder, behavior: Behavior): Part[] =>
  cut(find(text), behavior).map(({ start, end }) => [text.slice(start, end), start])

const atCharacters = (is: Is, behavior: Behavior): PreTokenize =>
  each(({ text }) => parts(text, whole => findCharacters(whole, is), behavior))

const behaviorAt = (value: unknown, where: string): Behavior =>
  BEHAVIORS.find(name => name === value) ??
  refuse(
    where,
    `expected one of ${BEHAVIORS.join(', ')}, got ${value === undefined ? 'nothing' : shown(value)}`,
  )

const atSpaces = atCharacters(isSpace, 'Removed')

/** Cuts at white space, which is dropped, and around every punctuation mark. */
export const bertPreTokenizer: PreTokenize = pieces => atPunctuation(atSpaces(pieces))
const atPunctuation = atCharacters(isPunctuation, 'Isolated')

/** Runs of word characters and runs of what is neither those nor white space. */
const words = each(({ text }) => {
  const found: Part[] = []
  let [kind, at] = [0, 0]
  for (const character of text) {
    const c = character.codePointAt(0)!
    const now = isWord(c) ? 1 : isSpace(c) ? 0 : 2
    if (now && now === kind) found.at(-1)![0] += character
    else if (now) found.push([character, at])
    kind = now
    at += character.length
  }
  return found
})

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

function byteLevel(json: Json, where: string): PreTokenize {
  const prefix = flagAt(json.add_prefix_space, `${where}.add_prefix_space`)
  flagAt(json.trim_offsets, `${where}.trim_offsets`)
  const find = (optional(json, 'use_regex', where, flagAt) ?? true) && findRegex(compileRegex(GPT2, where))
  return each(({ text }) => {
    const spaced = prefix && !text.startsWith(' ') ? ` ${text}` : text
    const cutUp: Part[] = find ? parts(spaced, find, 'Isolated') : [[spaced, 0]]
    return cutUp.map(([part, start]) => [bytesAsText(part), start])
  })
}

function metaspace(json: Json, where: string): PreTokenize {
  const replacement = characterAt(json.replacement, `${where}.replacement`)
  const scheme = optional(json, 'prepend_scheme', where, textAt) ?? 'always'
  if (!['always', 'first', 'never'].includes(scheme))
    refuse(`${where}.prepend_scheme`, `expected 'always', 'first' or 'never', got '${scheme}'`)
  if (optional(json, 'add_prefix_space', where, flagAt) === false && scheme !== 'never')
    refuse(where, `add_prefix_space false goes with prepend_scheme 'never', got '${scheme}'`)
  const split = optional(json, 'split', where, flagAt) ?? true
  const is: Is = c => c === replacement.codePointAt(0)
  return each(({ text, first }) => {
    let out = text.replaceAll(' ', () => replacement)
    if ((scheme === 'always' || (scheme === 'first' && first)) && !out.startsWith(replacement))
      out = replacement + out
    return split ? parts(out, whole => findCharacters(whole, is), 'MergedWithNext') : [[out, 0]]
  })
}

function splitting(json: Json, where: string): PreTokenize {
  const find = patternAt(json.pattern, `${where}.pattern`)
  const behavior = behaviorAt(json.behavior, `${where}.behavior`)
  const invert = flagAt(json.invert, `${where}.invert`)
  const finder: Finder = invert
    ? text => find(text).map(stretch => ({ ...stretch, matches: !stretch.matches }))
    : find
  return each(({ text }) => parts(text, finder, behavior))
}

const preTokenizers: Record<string, (json: Json, where: string) => PreTokenize> = {
  BertPreTokenizer: () => bertPreTokenizer,
  ByteLevel: byteLevel,
  CharDelimiterSplit: (json, where) => {
    const delimiter = characterAt(json.delimiter, `${where}.delimiter`).codePointAt(0)!
    return atCharacters(c => c === delimiter, 'Removed')
  },
  Digits: (json, where) =>
    atCharacters(
      isNumeric,
      flagAt(json.individual_digits, `${where}.individual_digits`) ? 'Isolated' : 'Contiguous',
    ),
  FixedLength: (json, where) => {
    const length = json.length === undefined ? 5 : integerAt(json.length, `${where}.length`, 1)
    return each(({ text }) => {
      const characters = [...text]
      return Array.from(
        { length: Math.ceil(characters.length / length) },
        (_, i): Part => [characters.slice(i * length, (i + 1) * length).join(''), i],
      )
    })
  },
  Metaspace: metaspace,
  Punctuation: (json, where) =>
    atCharacters(
      isPunctuation,
      json.behavior === undefined ? 'Isolated' : behaviorAt(json.behavior, `${where}.behavior`),
    ),
  Sequence: (json, where) => {
    const steps = listAt(json.pretokenizers, `${where}.pretokenizers`).map((step, i) =>
      buildPreTokenizer(step, `${where}.pretokenizers[${i}]`),
    )
    return pieces => steps.reduce((done, step) => step(done), pieces)
  },
  Split: splitting,
  Whitespace: () => words,
  WhitespaceSplit: () => atSpaces,
}

/**
 * The pre-tokenizer that JSON describes.
 * @throws ConfigError naming the place, for one that is not supported or lacks a key.
 */
export function buildPreTokenizer(value: unknown, where: string): PreTokenize {
  const json = objectAt(value, where)
  return byType(preTokenizers, json, where, 'pre-tokenizer')(json, where)
}

/**
 * Metaspace's prepend_scheme 'first' asks where a piece began before it was normalized, which is kept only where no
 * normalizer moved it and no earlier step wrote bytes.
 * @throws ConfigError where that cannot be told.
 */
export function checkFirst(json: unknown, normalizes: boolean, where: string): void {
  const steps = flattened(json)
  const at = steps.findIndex(({ type, prepend_scheme }) => type === 'Metaspace' && prepend_scheme === 'first')
  if (
    at < 0 ||
    (!normalizes && !steps.slice(0, at).some(({ type }) => type === 'ByteLevel' || type === 'Metaspace'))
  )
    return
  throw new ConfigError(
    `${where}: prepend_scheme 'first' is not supported behind a normalizer, ByteLevel or another Metaspace`,
  )
}

function flattened(json: unknown): Json[] {
  if (typeof json !== 'object' || json === null) return []
  const { type, pretokenizers } = json as Json
  return type === 'Sequence' && Array.isArray(pretokenizers)
    ? pretokenizers.flatMap(flattened)
    : [json as Json]
}
