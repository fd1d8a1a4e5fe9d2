// A tokenizer trained on the words of a table's texts, and the sizes of any.
import { ConfigError, DataError } from '../errors.ts'
import type { Work } from './columns.ts'
import { isMissing, keyOf } from './values.ts'
import { trainTokenizer, WordCounter } from './vocabulary.ts'

/**
 * Trains a tokenizer on the training rows' texts.
 * @throws DataError where they have no word
 */
export async function trainWords(
  { groups, also, options }: Work,
  texts: readonly string[],
  kind: 'word' | 'wordpiece',
  onProgress: (share: number) => void,
): Promise<object> {
  const words = new WordCounter()
  for (const [i, name] of texts.entries()) {
    for await (const { value, count } of groups(name, 'training'))
      if (!isMissing(value, 'string', also)) words.add(keyOf(value, 'string')!, count)
    onProgress((i + 1) / (texts.length + 1))
  }
  if (!words.counts.size) throw new DataError(`columns ${texts.join(', ')} have no word, expected texts`)
  const { vocabularySize: size, leastCount } = options
  return trainTokenizer(words.counts, { kind, size, leastCount }).json
}

/** How many ids a tokenizer has, and which of them is padding: '[PAD]' or the like, else one more. */
export function sizesOf(json: unknown, where: string): { size: number; pad: number } {
  const { model, added_tokens = [] } = json as {
    model: { vocab: Record<string, number> | [string, number][] }
    added_tokens?: { id: number; content: string }[]
  }
  const tokens = Array.isArray(model.vocab)
    ? model.vocab.map(([token], id): [string, number] => [token, id])
    : Object.entries(model.vocab)
  const ids = new Map([...tokens, ...added_tokens.map(({ content, id }): [string, number] => [content, id])])
  if (!ids.size) throw new ConfigError(`${where} has no tokens`)
  let size = 0
  for (const id of ids.values()) size = Math.max(size, id + 1)
  const pad = ['[PAD]', '<pad>', '<|padding|>'].map(token => ids.get(token)).find(id => id !== undefined)
  return pad === undefined ? { size: size + 1, pad: size } : { size: Math.max(2, size), pad }
}
