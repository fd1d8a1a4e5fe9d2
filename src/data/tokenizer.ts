/** Texts to token ids, by the tokenizer.json that a transformers folder holds. */
import { files } from '#files'
import { ConfigError } from '../errors.ts'
import { isThere, readJson } from './files.ts'

const TOKENIZER_FILE = 'tokenizer.json'
const TOKENIZER_CONFIG_FILE = 'tokenizer_config.json'

/** A folder's tokenizer. */
export interface TextTokenizer {
  /** Token ids of a text, special tokens included; a text that is too long loses its end, not them. */
  encode: (text: string) => number[]
  /** The files it was made from, by name: what to save beside a model. */
  files: Record<string, unknown>
}

/** What the encoder behind a tokenizer can take. */
export interface TokenizerLimits {
  /** Most tokens of a text: the encoder's positions. */
  maxPositions: number
  /** Rows of the word table. */
  vocabSize: number
}

/**
 * Reads tokenizer.json, and tokenizer_config.json where there is one. `encode` gives what a transformers tokenizer with
 * `truncation=True` gives: at most `model_max_length`, or the encoder's positions if they are fewer.
 * @throws ConfigError naming the file, where it is missing, no tokenizer, or has ids beyond the word table.
 */
export async function loadTokenizer(
  folder: string,
  { maxPositions, vocabSize }: TokenizerLimits,
): Promise<TextTokenizer> {
  const { join } = files
  const path = join(folder, TOKENIZER_FILE)
  const configPath = join(folder, TOKENIZER_CONFIG_FILE)
  const json = (await readJson(path)) as object
  const hasConfig = await isThere(configPath)
  const config = (hasConfig ? await readJson(configPath) : {}) as Record<string, unknown>
  const tokenizer = await build(json, config, path)
  let largest = -1
  for (const id of tokenizer.get_vocab(true).values()) largest = Math.max(largest, id)
  if (largest >= vocabSize) {
    throw new ConfigError(
      `${path} has token ids up to ${largest}, expected them below vocab_size ${vocabSize}`,
    )
  }
  const longest = Math.min(
    maxPositions,
    typeof config.model_max_length === 'number' ? config.model_max_length : maxPositions,
  )
  const fromEnd = config.truncation_side === 'left'
  return {
    encode: text => truncated(tokenizer, text, longest, fromEnd),
    files: { [TOKENIZER_FILE]: json, ...(hasConfig ? { [TOKENIZER_CONFIG_FILE]: config } : {}) },
  }
}

/** What is used of the library's class; its own types do not resolve under Node's module rules. */
interface LibraryTokenizer {
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: number[] }
  get_vocab(withAddedTokens: boolean): Map<string, number>
}

async function build(json: object, config: object, path: string): Promise<LibraryTokenizer> {
  // Loaded on use: most models read tokens.
  const { Tokenizer } = await import('@huggingface/tokenizers')
  try {
    return new Tokenizer(json, config)
  } catch (error) {
    throw new ConfigError(`${path} is no tokenizer that can be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function truncated(tokenizer: LibraryTokenizer, text: string, longest: number, fromEnd: boolean): number[] {
  const { ids } = tokenizer.encode(text)
  if (ids.length <= longest) return ids
  const words = tokenizer.encode(text, { add_special_tokens: false }).ids
  const special = ids.length - words.length
  // Where the words stand among the special tokens: after [CLS], before [SEP].
  let before = 0
  while (before < special && words.some((id, i) => ids[before + i] !== id)) before++
  const room = Math.max(0, longest - special)
  const kept = fromEnd ? words.slice(words.length - room) : words.slice(0, room)
  return [...ids.slice(0, before), ...kept, ...ids.slice(before + words.length)].slice(0, longest)
}
