/** Damage to a Parquet file, by structure and by byte, and what a reader must make of it. */
import type { RandomStream } from '../../src/data/shuffle.ts'
import { disorder, otherNumber, pick } from './disorder.ts'
import { PAGE, type PagePart, type Parts, putTogether, schemaOf } from './parquet-parts.ts'
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
  writeStruct,
} from './thrift-tree.ts'

/**
 * What may come of a damaged file. `refused`: it, or a column of it, must be; `careful`: every column is refused or reads as before;
 * `any`: what was changed is a value, or what says how to read it, and nothing in the file tells.
 */
type Verdict = 'refused' | 'careful' | 'any'

export interface Damage {
  verdict: Verdict
  apply(parts: Parts, random: RandomStream, whole: Uint8Array): Uint8Array<ArrayBuffer>
}

/** A file whose pages carry checksums, so that no change in them goes unseen. */
const sealed = (parts: Parts) => putTogether(parts, { checksums: 'make' })

function flip(bytes: Uint8Array, from: number, to: number, random: RandomStream): void {
  const at = from + random.below(Math.max(1, to - from))
  bytes[at]! ^= random.below(3) ? 1 << random.below(8) : 1 + random.below(255)
}

const pagesOf = (parts: Parts): PagePart[] => parts.chunks.flatMap(({ pages }) => pages)
const withBody = (parts: Parts): PagePart[] => pagesOf(parts).filter(({ body }) => body.length > 0)

/** Columns that nobody reads, because they are nested: damage in them goes unseen. */
const UNREAD = ['struct', 'deep']
const readChunks = (parts: Parts) =>
  parts.chunks.filter(({ meta }) => {
    const [name] = (field(meta, 3)!.value as { items: Uint8Array[] }).items
    return !UNREAD.includes(new TextDecoder().decode(name))
  })

/** Structs of the footer that say where data is and how much; what says how to read it is left out. */
function placesOf(parts: Parts, random: RandomStream): Field[] {
  const all = [...structsOf(parts.footer)].filter(({ path }) => path.length === 0 || path[0] === 4)
  return pick(all, random).fields
}

const isNumber = ({ type, value }: Field) => typeof value === 'bigint' && type !== TYPES.BYTE

/** Field numbers within a page's header that name an encoding: another one of the same size reads other values. */
const ENCODINGS: Record<number, number[]> = { 5: [2], 8: [4] }

function headerNumbers({ header }: PagePart): Field[] {
  const inner = [5, 7, 8].flatMap(id =>
    (struct(header, id) ?? []).filter(f => !ENCODINGS[id]?.includes(f.id)).filter(isNumber),
  )
  return [...header.filter(isNumber), ...inner]
}

/** A file of this footer alone. */
function footerFile(footer: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(footer.length + 12)
  out.set(new TextEncoder().encode('PAR1'))
  out.set(footer, 4)
  new DataView(out.buffer).setUint32(4 + footer.length, footer.length, true)
  out.set(new TextEncoder().encode('PAR1'), 8 + footer.length)
  return out
}

const concat = (...parts: (Uint8Array | number[])[]) => Uint8Array.from(parts.flatMap(part => [...part]))

