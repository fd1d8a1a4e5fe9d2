// Models of tokenizer.json: the token ids of a word.
import { buildBpe } from './bpe.ts'
import { byType, integerAt, type Json, objectAt, textAt } from './json-reader.ts'
import { buildUnigram } from './unigram.ts'
import { type Model, unknown, vocabularyAt } from './vocabulary.ts'

/** WordPiece: the longest token that fits, again and again; a word that does not come out is unknown. */
export function wordPiece(
  vocabulary: ReadonlyMap<string, number>,
  {
    unk_token,
    continuing_subword_prefix,
    max_input_chars_per_word,
  }: { unk_token: string; continuing_subword_prefix: string; max_input_chars_per_word: number },
  where: string,
): Model {
  const unknownId = unknown(vocabulary, unk_token, `${where}.unk_token`)
  let longest = 0
  for (const token of vocabulary.keys()) longest = Math.max(longest, token.length)
  const tokenize = (word: string): number[] => {
    if (word.length > max_input_chars_per_word && [...word].length > max_input_chars_per_word)
      return [unknownId(word)]
    const ids: number[] = []
    for (let start = 0; start < word.length; ) {
      const prefix = start > 0 ? continuing_subword_prefix : ''
      let end = Math.min(word.length, start + Math.max(1, longest - prefix.length))
      if (isSplitPair(word, end)) end++
      let id: number | undefined
      while (end > start) {
        id = vocabulary.get(prefix + word.slice(start, end))
        if (id !== undefined) break
        end -= isSplitPair(word, end - 1) ? 2 : 1
      }
      if (id === undefined) return [unknownId(word)]
      ids.push(id)
      start = end
    }
    return ids
  }
  return { tokenize, vocabulary, size: vocabulary.size }
}

/** Whether an index lies between the halves of a surrogate pair. */
const isSplitPair = (text: string, i: number): boolean => {
  const c = text.charCodeAt(i)
  return i > 0 && c >= 0xdc00 && c <= 0xdfff
}

const models: Record<string, (json: Json, where: string) => Model> = {
  BPE: buildBpe,
  Unigram: buildUnigram,
  WordLevel: (json, where) => {
    const vocabulary = vocabularyAt(json.vocab, `${where}.vocab`)
    const unk = unknown(vocabulary, textAt(json.unk_token, `${where}.unk_token`), `${where}.unk_token`)
    return {
      tokenize: word => [vocabulary.get(word) ?? unk(word)],
      vocabulary,
      size: vocabulary.size,
    }
  },
  WordPiece: (json, where) =>
    wordPiece(
      vocabularyAt(json.vocab, `${where}.vocab`),
      {
        unk_token: textAt(json.unk_token, `${where}.unk_token`),
        continuing_subword_prefix: textAt(
          json.continuing_subword_prefix,
          `${where}.continuing_subword_prefix`,
        ),
        max_input_chars_per_word: integerAt(
          json.max_input_chars_per_word,
          `${where}.max_input_chars_per_word`,
        ),
      },
      where,
    ),
}

/** The type of a model; files of old versions leave it out, and it shows by what stands there. */
function typed(json: Json): Json {
  if (json.type !== undefined) return json
  if (json.merges !== undefined) return { ...json, type: 'BPE' }
  if (json.continuing_subword_prefix !== undefined) return { ...json, type: 'WordPiece' }
  return { ...json, type: Array.isArray(json.vocab) ? 'Unigram' : 'WordLevel' }
}

/**
 * The model that JSON describes.
 * @throws ConfigError naming the place, for one that is not supported or cannot be.
 */
export function buildModel(value: unknown, where: string): Model {
  const json = typed(objectAt(value, where))
  return byType(models, json, where, 'model')(json, where)
}
