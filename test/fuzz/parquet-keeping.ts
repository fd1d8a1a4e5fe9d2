/** Changes of a Parquet file that keep its meaning: whoever reads it must read what was there before. */
import type { RandomStream } from '../../src/data/shuffle.ts'
import { type Assembly, CODECS, PAGE, type Parts, putTogether, schemaOf } from './parquet-parts.ts'
import { rewrite } from './parquet-rewrite.ts'
import {
  drop,
  type Field,
  field,
  int,
  items,
  setInt,
  struct,
  structsOf,
  TYPES,
  type Value,
} from './thrift-tree.ts'

export type Change = (parts: Parts, random: RandomStream) => Uint8Array<ArrayBuffer>

const after =
  (change: (parts: Parts, random: RandomStream) => void, assembly: Assembly = {}): Change =>
  (parts, random) => {
    change(parts, random)
    return putTogether(parts, assembly)
  }

const bytes = (random: RandomStream, most: number) =>
  Uint8Array.from({ length: random.below(most + 1) }, () => random.below(256))

function shuffle<T>(list: T[], random: RandomStream): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[list[i], list[j]] = [list[j]!, list[i]!]
  }
}

const headers = (parts: Parts) => parts.chunks.flatMap(({ pages }) => pages.map(({ header }) => header))
const trees = (parts: Parts) => [parts.footer, ...headers(parts)]

/** Fields of numbers that no version of the format has, of every type. */
function strangers(random: RandomStream): Field[] {
  const values: [number, Value][] = [
    [TYPES.TRUE, true],
    [TYPES.BYTE, 7n],
    [TYPES.I64, -(1n << 62n)],
    [TYPES.DOUBLE, 1.5],
    [TYPES.BINARY, bytes(random, 9)],
    [TYPES.LIST, { element: TYPES.FALSE, items: [true, false] }],
    [TYPES.SET, { element: TYPES.BINARY, items: [bytes(random, 3)] }],
    [TYPES.STRUCT, [{ id: 3, type: TYPES.STRUCT, value: [] }]],
  ]
  return values.filter(() => random.below(2)).map(([type, value], i) => ({ id: 100 + i, type, value }))
}

const LOGICAL = { STRING: 1, DECIMAL: 5, DATE: 6, TIMESTAMP: 8 }

export const KEEPING: Record<string, Change> = {
  'nothing changed': after(() => {}),
  'field order': after((parts, random) => {
    for (const tree of trees(parts)) for (const { fields } of [...structsOf(tree)]) shuffle(fields, random)
  }),
  'long spelling': after(() => {}, { spelling: { longIds: true, longLists: true } }),
  'padded numbers': after(() => {}, { spelling: { padded: true } }),
  'unknown fields': after((parts, random) => {
    for (const tree of trees(parts))
      for (const { fields, path } of [...structsOf(tree)]) {
        // A logical type is one field of many, not a struct of several.
        if (!path.includes(10) && random.below(3) === 0) fields.push(...strangers(random))
      }
  }),
  'no statistics': after(parts => {
    for (const { meta } of parts.chunks) drop(meta, 12, 13, 14, 15, 16, 17)
    for (const header of headers(parts))
      for (const id of [5, 8]) drop(struct(header, id) ?? [], id === 5 ? 5 : 8)
  }),
  'senseless statistics': after((parts, random) => {
    const statistics = (): Field[] =>
      [1, 2, 5, 6].map(id => ({ id, type: TYPES.BINARY, value: bytes(random, random.below(3) * 6) }))
    for (const { meta } of parts.chunks) {
      drop(meta, 12)
      meta.push({ id: 12, type: TYPES.STRUCT, value: statistics() })
    }
    for (const header of headers(parts)) {
      const inner = struct(header, 5)
      if (!inner) continue
      drop(inner, 5)
      inner.push({ id: 5, type: TYPES.STRUCT, value: statistics() })
    }
  }),
  'page checksums': after(() => {}, { checksums: 'make' }),
  'no checksums': after(() => {}, { checksums: 'none' }),
  'gaps between columns': after(() => {}, { gaps: 13 }),
  'other runs': after((parts, random) => rewrite(parts, random, {})),
  'version 1 pages': after((parts, random) => rewrite(parts, random, { version: 1 })),
  'version 2 pages': after((parts, random) => rewrite(parts, random, { version: 2 })),
  'other page splits': after((parts, random) => rewrite(parts, random, { split: true })),
  'pages without entries': after((parts, random) => rewrite(parts, random, { emptyPages: true })),
  'another codec': after(
    (parts, random) => {
      const known = CODECS.filter(codec => codec !== 'LZO')
      const version = ([1, 2, undefined] as const)[random.below(3)]
      rewrite(parts, random, {
        codec: known[random.below(known.length)]!,
        ...(version ? { version } : {}),
        split: random.below(2) === 0,
      })
    },
    { checksums: 'make' },
  ),
  'lz4 under its old name': after((parts, random) => {
    rewrite(parts, random, { codec: 'LZ4_RAW' })
    for (const { meta } of parts.chunks) setInt(meta, 4, CODECS.indexOf('LZ4'))
  }),
  'dictionary place left out': after(parts => {
    for (const { meta, pages } of parts.chunks) {
      if (!pages.some(({ header }) => int(header, 1) === PAGE.DICTIONARY)) continue
      drop(meta, 11)
    }
  }),
  'no row count in the footer': after(parts => setInt(parts.footer, 3, 0, TYPES.I64)),
  'no created_by, no metadata': after(parts => {
    drop(parts.footer, 5, 6, 7)
    setInt(parts.footer, 1, 1)
  }),
  'leaves that count no children': after(parts => {
    for (const element of schemaOf(parts)) if (field(element, 1)) setInt(element, 5, 0)
  }),
  'a repeated root': after(parts => setInt(schemaOf(parts)[0]!, 3, 2)),
  'no repetition where required': after(parts => {
    for (const element of schemaOf(parts)) if (int(element, 3) === 0) drop(element, 3)
  }),
  'converted types alone': after(parts => {
    for (const element of schemaOf(parts)) if (field(element, 6)) drop(element, 10)
  }),
  'logical types alone': after(parts => {
    // What has no logical type written keeps its converted one.
    for (const element of schemaOf(parts)) {
      const logical = struct(element, 10)?.[0]?.id
      if (logical !== undefined && (logical > 4 || logical === LOGICAL.STRING)) drop(element, 6)
    }
  }),
  'old names of lists': after((parts, random) => {
    const schema = schemaOf(parts)
    const encoded = (text: string) => new TextEncoder().encode(text)
    const [group, element] = [
      ['bag', 'array_element'],
      ['list', 'item'],
      ['array_', 'x'],
    ][random.below(3)] as [string, string]
    const renamed = new Set<string>()
    for (const [i, node] of schema.entries())
      if (int(node, 3) === 2 && int(node, 5) === 1 && field(schema[i + 1]!, 1)) {
        renamed.add(`${i}`)
        field(node, 4)!.value = encoded(group)
        field(schema[i + 1]!, 4)!.value = encoded(element)
      }
    for (const { meta } of parts.chunks) {
      const path = field(meta, 3)!.value as { items: Value[] }
      if (path.items.length === 3) path.items = [path.items[0]!, encoded(group), encoded(element)]
    }
  }),
  'indexes of nothing': after((parts, random) => {
    for (const group of items(parts.footer, 4))
      for (const chunk of items(group, 1)) {
        chunk.push({ id: 20, type: TYPES.I64, value: BigInt(random.below(1e6)) })
        setInt(chunk, 2, random.below(1e6), TYPES.I64)
      }
  }),
}
