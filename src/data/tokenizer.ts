/** Texts to token ids, by the tokenizer that a transformers folder holds. */
import { files } from '#files'
import { ConfigError, DataError } from '../errors.ts'
import { isThere, readJson, readText } from './files.ts'
import { SURROGATE } from './tokenizer/json-reader.ts'
import type { Resolved } from './tokenizer/transformers.ts'

const TOKENIZER_FILE = 'tokenizer.json'
const TOKENIZER_CONFIG_FILE = 'tokenizer_config.json'
const SPECIAL_TOKENS_MAP_FILE = 'special_tokens_map.json'
const ADDED_TOKENS_FILE = 'added_tokens.json'
const VOCABULARY_FILE = 'vocab.txt'
const MODEL_CONFIG_FILE = 'config.json'

/** A folder's tokenizer. */
export interface TextTokenizer {
  /**
   * Token ids of a text, special tokens included; a text that is too long loses its end, not them.
   * @throws DataError for a text with half of a surrogate pair, or with a token that the encoder or the vocabulary lacks.
   */
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
  /**
   * Of texts that the model joins itself: `encode` then gives the words alone, however many, and these have to be the tokens that the folder's own
   * tokenizer puts around a text and masks by.
   */
  joined?: { first: number; separator: number; mask?: number }
}

/**
 * Reads tokenizer.json or BERT's vocab.txt, and what stands beside it: tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json, and config.json for the kind of model. `encode` gives the ids that `AutoTokenizer` of transformers 5 gives
 * with `truncation=True`: at most `model_max_length`, or the encoder's positions if they are fewer. Without config.json and
 * `tokenizer_class`, tokenizer.json counts as it stands.
 * @throws ConfigError naming file and key, where a file is missing, no tokenizer, or asks for what is not supported, and where
 * ids are beyond the word table.
 *
 * @example
 * ```ts
 * import { loadTokenizer } from 'kernelgrad/data'
 *
 * const tokenizer = await loadTokenizer('distilbert', { maxPositions: 512, vocabSize: 30522 })
 * const ids = tokenizer.encode('best headphones')
 * ```
 */
export async function loadTokenizer(folder: string, limits: TokenizerLimits): Promise<TextTokenizer> {
  const { join } = files
  // Loaded on use: most models read tokens.
  const { opensAsBert } = await import('./tokenizer/index.ts')
  const config = await readObject(join(folder, TOKENIZER_CONFIG_FILE))
  const specialTokensMap = await readObject(join(folder, SPECIAL_TOKENS_MAP_FILE))
  const addedTokens = await readObject(join(folder, ADDED_TOKENS_FILE))
  const modelConfig = await readObject(join(folder, MODEL_CONFIG_FILE))
  const said = saidOf(folder, { config, specialTokensMap, addedTokens, modelConfig })
  said.tokenizer = await readTokenizer(folder, () => opensAsBert(said))
  return tokenizerOf(said, limits, config)
}

/**
 * The same of what a folder's files hold, by their names: what `files` of a tokenizer has.
 * @param name what messages call the folder.
 * @throws ConfigError as {@link loadTokenizer} does.
 */
export function tokenizerFrom(
  contents: Readonly<Record<string, unknown>>,
  limits: TokenizerLimits,
  name: string,
): Promise<TextTokenizer> {
  const object = (file: string) => contents[file] as Record<string, unknown> | undefined
  const config = object(TOKENIZER_CONFIG_FILE)
  const said = saidOf(name, {
    config,
    specialTokensMap: object(SPECIAL_TOKENS_MAP_FILE),
    addedTokens: object(ADDED_TOKENS_FILE),
    modelConfig: undefined,
  })
  said.tokenizer = contents[TOKENIZER_FILE]
  return tokenizerOf(said, limits, config)
}

type Json = Record<string, unknown> | undefined

const saidOf = (
  folder: string,
  {
    config,
    modelConfig,
    ...others
  }: Record<'config' | 'modelConfig' | 'specialTokensMap' | 'addedTokens', Json>,
) => ({
  ...{ folder, config: config ?? {}, modelConfig: modelConfig ?? {}, ...others },
  tokenizer: undefined as unknown,
})

async function tokenizerOf(
  said: ReturnType<typeof saidOf>,
  limits: TokenizerLimits,
  config: Json,
): Promise<TextTokenizer> {
  const { encoder, resolveTokenizer } = await import('./tokenizer/index.ts')
  const resolved = resolveTokenizer(said)
  const path = files.join(said.folder, TOKENIZER_FILE)
  checkIds(resolved, limits, path)
  const words = encoder(resolved.pipeline, { splitSpecial: resolved.splitSpecial, file: path })
  // Without config.json the folder's tokenizer.json counts as it stands; beside a model's configuration, only this says so.
  const pinned =
    said.config.tokenizer_class === undefined && resolved.tokenizerClass !== 'BertTokenizer'
      ? { ...said.config, tokenizer_class: resolved.tokenizerClass }
      : config
  return {
    encode: framed(words, resolved, limits),
    files: Object.fromEntries(
      Object.entries({
        [TOKENIZER_FILE]: said.tokenizer,
        [TOKENIZER_CONFIG_FILE]: pinned,
        [SPECIAL_TOKENS_MAP_FILE]: said.specialTokensMap,
        [ADDED_TOKENS_FILE]: said.addedTokens,
      }).filter(([, json]) => json !== undefined),
    ),
  }
}

