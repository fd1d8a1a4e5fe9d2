// Tokens beside the model's vocabulary: found in the text before it is cut, some of them before it is normalized.
import { flagAt, objectAt, refuse, textAt } from './json-reader.ts'
import type { Normalize } from './normalizers.ts'
import { isSpace, isWord } from './unicode.ts'
import type { Model } from './vocabulary.ts'

/** A token that stands for itself wherever it is met. */
export interface AddedToken {
  content: string
  /** Only where no word character stands beside it. */
  single_word: boolean
  /** With the white space to its left. */
  lstrip: boolean
  /** With the white space to its right. */
  rstrip: boolean
  /** Whether it is looked for, normalized itself, in the normalized text. */
  normalized: boolean
  special: boolean
}

const FLAGS = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const

/** A token whose `normalized`, where it is not said, is the opposite of `special`. */
export type LooseToken = Omit<AddedToken, 'normalized'> & { normalized?: boolean | undefined }

/** An added token out of JSON; `strict` wants every key, as tokenizer.json has them. */
export function addedTokenAt(value: unknown, where: string, strict: true): AddedToken
export function addedTokenAt(value: unknown, where: string, strict: false): LooseToken
export function addedTokenAt(value: unknown, where: string, strict: boolean): LooseToken {
  const json = objectAt(value, where)
  const flag = (key: (typeof FLAGS)[number]) =>
    json[key] === undefined && !strict ? false : flagAt(json[key], `${where}.${key}`)
  return {
    content: textAt(json.content, `${where}.content`),
    single_word: flag('single_word'),
    lstrip: flag('lstrip'),
    rstrip: flag('rstrip'),
    special: flag('special'),
    ...(json.normalized === undefined && !strict ? {} : { normalized: flag('normalized') }),
  }
}

/** A token that is looked for as it stands. */
export const specialToken = (content: string): AddedToken => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

const same = (a: AddedToken, b: AddedToken) =>
  a.content === b.content && FLAGS.every(key => a[key] === b[key])

/** A part of a text: a token's id, or what lies between tokens. */
export interface Section {
  text: string
  id?: number
  start: number
}

/** The added tokens of one tokenizer. */
export class AddedTokens {
  /** Ids by content. */
  readonly ids = new Map<string, number>()
  private readonly tokens = new Map<number, AddedToken>()
  private readonly model: Model
  private readonly normalize: Normalize

  constructor(model: Model, normalize: Normalize) {
    this.model = model
    this.normalize = normalize
  }

  /** Every token by its id. */
  get byId(): ReadonlyMap<number, AddedToken> {
    return this.tokens
  }

  /** A token's id, added or of the vocabulary. */
  idOf(content: string): number | undefined {
    return this.ids.get(content) ?? this.model.vocabulary.get(content)
  }

  /** Adds tokens in order; one that has no id yet gets the next that is free. */
  add(tokens: Iterable<AddedToken>): void {
    let largest = -1
    for (const id of this.tokens.keys()) largest = Math.max(largest, id)
    const { size } = this.model
    let next = largest >= size || size === 0 ? largest + 1 : size
    for (const token of tokens) {
      if (token.content === '') continue
      const known = this.ids.get(token.content)
      const there = known === undefined ? undefined : this.tokens.get(known)
      if (there && same(there, token)) continue
      const id = this.idOf(token.content) ?? next++
      this.ids.set(token.content, id)
      this.tokens.set(id, token)
    }
  }

  /**
   * What finds the tokens that are `normalized`, or the others. Special tokens are passed over with `splitSpecial`.
   * @throws ConfigError where two tokens are looked for by the same text, or one by none.
   */
  finder(normalized: boolean, splitSpecial: boolean, where: string): (text: string) => Section[] {
    const patterns = new Map<string, number>()
    for (const [id, token] of this.tokens) {
      if (token.normalized !== normalized) continue
      const pattern = normalized ? this.normalize(token.content) : token.content
      if (pattern === '') refuse(where, `added token '${token.content}' is empty once it is normalized`)
      const twin = patterns.get(pattern)
      if (twin !== undefined)
        refuse(
          where,
          `added tokens '${this.tokens.get(twin)!.content}' and '${token.content}' are found by the same text`,
        )
      patterns.set(pattern, id)
    }
    const longest = longestAt(patterns)
    const special = new Set<string>()
    if (splitSpecial) for (const token of this.tokens.values()) if (token.special) special.add(token.content)
    return text => sections(text, longest, id => this.tokens.get(id)!, special)
  }
}

/** The longest of the patterns that stands at a place of a text. */
function longestAt(
  patterns: Map<string, number>,
): ((text: string, at: number) => [end: number, id: number] | undefined) | undefined {
  if (!patterns.size) return undefined
  const byFirst = new Map<number, [pattern: string, id: number][]>()
  for (const [pattern, id] of [...patterns].toSorted(([a], [b]) => b.length - a.length)) {
    const first = pattern.charCodeAt(0)
    byFirst.set(first, [...(byFirst.get(first) ?? []), [pattern, id]])
  }
  return (text, at) => {
    const found = byFirst.get(text.charCodeAt(at))?.find(([pattern]) => text.startsWith(pattern, at))
    return found && [at + found[0].length, found[1]]
  }
}

function sections(
  text: string,
  longest: ReturnType<typeof longestAt>,
  token: (id: number) => AddedToken,
  passedOver: ReadonlySet<string>,
): Section[] {
  if (!longest) return text ? [{ text, start: 0 }] : []
  const found: Section[] = []
  let from = 0
  for (let at = 0; at < text.length; ) {
    const match = longest(text, at)
    if (!match) {
      at++
      continue
    }
    let start = at
    let [stop, id] = match
    at = stop
    const { content, single_word, lstrip, rstrip } = token(id)
    if (passedOver.has(content)) continue
    if (single_word && (wordBefore(text, start) || wordAt(text, stop))) continue
    if (lstrip) while (start > from && isSpace(text.charCodeAt(start - 1))) start--
    if (rstrip) while (stop < text.length && isSpace(text.charCodeAt(stop))) stop++
    if (from < start) found.push({ text: text.slice(from, start), start: from })
    found.push({ text: text.slice(start, stop), id, start })
    from = stop
  }
  if (from < text.length) found.push({ text: text.slice(from), start: from })
  return found
}

const wordAt = (text: string, i: number): boolean => i < text.length && isWord(text.codePointAt(i)!)

function wordBefore(text: string, i: number): boolean {
  if (i === 0) return false
  const c = text.charCodeAt(i - 1)
  return isWord(c >= 0xdc00 && c <= 0xdfff ? text.codePointAt(i - 2)! : c)
}
