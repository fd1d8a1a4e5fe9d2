// Byte-pair encoding: the characters of a word, merged pair by pair in the order the merges were learned.
import { flagAt, type Json, listAt, numberAt, optional, refuse, shown, textAt } from './json-reader.ts'
import { type Model, unknown, vocabularyAt } from './vocabulary.ts'

/** A merge: its rank, and the token it makes. */
interface Merge {
  rank: number
  id: number
}

const PAIR = 2 ** 26
const encoder = new TextEncoder()

/** A pair of ids as one number; ids past 2^26 do not fit the numbers that are exact. */
const pairKey = (left: number, right: number): number => left * PAIR + right

function mergesAt(
  json: Json,
  vocabulary: Map<string, number>,
  prefix: string,
  where: string,
): Map<number, Merge> {
  const merges = new Map<number, Merge>()
  let rank = 0
  const list = listAt(json.merges, `${where}.merges`)
  // One kind for the whole list, as the first entry shows.
  const asText = typeof list[0] === 'string'
  for (const [i, merge] of list.entries()) {
    const place = `${where}.merges[${i}]`
    if (asText && textAt(merge, place).startsWith('#version')) continue
    const pair = asText ? textAt(merge, place).split(' ') : listAt(merge, place)
    if (pair.length !== 2) refuse(place, `expected two tokens, got ${shown(merge)}`)
    const [left, right] = pair.map(token => textAt(token, place)) as [string, string]
    if (!right.startsWith(prefix))
      refuse(place, `'${right}' does not begin with continuing_subword_prefix '${prefix}'`)
    const ids = [left, right, left + right.slice(prefix.length)].map(
      token => vocabulary.get(token) ?? refuse(place, `token '${token}' is not in the vocabulary`),
    )
    merges.set(pairKey(ids[0]!, ids[1]!), { rank: rank++, id: ids[2]! })
  }
  return merges
}

/** A pair of neighbours that a merge was found for. */
interface Entry extends Merge {
  at: number
}

/** A heap whose least entry, by rank and then by place, comes out first. */
function queue() {
  const heap: Entry[] = []
  const before = (a: Entry, b: Entry) => a.rank < b.rank || (a.rank === b.rank && a.at < b.at)
  return {
    push(entry: Entry) {
      let i = heap.push(entry) - 1
      while (i > 0 && before(entry, heap[(i - 1) >> 1]!)) {
        heap[i] = heap[(i - 1) >> 1]!
        i = (i - 1) >> 1
      }
      heap[i] = entry
    },
    pop(): Entry | undefined {
      const [top, last] = [heap[0], heap.pop()]
      if (!heap.length || !last) return top
      let i = 0
      for (;;) {
        let child = 2 * i + 1
        if (child >= heap.length) break
        if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
        if (!before(heap[child]!, last)) break
        heap[i] = heap[child]!
        i = child
      }
      heap[i] = last
      return top
    },
  }
}

function merged(ids: number[], merges: Map<number, Merge>): number[] {
  const next = ids.map((_, i) => (i + 1 < ids.length ? i + 1 : -1))
  const previous = ids.map((_, i) => i - 1)
  const gone = new Uint8Array(ids.length)
  const waiting = queue()
  const offer = (left: number, right: number) => {
    const merge = merges.get(pairKey(ids[left]!, ids[right]!))
    if (merge) waiting.push({ at: left, ...merge })
  }
  for (let i = 0; i + 1 < ids.length; i++) offer(i, i + 1)
  for (let top = waiting.pop(); top; top = waiting.pop()) {
    const { at, id } = top
    const right = next[at]!
    if (gone[at] || right < 0) continue
    // An entry may be out of date; it holds where the pair that stands there now makes the same token.
    if (merges.get(pairKey(ids[at]!, ids[right]!))?.id !== id) continue
    ids[at] = id
    gone[right] = 1
    next[at] = next[right]!
    if (next[at]! >= 0) previous[next[at]!] = at
    if (previous[at]! >= 0) offer(previous[at]!, at)
    if (next[at]! >= 0) offer(at, next[at]!)
  }
  return ids.filter((_, i) => !gone[i])
}

/** A BPE model out of JSON. */
export function buildBpe(json: Json, where: string): Model {
  const vocabulary = vocabularyAt(json.vocab, `${where}.vocab`)
  for (const [token, id] of vocabulary)
    if (id >= PAIR)
      refuse(`${where}.vocab[${JSON.stringify(token)}]`, `ids of 2^26 and more are not supported, got ${id}`)
  const dropout = optional(json, 'dropout', where, numberAt) ?? 0
  if (dropout)
    refuse(
      `${where}.dropout`,
      `merges that are dropped at random are not supported, expected null or 0, got ${dropout}`,
    )
  const prefix = optional(json, 'continuing_subword_prefix', where, textAt) ?? ''
  const suffix = optional(json, 'end_of_word_suffix', where, textAt) ?? ''
  const fuse = optional(json, 'fuse_unk', where, flagAt) ?? false
  const byBytes = optional(json, 'byte_fallback', where, flagAt) ?? false
  const ignoreMerges = optional(json, 'ignore_merges', where, flagAt) ?? false
  const unkToken = optional(json, 'unk_token', where, textAt)
  const unkId = unkToken === undefined ? undefined : unknown(vocabulary, unkToken, `${where}.unk_token`)
  const merges = mergesAt(json, vocabulary, prefix, where)

  /** Ids of the bytes of a character, where every one of them has a token. */
  const byteIds = (text: string): number[] | undefined => {
    const ids: number[] = []
    for (const byte of encoder.encode(text)) {
      const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
      if (id === undefined) return undefined
      ids.push(id)
    }
    return ids
  }

  const tokenize = (word: string): number[] => {
    const whole = ignoreMerges ? vocabulary.get(word) : undefined
    if (whole !== undefined) return [whole]
    const ids: number[] = []
    let waiting: number | undefined
    const characters = [...word]
    for (const [i, character] of characters.entries()) {
      const text = `${i ? prefix : ''}${character}${i + 1 === characters.length ? suffix : ''}`
      const id = vocabulary.get(text)
      if (id !== undefined) {
        if (waiting !== undefined) ids.push(waiting)
        waiting = undefined
        ids.push(id)
        continue
      }
      // Bytes go before an unknown token that still waits, as in `tokenizers`.
      const bytes = byBytes ? byteIds(text) : undefined
      if (bytes) ids.push(...bytes)
      else if (unkId) {
        if (waiting !== undefined && !fuse) ids.push(waiting)
        waiting = unkId(word)
      }
    }
    if (waiting !== undefined) ids.push(waiting)
    return merged(ids, merges)
  }
  return { tokenize, vocabulary, size: vocabulary.size }
}
