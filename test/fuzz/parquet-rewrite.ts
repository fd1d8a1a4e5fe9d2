/** Pages of a Parquet file decoded down to levels and value bytes, and encoded again in another way that means the same. */
import type { CompressionCodec } from 'hyparquet'
import { decompress } from '../../src/data/decompress.ts'
import { levelWidth, readHybrid } from '../../src/data/levels.ts'
import type { RandomStream } from '../../src/data/shuffle.ts'
import { COMPRESS, encodeHybrid } from './encoders.ts'
import { CODECS, PAGE, type PagePart, type Parts, schemaOf } from './parquet-parts.ts'
import { drop, type Field, field, int, setInt, struct, TYPES } from './thrift-tree.ts'

/** What a column's pages look like. */
interface LeafPart {
  type: number
  length: number
  definition: number
  repetition: number
}

/** The leaves of the schema in order. */
function leavesOf(parts: Parts): LeafPart[] {
  const schema = schemaOf(parts)
  const out: LeafPart[] = []
  let at = 0
  const walk = (definition: number, repetition: number) => {
    const element = schema[at++]!
    const kind = at > 1 ? int(element, 3) : 0
    const d = definition + (kind ? 1 : 0)
    const r = repetition + (kind === 2 ? 1 : 0)
    const size = int(element, 5)
    if (field(element, 1) && !size)
      out.push({ type: int(element, 1), length: int(element, 2), definition: d, repetition: r })
    for (let i = 0; i < size; i++) walk(d, r)
  }
  walk(0, 0)
  return out
}

interface Content {
  count: number
  encoding: number
  definition: Uint8Array
  repetition: Uint8Array
  values: Uint8Array
}

const unpack = (codec: string, bytes: Uint8Array, size: number) =>
  codec === 'UNCOMPRESSED' ? bytes : decompress(codec as CompressionCodec, bytes, size)

function decode({ header, body }: PagePart, leaf: LeafPart, codec: string): Content {
  const size = int(header, 2)
  const read = (bytes: Uint8Array, max: number, count: number) =>
    readHybrid(bytes, levelWidth(max), new Uint8Array(count))
  if (int(header, 1) === PAGE.V2) {
    const v2 = struct(header, 8)!
    const [count, d, r] = [int(v2, 1), int(v2, 5), int(v2, 6)]
    const packed = body.subarray(r + d)
    return {
      count,
      encoding: int(v2, 4),
      repetition: leaf.repetition ? read(body.subarray(0, r), leaf.repetition, count) : new Uint8Array(count),
      definition: leaf.definition
        ? read(body.subarray(r, r + d), leaf.definition, count)
        : new Uint8Array(count),
      values: field(v2, 7)?.value === false ? packed : unpack(codec, packed, size - r - d),
    }
  }
  const v1 = struct(header, 5)!
  const count = int(v1, 1)
  let rest = unpack(codec, body, size)
  const next = (max: number) => {
    if (!max) return new Uint8Array(count)
    const length = new DataView(rest.buffer, rest.byteOffset).getUint32(0, true)
    const levels = read(rest.subarray(4, 4 + length), max, count)
    rest = rest.subarray(4 + length)
    return levels
  }
  return {
    count,
    encoding: int(v1, 2),
    repetition: next(leaf.repetition),
    definition: next(leaf.definition),
    values: rest,
  }
}

const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap(part => [...part]))
const i32 = (id: number, value: number): Field => ({ id, type: TYPES.I32, value: BigInt(value) })

function encode(
  content: Content,
  leaf: LeafPart,
  codec: string,
  version: 1 | 2,
  random: RandomStream,
): PagePart {
  const { count, encoding, values } = content
  const levels = (of: Uint8Array, max: number) =>
    max ? encodeHybrid(of, levelWidth(max), random) : new Uint8Array(0)
  const repetition = levels(content.repetition, leaf.repetition)
  const definition = levels(content.definition, leaf.definition)
  const pack = (bytes: Uint8Array) => COMPRESS[codec]!(bytes)
  if (version === 1) {
    const withLength = (bytes: Uint8Array, max: number) =>
      max ? join(new Uint8Array(Uint32Array.of(bytes.length).buffer), bytes) : bytes
    const plain = join(
      withLength(repetition, leaf.repetition),
      withLength(definition, leaf.definition),
      values,
    )
    const inner = [i32(1, count), i32(2, encoding), i32(3, 3), i32(4, 3)]
    return {
      header: [
        i32(1, PAGE.DATA),
        i32(2, plain.length),
        i32(3, 0),
        { id: 5, type: TYPES.STRUCT, value: inner },
      ],
      body: pack(plain),
    }
  }
  let nulls = 0
  let rows = 0
  for (let i = 0; i < count; i++) {
    if (content.definition[i]! < leaf.definition) nulls++
    if (content.repetition[i] === 0) rows++
  }
  const plainBody = random.below(4) === 0
  const inner = [
    i32(1, count),
    i32(2, nulls),
    i32(3, rows),
    i32(4, encoding),
    i32(5, definition.length),
    i32(6, repetition.length),
  ]
  if (plainBody) inner.push({ id: 7, type: TYPES.FALSE, value: false })
  return {
    header: [
      i32(1, PAGE.V2),
      i32(2, repetition.length + definition.length + values.length),
      i32(3, 0),
      { id: 8, type: TYPES.STRUCT, value: inner },
    ],
    body: join(repetition, definition, plainBody ? values : pack(values)),
  }
}

