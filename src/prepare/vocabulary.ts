// A tokenizer of a table's own: words that stand there often enough, or WordPiece's parts of them.
import { buildNormalizer } from '../data/tokenizer/normalizers.ts'
import { buildPreTokenizer } from '../data/tokenizer/pre-tokenizers.ts'

const PAD = '[PAD]'
const UNKNOWN = '[UNK]'
const PREFIX = '##'
/** Longer words are unknown to WordPiece. */
const LONGEST_WORD = 100

const NORMALIZER = {
  type: 'BertNormalizer',
  clean_text: true,
  handle_chinese_chars: true,
  strip_accents: null,
  lowercase: true,
}
const PRE_TOKENIZER = { type: 'BertPreTokenizer' }

/** Words kept while they are counted; of more, those that were seen once are forgotten. */
const MOST_WORDS = 4_000_000

/** Counts the words of texts, as BERT splits them. */
export class WordCounter {
  readonly counts = new Map<string, number>()
  readonly #normalize = buildNormalizer(NORMALIZER, 'normalizer')
  readonly #split = buildPreTokenizer(PRE_TOKENIZER, 'pre_tokenizer')

  add(text: string, times: number): void {
    for (const { text: word } of this.#split([{ text: this.#normalize(text), first: true }]))
      this.counts.set(word, (this.counts.get(word) ?? 0) + times)
    if (this.counts.size > MOST_WORDS)
      for (const [word, n] of this.counts) if (n === 1) this.counts.delete(word)
  }
}

/** How a tokenizer is trained. */
export interface VocabularyOptions {
  kind: 'word' | 'wordpiece'
  /** Tokens at most, [PAD] and [UNK] included. */
  size: number
  /** Times that a word, or a pair of parts, stands there at least. */
  leastCount: number
}

/** A tokenizer.json of counted words; token 0 is [PAD], 1 is [UNK]. */
export function trainTokenizer(
  counts: ReadonlyMap<string, number>,
  options: VocabularyOptions,
): { json: object; size: number } {
  const tokens = options.kind === 'word' ? frequentWords(counts, options) : wordPieces(counts, options)
  const vocab = Object.fromEntries([PAD, UNKNOWN, ...tokens].map((token, id) => [token, id]))
  const special = (content: string, id: number) => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  })
  const model =
    options.kind === 'word'
      ? { type: 'WordLevel', vocab, unk_token: UNKNOWN }
      : {
          type: 'WordPiece',
          unk_token: UNKNOWN,
          continuing_subword_prefix: PREFIX,
          max_input_chars_per_word: LONGEST_WORD,
          vocab,
        }
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(PAD, 0), special(UNKNOWN, 1)],
    normalizer: NORMALIZER,
    pre_tokenizer: PRE_TOKENIZER,
    post_processor: null,
    decoder: null,
    model,
  }
  return { json, size: tokens.length + 2 }
}

/** By how often, then by the text itself. */
const byCount = ([a, m]: readonly [string, number], [b, n]: readonly [string, number]) =>
  n - m || (a < b ? -1 : 1)

function frequentWords(
  counts: ReadonlyMap<string, number>,
  { size, leastCount }: VocabularyOptions,
): string[] {
  return [...counts]
    .filter(([word, n]) => n >= leastCount && word !== PAD && word !== UNKNOWN)
    .sort(byCount)
    .slice(0, Math.max(0, size - 2))
    .map(([word]) => word)
}

interface Word {
  parts: string[]
  count: number
}

const joined = (a: string, b: string) => a + b.slice(PREFIX.length)

/** WordPiece as Hugging Face's trainer has it: byte-pair merges of characters, the most frequent pair first (Sennrich et al. 2016). */
function wordPieces(counts: ReadonlyMap<string, number>, { size, leastCount }: VocabularyOptions): string[] {
  const words: Word[] = [...counts]
    .sort(byCount)
    .filter(([word]) => word.length <= LONGEST_WORD)
    .map(([word, count]) => ({ parts: [...word].map((c, i) => (i ? PREFIX + c : c)), count }))
  const letters = new Map<string, number>()
  for (const { parts, count } of words)
    for (const part of parts) letters.set(part, (letters.get(part) ?? 0) + count)
  const tokens = [...letters]
    .sort(byCount)
    .slice(0, Math.max(0, size - 2))
    .map(([letter]) => letter)
  const known = new Set(tokens)
  const pairs = new Map<string, { a: string; b: string; count: number; words: Set<number> }>()
  const note = (index: number, sign: 1 | -1) => {
    const { parts, count } = words[index]!
    for (let i = 1; i < parts.length; i++) {
      const [a, b] = [parts[i - 1]!, parts[i]!]
      const id = `${a} ${b}`
      const pair = pairs.get(id) ?? { a, b, count: 0, words: new Set<number>() }
      pair.count += sign * count
      if (sign > 0) pair.words.add(index)
      pairs.set(id, pair)
    }
  }
  for (let i = 0; i < words.length; i++) note(i, 1)
  while (tokens.length < size - 2) {
    let best: { id: string; count: number } | undefined
    for (const [id, { count }] of pairs)
      if (!best || count > best.count || (count === best.count && id < best.id)) best = { id, count }
    if (!best || best.count < leastCount) break
    const { a, b, words: having } = pairs.get(best.id)!
    const token = joined(a, b)
    for (const index of having) {
      note(index, -1)
      words[index]!.parts = merged(words[index]!.parts, a, b, token)
      note(index, 1)
    }
    pairs.delete(best.id)
    if (!known.has(token)) tokens.push(token)
    known.add(token)
  }
  return tokens
}

function merged(parts: readonly string[], a: string, b: string, token: string): string[] {
  const out: string[] = []
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === a && parts[i + 1] === b) {
      out.push(token)
      i++
    } else out.push(parts[i]!)
  }
  return out
}
