// The tokenizer that transformers 5 makes of a folder: which class opens it, what that class takes from tokenizer.json, and what
// tokenizer_config.json changes or adds.
import { AddedTokens, addedTokenAt, type LooseToken, specialToken } from './added-tokens.ts'
import {
  flagAt,
  type Json,
  listAt,
  numberAt,
  objectAt,
  optional,
  refuse,
  shown,
  textAt,
} from './json-reader.ts'
import { wordPiece } from './models.ts'
import { bertNormalizer } from './normalizers.ts'
import { buildPipeline, type Pipeline } from './pipeline.ts'
import { bertPreTokenizer } from './pre-tokenizers.ts'
import { vocabularyAt } from './vocabulary.ts'

/** The files of a folder that say what its tokenizer is; what is not there is undefined. */
export interface TokenizerFiles {
  /** Where they stand, for messages. */
  folder: string
  tokenizer: unknown
  config: Json
  modelConfig: Json
  specialTokensMap?: Json | undefined
  addedTokens?: Json | undefined
}

/** A tokenizer and how long its texts may be. */
export interface Resolved {
  pipeline: Pipeline
  maxLength: number
  fromEnd: boolean
  splitSpecial: boolean
  /** The class that opens the folder, if the folder's configuration does not name it itself. */
  tokenizerClass: 'BertTokenizer' | 'PreTrainedTokenizerFast'
}

const NAMED = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']
const BERT_DEFAULTS = {
  unk_token: '[UNK]',
  sep_token: '[SEP]',
  pad_token: '[PAD]',
  cls_token: '[CLS]',
  mask_token: '[MASK]',
}
const BERT_CLASSES = ['BertTokenizer', 'DistilBertTokenizer']
const PLAIN_CLASSES = ['PreTrainedTokenizer', 'PreTrainedTokenizerFast', 'TokenizersBackend']
/** Keys that would hand the tokenizer's making to something else. */
const FOREIGN = [
  '_json_padding',
  '_json_truncation',
  '_spm_precompiled_charsmap',
  'fast_tokenizer_files',
  'gguf_file',
  'post_processor',
  'tokenizer_object',
  'tokenizer_padding',
  'tokenizer_truncation',
]
/** Above this, a length is no limit. */
const NO_LIMIT = 1e20

/** Whether transformers opens the folder with BertTokenizer, which keeps nothing of tokenizer.json but its words and special tokens. */
export function opensAsBert({ folder, config, modelConfig }: TokenizerFiles): boolean {
  const where = `${folder}/config.json`
  const encoder = optional(modelConfig, 'pretrained_model_config', `${where}: `, objectAt)
  const own = encoder ?? modelConfig
  const isModel = Object.keys(modelConfig).length > 0
  const type = optional(own, 'model_type', `${where}: `, textAt) ?? (isModel ? 'distilbert' : undefined)
  if (type !== undefined && type !== 'bert' && type !== 'distilbert')
    refuse(
      `${where}: model_type`,
      `tokenizers of '${type}' are not supported, expected 'bert' or 'distilbert'`,
    )
  const named =
    optional(config, 'tokenizer_class', `${folder}/tokenizer_config.json: `, textAt) ??
    optional(own, 'tokenizer_class', `${where}: `, textAt)
  if (named === undefined) return type !== undefined
  if (PLAIN_CLASSES.includes(named)) return false
  if (BERT_CLASSES.includes(named.replace(/Fast$/, ''))) return true
  const known = [...BERT_CLASSES, ...PLAIN_CLASSES].join(', ')
  return refuse(
    `${folder}/tokenizer_config.json: tokenizer_class`,
    `'${named}' is not supported, expected one of ${known}`,
  )
}

/** A special token of the configuration: its text, or all that is said of it. */
function tokenAt(value: unknown, where: string): string | LooseToken {
  if (typeof value === 'string') return textAt(value, where)
  const json = objectAt(value, where)
  if (json.__type !== 'AddedToken')
    refuse(where, `expected a token's text or an AddedToken, got ${shown(value)}`)
  return addedTokenAt(json, where, false)
}

const contentOf = (token: string | LooseToken) => (typeof token === 'string' ? token : token.content)

/** Everything that the configuration's files add to a tokenizer. */
interface Additions {
  named: Map<string, string | LooseToken>
  extra: (string | LooseToken)[]
  /** By the id they ask for, which only orders them. */
  listed: LooseToken[]
}

function extraTokens(value: unknown, where: string, named: Additions['named']): (string | LooseToken)[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value.map((token, i) => tokenAt(token, `${where}[${i}]`))
  for (const [name, token] of Object.entries(objectAt(value, where)))
    named.set(name, tokenAt(token, `${where}.${name}`))
  return []
}

/** Whether a key holds something: an empty list or object counts as nothing. */
const holds = (value: unknown) =>
  value !== undefined && value !== null && (typeof value !== 'object' || Object.keys(value).length > 0)