/** What a JSON file holds, nothing where there is none. */
async function readObject(path: string): Promise<Record<string, unknown> | undefined> {
  if (!(await isThere(path))) return undefined
  const json = await readJson(path)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new ConfigError(`${path}: expected an object`)
  return json as Record<string, unknown>
}

/** tokenizer.json, or vocab.txt as one. */
async function readTokenizer(folder: string, opensAsBert: () => boolean): Promise<unknown> {
  const path = files.join(folder, TOKENIZER_FILE)
  const vocabularyPath = files.join(folder, VOCABULARY_FILE)
  if ((await isThere(path)) || !(await isThere(vocabularyPath))) return readJson(path)
  if (!opensAsBert()) {
    throw new ConfigError(
      `${vocabularyPath} without ${TOKENIZER_FILE} is read as BERT's, which wants a config.json with model_type 'bert' or ` +
        `'distilbert', or tokenizer_class 'BertTokenizer' in ${TOKENIZER_CONFIG_FILE}`,
    )
  }
  const text = await readText(vocabularyPath, { keepMark: true })
  const { stripped } = await import('./tokenizer/index.ts')
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const vocab = Object.fromEntries(lines.map((line, id) => [stripped(line, false, true), id]))
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  }
}

function checkIds({ pipeline, maxLength }: Resolved, limits: TokenizerLimits, path: string): void {
  const { before, after } = pipeline.frame
  let largest = -1
  for (const id of [...before, ...after]) largest = Math.max(largest, id)
  for (const id of pipeline.model.vocabulary.values()) largest = Math.max(largest, id)
  if (largest >= limits.vocabSize) {
    throw new ConfigError(
      `${path} has token ids up to ${largest}, expected them below vocab_size ${limits.vocabSize}`,
    )
  }
  if (limits.joined) {
    checkJoined(pipeline, limits.joined, path)
    return
  }
  const frame = before.length + after.length
  const longest = Math.min(maxLength, limits.maxPositions)
  if (longest < frame)
    throw new ConfigError(
      `${path} sets ${frame} special tokens around a text that may have ${longest} in all`,
    )
}

/** A model that put other tokens around its texts than its words have would read them as words. */
function checkJoined(
  { frame: { before, after }, added }: Resolved['pipeline'],
  { first, separator, mask }: NonNullable<TokenizerLimits['joined']>,
  path: string,
): void {
  const own = [before, after].map(ids => ids.join(', ') || 'none')
  if ((before.length || after.length) && (own[0] !== String(first) || own[1] !== String(separator)))
    throw new ConfigError(
      `${path} has the tokens ${own[0]} before a text and ${own[1]} behind it, expected cls_token_id ${first} and sep_token_id ${separator}, as the model's configuration says`,
    )
  const masks = added.idOf('[MASK]') ?? added.idOf('<mask>')
  if (mask !== undefined && masks !== undefined && masks !== mask)
    throw new ConfigError(
      `${path} masks by token ${masks}, expected mask_token_id ${mask}, as the model's configuration says`,
    )
}

/** Words within their frame, cut to what fits; without it, and all of them, where a model joins texts. */
function framed(
  words: (text: string) => number[],
  { pipeline, maxLength, fromEnd }: Resolved,
  { maxPositions, vocabSize, joined }: TokenizerLimits,
): TextTokenizer['encode'] {
  const { before, after } = joined ? { before: [], after: [] } : pipeline.frame
  const room = joined
    ? Number.POSITIVE_INFINITY
    : Math.min(maxLength, maxPositions) - before.length - after.length
  const beyond = new Map([...pipeline.added.byId].filter(([id]) => id >= vocabSize))
  return text => {
    if (SURROGATE.test(text)) {
      const at = text.search(SURROGATE)
      throw new DataError(`text has half of a surrogate pair at ${at}: ${JSON.stringify(text.slice(0, 40))}`)
    }
    const all = words(text)
    const kept = all.length <= room ? all : fromEnd ? all.slice(all.length - room) : all.slice(0, room)
    const token = beyond.size ? kept.find(id => beyond.has(id)) : undefined
    if (token !== undefined) {
      throw new DataError(
        `text has token '${beyond.get(token)!.content}', whose id ${token} is not below vocab_size ${vocabSize}`,
      )
    }
    return [...before, ...kept, ...after]
  }
}