const WIDTHS = [0, 4, 8, 12, 4, 8, 0, 0]
const PLAIN = 0
const DICTIONARIES = [2, 8]

/** A page cut into two at a row, where its encoding lets values be told apart; else as it was. */
function cut(content: Content, leaf: LeafPart, random: RandomStream): Content[] {
  const starts: number[] = []
  for (let i = 1; i < content.count; i++) if (content.repetition[i] === 0) starts.push(i)
  const { encoding, values } = content
  if (!starts.length) return [content]
  const at = starts[random.below(starts.length)]!
  let before = 0
  let present = 0
  for (let i = 0; i < content.count; i++)
    if (content.definition[i] === leaf.definition) {
      present++
      if (i < at) before++
    }
  let parts: [Uint8Array, Uint8Array]
  if (DICTIONARIES.includes(encoding) && present) {
    const width = values[0]!
    const indexes = readHybrid(values.subarray(1), width, new Uint32Array(present))
    const runs = (of: Uint32Array) => join(Uint8Array.of(width), encodeHybrid(of, width, random))
    parts = [runs(indexes.subarray(0, before)), runs(indexes.subarray(before))]
  } else if (encoding === PLAIN && leaf.type > 0) {
    const width = leaf.type === 7 ? leaf.length : WIDTHS[leaf.type]!
    let bytes = before * width
    if (leaf.type === 6) {
      const view = new DataView(values.buffer, values.byteOffset, values.length)
      for (let i = 0; i < before; i++) bytes += 4 + view.getUint32(bytes, true)
    }
    parts = [values.subarray(0, bytes), values.subarray(bytes)]
  } else return [content]
  const part = (from: number, to: number, bytes: Uint8Array): Content => ({
    count: to - from,
    encoding,
    definition: content.definition.subarray(from, to),
    repetition: content.repetition.subarray(from, to),
    values: bytes,
  })
  return [part(0, at, parts[0]), part(at, content.count, parts[1])]
}

export interface Rewriting {
  /** Name of the codec to write in; each chunk's own where absent. */
  codec?: string
  version?: 1 | 2
  split?: boolean
  /** Data pages without entries, and pages of an index, between the others. */
  emptyPages?: boolean
}

/** Encodes every page anew, with other runs in its levels and whatever else is asked for. */
export function rewrite(
  parts: Parts,
  random: RandomStream,
  { codec, version, split, emptyPages }: Rewriting,
): void {
  const leaves = leavesOf(parts)
  for (const chunk of parts.chunks) {
    const leaf = leaves[chunk.column]!
    const [from, to] = [CODECS[int(chunk.meta, 4)]!, codec ?? CODECS[int(chunk.meta, 4)]!]
    setInt(chunk.meta, 4, CODECS.indexOf(to))
    chunk.pages = chunk.pages.flatMap(page => rewritePage(page, leaf, from, to))
  }
  function rewritePage(page: PagePart, leaf: LeafPart, from: string, to: string): PagePart[] {
    const type = int(page.header, 1)
    if (type === PAGE.INDEX) return [page]
    if (type === PAGE.DICTIONARY) {
      const plain = unpack(from, page.body, int(page.header, 2))
      drop(page.header, 4)
      return [{ header: page.header, body: COMPRESS[to]!(plain) }]
    }
    const content = decode(page, leaf, from)
    const number = version ?? (type === PAGE.V2 ? 2 : 1)
    const pieces = split ? cut(content, leaf, random) : [content]
    const pages = pieces.map(piece => encode(piece, leaf, to, number, random))
    if (!emptyPages) return pages
    const none = new Uint8Array(0)
    const nothing = { count: 0, encoding: content.encoding, definition: none, repetition: none, values: none }
    const index = { header: [i32(1, PAGE.INDEX), i32(2, 3), i32(3, 0)], body: Uint8Array.of(1, 2, 3) }
    // What stands behind the last value is never looked at.
    return [encode(nothing, leaf, to, number, random), index, ...pages]
  }
}