/** The configuration's keys with those of special_tokens_map.json, which counts where no added tokens are listed. */
function withSpecialTokensMap({ folder, config, specialTokensMap }: TokenizerFiles): Json {
  const all: Json = { ...config }
  if (holds(all.additional_special_tokens) && !holds(all.extra_special_tokens)) {
    all.extra_special_tokens = all.additional_special_tokens
    delete all.additional_special_tokens
  }
  if (all.added_tokens_decoder !== undefined) return all
  const token = (value: unknown, place: string): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? { ...addedTokenAt({ ...value, special: true }, place, false), __type: 'AddedToken' }
      : value
  for (const [key, value] of Object.entries(specialTokensMap ?? {})) {
    const place = `${folder}/special_tokens_map.json: ${key}`
    if (key !== 'extra_special_tokens') all[key] = token(value, place)
    else if (!Array.isArray(value)) all[key] = value
    else {
      const before = holds(all[key]) ? listAt(all[key], place) : []
      all[key] = [...before, ...value.map((one, i) => token(one, `${place}[${i}]`))]
    }
  }
  if (all.extra_special_tokens === undefined) all.extra_special_tokens = all.additional_special_tokens
  return all
}

function additions(files: TokenizerFiles, padToken: string | undefined): Additions {
  const where = `${files.folder}/tokenizer_config.json: `
  const named: Additions['named'] = new Map()
  const config = withSpecialTokensMap(files)
  const decoder = new Map<number, LooseToken>()
  if (config.added_tokens_decoder !== undefined) {
    const place = `${where}added_tokens_decoder`
    for (const [id, token] of Object.entries(objectAt(config.added_tokens_decoder, place))) {
      if (!/^\d{1,10}$/.test(id)) refuse(place, `expected ids as keys, got '${id}'`)
      decoder.set(Number(id), addedTokenAt(token, `${place}['${id}']`, false))
    }
  }
  for (const key of NAMED) if (holds(config[key])) named.set(key, tokenAt(config[key], where + key))
  for (const [key, value] of Object.entries(config)) {
    const isToken = typeof value === 'string' || (value as Json | null)?.__type === 'AddedToken'
    if (key.endsWith('_token') && !NAMED.includes(key) && isToken) named.set(key, tokenAt(value, where + key))
  }
  const extra = extraTokens(config.extra_special_tokens, `${where}extra_special_tokens`, named)
  extraTokens(config.model_specific_special_tokens, `${where}model_specific_special_tokens`, named)
  if (config.added_tokens_decoder === undefined) legacyTokens(files, named, extra, decoder)
  if (padToken !== undefined && config.pad_token === undefined) named.set('pad_token', padToken)
  // A named token is the one of that content among those listed.
  const byContent = new Map([...decoder.values()].map(token => [token.content, token]))
  for (const key of NAMED) {
    const token = named.get(key)
    if (token !== undefined) named.set(key, byContent.get(contentOf(token)) ?? token)
  }
  const listed = [...decoder].toSorted(([a], [b]) => a - b).map(([, token]) => token)
  return { named, extra, listed }
}

/** Tokens of added_tokens.json and tokenizer.json, which count where the configuration lists none. */
function legacyTokens(
  { folder, addedTokens, tokenizer }: TokenizerFiles,
  named: Additions['named'],
  extra: (string | LooseToken)[],
  decoder: Map<number, LooseToken>,
): void {
  const special = new Set([...NAMED.flatMap(key => named.get(key) ?? []), ...extra].map(contentOf))
  for (const [content, id] of Object.entries(addedTokens ?? {})) {
    const isSpecial = special.has(content)
    const place = `${folder}/added_tokens.json: ${JSON.stringify(content)}`
    decoder.set(numberAt(id, place), {
      ...specialToken(textAt(content, place)),
      normalized: !isSpecial,
      special: isSpecial,
    })
  }
  const place = `${folder}/tokenizer.json: added_tokens`
  const tokens = (tokenizer as Json | undefined)?.added_tokens
  for (const [i, token] of tokens === undefined ? [] : listAt(tokens, place).entries())
    decoder.set(
      numberAt((token as Json)?.id, `${place}[${i}].id`),
      addedTokenAt(token, `${place}[${i}]`, false),
    )
}

const modelSpecific = (named: Additions['named']) =>
  [...named].flatMap(([key, token]) => (NAMED.includes(key) ? [] : [token]))

/** What the configuration adds, in the order and with the flags that transformers adds it. */
function addAll(added: AddedTokens, { named, extra, listed }: Additions): void {
  const names = new Set([...named.values()].map(contentOf))
  const there = new Set([...added.byId.values()].map(token => token.content))
  const tokens: (string | LooseToken)[] = [...listed]
  for (const token of listed) there.add(token.content)
  const inOrder = [...NAMED.flatMap(key => named.get(key) ?? []), ...modelSpecific(named), ...extra]
  for (const token of inOrder) {
    if (there.has(contentOf(token))) continue
    there.add(contentOf(token))
    tokens.push(token)
  }
  added.add(
    tokens.map(token => {
      if (typeof token === 'string') return specialToken(token)
      const special = token.special || names.has(token.content)
      return { ...token, special, normalized: token.normalized ?? !special }
    }),
  )
}