export const DAMAGE: Record<string, Damage> = {
  'cut short': {
    verdict: 'refused',
    apply: (_, random, whole) => whole.slice(0, random.below(whole.length)),
  },
  'a hole': {
    verdict: 'careful',
    apply(parts, random) {
      const file = sealed(parts)
      const at = 4 + random.below(file.length - 4)
      return concat(file.subarray(0, at), file.subarray(at + 1 + random.below(40)))
    },
  },
  'bytes put in': {
    verdict: 'careful',
    apply(parts, random) {
      // The footer names its own length from the end; what is put in it belongs to no field or breaks one.
      const file = sealed(parts)
      const length = new DataView(file.buffer).getUint32(file.length - 8, true)
      const at = 4 + random.below(file.length - length - 12)
      return concat(
        file.subarray(0, at),
        new Array(1 + random.below(40)).fill(random.below(256)),
        file.subarray(at),
      )
    },
  },
  'a flipped bit in a page with a checksum': {
    verdict: 'refused',
    apply(parts, random) {
      putTogether(parts, { checksums: 'make' })
      const read = readChunks(parts).flatMap(({ pages }) => pages)
      const page = pick(
        read.filter(({ body }) => body.length > 0),
        random,
      )
      flip(page.body, 0, page.body.length, random)
      return putTogether(parts)
    },
  },
  'a flipped bit in a page': {
    verdict: 'any',
    apply(parts, random) {
      const page = pick(withBody(parts), random)
      drop(page.header, 4)
      // Levels and headers of runs stand first: they are hit more often than values.
      flip(page.body, 0, random.below(2) ? Math.min(12, page.body.length) : page.body.length, random)
      return putTogether(parts, { checksums: 'none' })
    },
  },
  'flipped bits anywhere': {
    verdict: 'any',
    apply(_, random, whole) {
      const out = whole.slice()
      for (let n = 1 + random.below(3); n > 0; n--) flip(out, 0, out.length, random)
      return out
    },
  },
  'flipped bits in the footer': {
    verdict: 'any',
    apply(_, random, whole) {
      const out = whole.slice()
      const length = new DataView(out.buffer).getUint32(out.length - 8, true)
      for (let n = 1 + random.below(3); n > 0; n--) flip(out, out.length - 8 - length, out.length, random)
      return out
    },
  },
  'another number in the footer': {
    verdict: 'careful',
    apply(parts, random) {
      sealed(parts)
      const numbers = placesOf(parts, random).filter(isNumber)
      for (const found of numbers.length ? [pick(numbers, random)] : [])
        found.value = otherNumber(found.value as bigint, random)
      return putTogether(parts, { frozen: true })
    },
  },
  'disorder in the footer': {
    verdict: 'careful',
    apply(parts, random) {
      sealed(parts)
      disorder(placesOf(parts, random), random)
      return putTogether(parts, { frozen: true })
    },
  },
  'disorder in the schema': {
    verdict: 'any',
    apply(parts, random) {
      const all = [...structsOf(parts.footer)].filter(({ path }) => path[0] === 2)
      const { fields } = pick(all, random)
      const numbers = fields.filter(isNumber)
      if (random.below(2) && numbers.length) {
        const found = pick(numbers, random)
        found.value = random.below(2) ? BigInt(random.below(24)) : otherNumber(found.value as bigint, random)
      } else disorder(fields, random)
      return putTogether(parts)
    },
  },
  "another number in a page's header": {
    verdict: 'careful',
    apply(parts, random) {
      sealed(parts)
      const found = pick(headerNumbers(pick(pagesOf(parts), random)), random)
      found.value = otherNumber(found.value as bigint, random)
      return putTogether(parts, { frozen: true })
    },
  },
  "disorder in a page's header": {
    verdict: 'any',
    apply(parts, random) {
      sealed(parts)
      const all = [...structsOf(pick(pagesOf(parts), random).header)]
      disorder(pick(all, random).fields, random)
      return putTogether(parts, { frozen: true })
    },
  },
  'another encoding': {
    verdict: 'any',
    apply(parts, random) {
      const page = pick(pagesOf(parts), random)
      const inner = struct(page.header, 5) ?? struct(page.header, 8) ?? struct(page.header, 7)!
      setInt(inner, struct(page.header, 8) ? 4 : 2, random.below(11))
      return putTogether(parts)
    },
  },
  'another codec named': {
    verdict: 'careful',
    apply(parts, random) {
      const { meta } = pick(parts.chunks, random)
      setInt(meta, 4, random.below(9))
      return putTogether(parts)
    },
  },
  'a page lost': {
    verdict: 'refused',
    apply(parts, random) {
      const { pages } = pick(
        readChunks(parts).filter(({ pages }) => pages.some(countsValues)),
        random,
      )
      pages.splice(pages.indexOf(pick(pages.filter(countsValues), random)), 1)
      return putTogether(parts)
    },
  },
  'a dictionary lost': {
    verdict: 'careful',
    apply(parts, random) {
      const { pages } = pick(parts.chunks, random)
      const at = pages.findIndex(({ header }) => int(header, 1) === PAGE.DICTIONARY)
      if (at >= 0) pages.splice(at, 1)
      return putTogether(parts)
    },
  },
  'two columns exchanged': {
    verdict: 'careful',
    apply(parts, random) {
      const { items: chunks } = pick(items(parts.footer, 4), random).find(f => f.id === 1)!.value as {
        items: Value[]
      }
      sealed(parts)
      const [a, b] = [random.below(chunks.length), random.below(chunks.length)]
      ;[chunks[a], chunks[b]] = [chunks[b]!, chunks[a]!]
      return putTogether(parts, { frozen: true })
    },
  },
  'another row group lost': {
    verdict: 'careful',
    apply(parts, random) {
      sealed(parts)
      const groups = parts.footer.find(f => f.id === 4)!.value as { items: Value[] }
      groups.items.splice(random.below(groups.items.length), 1)
      // A footer without a count is what old writers leave: it stays.
      return putTogether(parts, { frozen: true })
    },
  },
  'huge claims that agree': {
    verdict: 'refused',
    apply(parts, random) {
      const huge = pick([2n ** 31n - 1n, 2n ** 32n, 2n ** 40n, 2n ** 50n], random)
      const small = huge < 2n ** 31n ? huge : 2n ** 31n - 1n
      setInt(parts.footer, 3, huge, TYPES.I64)
      for (const group of items(parts.footer, 4)) setInt(group, 3, huge, TYPES.I64)
      for (const { meta, pages } of parts.chunks) {
        for (const id of [5, 6]) setInt(meta, id, huge, TYPES.I64)
        for (const { header } of pages) {
          if (random.below(2)) setInt(header, 2, small)
          for (const id of [5, 7, 8]) if (struct(header, id)) setInt(struct(header, id)!, 1, small)
        }
      }
      return putTogether(parts)
    },
  },
  'a footer without end': {
    verdict: 'refused',
    apply(_, random) {
      const depth = 100_000
      const list = [0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07]
      return footerFile(
        pick(
          [
            Uint8Array.from({ length: depth }, () => 0x1c), // structs within structs
            Uint8Array.from({ length: depth }, () => 0x19), // lists within lists
            Uint8Array.from({ length: depth }, () => 0x96), // a number of 100,000 digits
            concat([0x16], new Uint8Array(depth).fill(0xff)),
            concat(list, new Uint8Array(64)), // 2^31 structs
            concat([0x18, 0xff, 0xff, 0xff, 0xff, 0x07], new Uint8Array(64)), // a text of 2 GiB
            concat([0x1b, 0xff, 0xff, 0xff, 0xff, 0x07, 0x88], new Uint8Array(64)), // a map of 2^31
          ],
          random,
        ),
      )
    },
  },
  'deltas that step back': {
    verdict: 'careful',
    apply(parts, random) {
      for (const { meta } of parts.chunks)
        if (int(meta, 4) !== 0) rewrite(parts, random, { codec: 'UNCOMPRESSED' })
      const pages = pagesOf(parts).filter(({ header }) => int(struct(header, 5) ?? [], 2) === 5)
      const odd = [0xff, 0xff, 0xff, 0xff, 0x0f]
      const heads = [
        [0x80, 0x01, ...odd],
        [0x80, 0x01, 0],
        [...odd, 4],
        [0, 4],
        [0x80, 0x01, 3],
        [0x7f, 1],
      ]
      for (const page of pages.length ? [pick(pages, random)] : []) {
        const head = pick(heads, random)
        const levels = page.body.length > 8 ? 4 + new DataView(page.body.buffer).getUint32(0, true) : 0
        const at = levels < page.body.length - 12 ? levels : 0
        page.body = concat(page.body.subarray(0, at), head, page.body.subarray(at + head.length))
        setInt(page.header, 2, page.body.length)
      }
      // A damaged column is refused; it is enough that it does not read as something else.
      return putTogether(parts)
    },
  },
  'another magic': {
    verdict: 'refused',
    apply(_, random, whole) {
      const out = whole.slice()
      const at = pick([0, 1, 2, 3, out.length - 1, out.length - 2, out.length - 3, out.length - 4], random)
      out[at] = (out[at]! + 1 + random.below(255)) % 256
      return out
    },
  },
  'data in another file': {
    // Where there are no rows, nothing is missing.
    verdict: 'careful',
    apply(parts) {
      for (const group of items(parts.footer, 4))
        for (const chunk of items(group, 1))
          chunk.unshift({ id: 1, type: TYPES.BINARY, value: new TextEncoder().encode('part-0.parquet') })
      return putTogether(parts)
    },
  },
  'schema with other children': {
    verdict: 'any',
    apply(parts, random) {
      const element = pick(schemaOf(parts), random)
      setInt(element, 5, pick([-2, -1, 0, 1, 2, 3, 40, 2 ** 31 - 1], random))
      return putTogether(parts)
    },
  },
  'a footer of other bytes': {
    verdict: 'refused',
    apply(parts, random) {
      const footer = writeStruct(parts.footer)
      for (let n = footer.length; n > 0; n--) footer[random.below(footer.length)] = random.below(256)
      return footerFile(footer)
    },
  },
}

function countsValues({ header }: PagePart): boolean {
  return int(struct(header, 5) ?? struct(header, 8) ?? [], 1) > 0
}
