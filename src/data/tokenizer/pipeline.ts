// A tokenizer as tokenizer.json describes it: added tokens, normalizer, pre-tokenizer, model, and the frame around.
import { AddedTokens, addedTokenAt } from './added-tokens.ts'
import { type Json, listAt, objectAt, refuse, shown } from './json-reader.ts'
import { buildModel } from './models.ts'
import { buildNormalizer, type Normalize } from './normalizers.ts'
import { buildFrame, type Frame } from './post-processors.ts'
import { buildPreTokenizer, checkFirst, type Piece, type PreTokenize } from './pre-tokenizers.ts'
import type { Model } from './vocabulary.ts'

/** The parts of a tokenizer. */
export interface Pipeline {
  normalize: Normalize
  preTokenize: PreTokenize
  model: Model
  frame: Frame
  added: AddedTokens
}

/** Words whose ids are kept, so that frequent ones are worked out once. */
const KEPT_WORDS = 20_000
const LONGEST_KEPT = 64

const isGiven = (value: unknown) => value !== undefined && value !== null

/**
 * The parts that a tokenizer.json describes.
 * @throws ConfigError naming file and key, for what is not supported or cannot be.
 */
export function buildPipeline(value: unknown, file: string): Pipeline {
  const json: Json = objectAt(value, file)
  if (json.version !== undefined && json.version !== '1.0')
    refuse(`${file}: version`, `expected '1.0', got ${shown(json.version)}`)
  const at = (key: string) => `${file}: ${key}`
  const normalize = isGiven(json.normalizer) ? buildNormalizer(json.normalizer, at('normalizer')) : undefined
  const preTokenize = isGiven(json.pre_tokenizer)
    ? buildPreTokenizer(json.pre_tokenizer, at('pre_tokenizer'))
    : undefined
  checkFirst(json.pre_tokenizer, normalize !== undefined, at('pre_tokenizer'))
  const model = buildModel(json.model, at('model'))
  const frame = isGiven(json.post_processor)
    ? buildFrame(json.post_processor, at('post_processor'))
    : { before: [], after: [] }
  const plain = (text: string) => text
  const added = new AddedTokens(model, normalize ?? plain)
  const tokens = json.added_tokens === undefined ? [] : listAt(json.added_tokens, at('added_tokens'))
  added.add(tokens.map((token, i) => addedTokenAt(token, at(`added_tokens[${i}]`), true)))
  return {
    normalize: normalize ?? plain,
    preTokenize: preTokenize ?? (pieces => pieces),
    model,
    frame,
    added,
  }
}

/** What turns a text into ids, without the frame. The parts must not change any more. */
export function encoder(
  { normalize, preTokenize, model, added }: Pipeline,
  { splitSpecial, file }: { splitSpecial: boolean; file: string },
): (text: string) => number[] {
  const unnormalized = added.finder(false, splitSpecial, file)
  const normalized = added.finder(true, splitSpecial, file)
  const kept = new Map<string, number[]>()
  const tokenize = (word: string): number[] => {
    const known = kept.get(word)
    if (known) return known
    const ids = model.tokenize(word)
    if (word.length <= LONGEST_KEPT && kept.size < KEPT_WORDS) kept.set(word, ids)
    return ids
  }
  return text => {
    const pieces = unnormalized(text).flatMap(({ text: section, id, start }): Piece[] => {
      if (id !== undefined) return [{ text: section, id, first: start === 0 }]
      return normalized(normalize(section)).map(part => ({
        text: part.text,
        ...(part.id === undefined ? {} : { id: part.id }),
        first: start + part.start === 0,
      }))
    })
    return preTokenize(pieces).flatMap(({ text: word, id }) => (id === undefined ? tokenize(word) : [id]))
  }
}