function bertPipeline(files: TokenizerFiles, found: Additions): Pipeline {
  const { config, folder, tokenizer } = files
  const where = `${folder}/tokenizer_config.json: `
  for (const [key, content] of Object.entries(BERT_DEFAULTS)) {
    if (found.named.has(key)) continue
    if (config[key] !== null) found.named.set(key, content)
    else if (key !== 'pad_token' && key !== 'mask_token') refuse(`${where}${key}`, 'null is not supported')
  }
  const contents = Object.fromEntries([...found.named].map(([key, token]) => [key, contentOf(token)]))
  for (const key of ['cls_token', 'sep_token'])
    if (/[: ]|^\$|^$/.test(contents[key]!))
      refuse(`${where}${key}`, `${shown(contents[key])} is not supported`)
  const place = `${folder}/tokenizer.json: model`
  const { vocab } = objectAt((tokenizer as Json).model, place)
  const words = Array.isArray(vocab)
    ? new Map(
        vocab.map((entry, i) => [textAt(Array.isArray(entry) ? entry[0] : entry, `${place}.vocab[${i}]`), i]),
      )
    : vocabularyAt(vocab, `${place}.vocab`)
  const model = wordPiece(
    words,
    { unk_token: contents.unk_token!, continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
    `${folder}/tokenizer_config.json:`,
  )
  const flag = (key: string, otherwise: boolean) =>
    config[key] === undefined ? otherwise : flagAt(config[key], `${where}${key}`)
  const normalize = bertNormalizer({
    clean_text: true,
    handle_chinese_chars: flag('tokenize_chinese_chars', true),
    strip_accents: optional(config, 'strip_accents', where, flagAt),
    lowercase: flag('do_lower_case', true),
  })
  const added = new AddedTokens(model, normalize)
  addAll(added, found)
  const [cls, sep] = [contents.cls_token!, contents.sep_token!].map(token => added.idOf(token)!)
  return { normalize, preTokenize: bertPreTokenizer, model, frame: { before: [cls!], after: [sep!] }, added }
}

function sideAt(value: unknown, where: string): string | undefined {
  if (value === undefined) return undefined
  const side = textAt(value, where)
  return side === 'left' || side === 'right'
    ? side
    : refuse(where, `expected 'left' or 'right', got '${side}'`)
}

/**
 * The tokenizer of a folder's files.
 * @throws ConfigError naming file and key, for what is not supported or cannot be.
 */
export function resolveTokenizer(files: TokenizerFiles): Resolved {
  const { folder, config } = files
  const where = `${folder}/tokenizer_config.json: `
  const json = objectAt(files.tokenizer, `${folder}/tokenizer.json`)
  for (const key of FOREIGN) if (key in config) refuse(`${where}${key}`, 'not supported')
  if (Array.isArray(config.init_inputs) && config.init_inputs.length)
    refuse(`${where}init_inputs`, 'not supported')
  const own = optional(config, 'auto_map', where, value => value)
  if (own !== undefined && (Array.isArray(own) || (own as Json).AutoTokenizer))
    refuse(`${where}auto_map`, 'a tokenizer whose code comes with the folder is not supported')
  const truncation = optional(json, 'truncation', `${folder}/tokenizer.json: `, objectAt)
  const padding = optional(json, 'padding', `${folder}/tokenizer.json: `, objectAt)
  const sideOf = (section: Json | undefined) => (section?.direction === 'Left' ? 'left' : 'right')
  const fromEnd = (sideAt(config.truncation_side, `${where}truncation_side`) ?? sideOf(truncation)) === 'left'
  if ((sideAt(config.padding_side, `${where}padding_side`) ?? sideOf(padding)) === 'left')
    refuse(
      `${where}padding_side`,
      "'left' is not supported: rows are not padded here, and positions count from the first token",
    )
  const padToken = padding && optional(padding, 'pad_token', `${folder}/tokenizer.json: padding`, textAt)
  const asBert = opensAsBert(files)
  const found = additions(files, asBert ? undefined : padToken)
  const pipeline = asBert ? bertPipeline(files, found) : buildPipeline(json, `${folder}/tokenizer.json`)
  if (!asBert) addAll(pipeline.added, found)
  const length = config.model_max_length !== undefined ? config.model_max_length : config.max_len
  const maxLength =
    length === undefined || length === null ? Infinity : numberAt(length, `${where}model_max_length`)
  if (maxLength <= NO_LIMIT && (maxLength < 1 || !Number.isInteger(maxLength)))
    refuse(`${where}model_max_length`, `expected an integer of at least 1, got ${maxLength}`)
  return {
    pipeline,
    maxLength: maxLength > NO_LIMIT ? Infinity : maxLength,
    fromEnd,
    splitSpecial:
      config.split_special_tokens === undefined
        ? false
        : flagAt(config.split_special_tokens, `${where}split_special_tokens`),
    tokenizerClass: asBert ? 'BertTokenizer' : 'PreTrainedTokenizerFast',
  }
}
