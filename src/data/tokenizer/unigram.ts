// Unigram: the cut of a word whose tokens' scores sum highest.
import { DataError } from '../../errors.ts'
import { flagAt, integerAt, type Json, listAt, numberAt, optional, refuse, textAt } from './json-reader.ts'
import type { Model } from './vocabulary.ts'

/** How much less than the lowest score an unknown character costs. */
const UNKNOWN_PENALTY = 10
const encoder = new TextEncoder()

/** A tree of tokens, by code units; a token ends where there is an index into the vocabulary. */
interface Node {
  next: Map<number, Node>
  index?: number
}

/** The best way to a place: where its last token begins, and which it is. */
interface Step {
  score: number
  start: number
  index: number
}

/** A Unigram model out of JSON. */
export function buildUnigram(json: Json, where: string): Model {
  const vocabulary = new Map<string, number>()
  const scores: number[] = []
  const root: Node = { next: new Map() }
  for (const [i, entry] of listAt(json.vocab, `${where}.vocab`).entries()) {
    const place = `${where}.vocab[${i}]`
    const pair = listAt(entry, place)
    if (pair.length !== 2) refuse(place, `expected a token and its score, got ${pair.length} values`)
    const token = textAt(pair[0], place)
    scores.push(numberAt(pair[1], place))
    vocabulary.set(token, i)
    let node = root
    for (let k = 0; k < token.length; k++) {
      const unit = token.charCodeAt(k)
      const child: Node = node.next.get(unit) ?? { next: new Map() }
      node.next.set(unit, child)
      node = child
    }
    node.index = i
  }
  const unkId = optional(json, 'unk_id', where, integerAt)
  if (unkId !== undefined && unkId >= scores.length)
    refuse(`${where}.unk_id`, `${unkId} is not below the ${scores.length} tokens of the vocabulary`)
  const byBytes =
    json.byte_fallback === undefined ? false : flagAt(json.byte_fallback, `${where}.byte_fallback`)
  let lowest = Infinity
  for (const score of scores) lowest = Math.min(lowest, score)
  const unknownScore = lowest - UNKNOWN_PENALTY

  /** The parts of a word; unknown characters side by side are one part. */
  const cutUp = (word: string): string[] => {
    const best: (Step | undefined)[] = new Array(word.length + 1)
    const offer = (end: number, score: number, start: number, index: () => number) => {
      const before = best[end]
      if (!before || score > before.score) best[end] = { score, start, index: index() }
    }
    for (let start = 0; start < word.length; ) {
      const here = best[start]?.score ?? 0
      const width = word.codePointAt(start)! > 0xffff ? 2 : 1
      let single = false
      let node: Node | undefined = root
      for (let end = start; end < word.length; ) {
        node = node.next.get(word.charCodeAt(end++))
        if (!node) break
        const { index } = node
        if (index === undefined) continue
        offer(end, scores[index]! + here, start, () => index)
        single ||= end - start === width
      }
      if (!single) offer(start + width, unknownScore + here, start, () => unkId ?? lacking(word))
      start += width
    }
    const parts: string[] = []
    let unknownEnd: number | undefined
    for (let end = word.length; end > 0; ) {
      const { start, index } = best[end]!
      if (index === unkId) unknownEnd ??= end
      else {
        if (unknownEnd !== undefined) parts.push(word.slice(end, unknownEnd))
        unknownEnd = undefined
        parts.push(word.slice(start, end))
      }
      end = start
    }
    if (unknownEnd !== undefined) parts.push(word.slice(0, unknownEnd))
    return parts.reverse()
  }
  const lacking = (word: string): never => {
    throw new DataError(`${JSON.stringify(word.slice(0, 40))} has no token, and ${where} has no unk_id`)
  }

  const tokenize = (word: string): number[] =>
    cutUp(word).flatMap(part => {
      const id = vocabulary.get(part)
      if (id !== undefined) return [id]
      const bytes = byBytes
        ? [...encoder.encode(part)].map(byte =>
            vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
          )
        : [undefined]
      if (bytes.every(byte => byte !== undefined)) return bytes
      return [unkId ?? lacking(part)]
    })
  return { tokenize, vocabulary, size: scores.length }
}
