/** A Parquet file taken apart into footer and pages, and put together again with every size and offset reckoned anew. */
import { crc32 } from '../../src/data/crc32.ts'
import {
  drop,
  type Field,
  field,
  int,
  items,
  parseStruct,
  type Spelling,
  setInt,
  struct,
  TYPES,
  writeStruct,
} from './thrift-tree.ts'

export interface PagePart {
  header: Field[]
  body: Uint8Array
}
interface ChunkPart {
  group: number
  column: number
  meta: Field[]
  pages: PagePart[]
}
export interface Parts {
  footer: Field[]
  chunks: ChunkPart[]
}

export const PAGE = { DATA: 0, INDEX: 1, DICTIONARY: 2, V2: 3 }
export const CODECS = ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'LZO', 'BROTLI', 'LZ4', 'ZSTD', 'LZ4_RAW']

/** The schema's elements, the first of which is the root. */
export const schemaOf = (parts: Parts): Field[][] => items(parts.footer, 2)

export function takeApart(bytes: Uint8Array): Parts {
  const size = bytes.length
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(size - 8, true)
  const { fields: footer } = parseStruct(bytes, size - 8 - length)
  const chunks: ChunkPart[] = []
  for (const [group, rowGroup] of items(footer, 4).entries())
    for (const [column, chunk] of items(rowGroup, 1).entries()) {
      const meta = struct(chunk, 3)!
      const dictionary = int(meta, 11)
      let at = dictionary > 0 ? Math.min(dictionary, int(meta, 9)) : int(meta, 9)
      const end = at + int(meta, 7)
      const pages: PagePart[] = []
      // Some writers count more bytes than there are.
      let left = int(meta, 5)
      while (at < end && left > 0) {
        const { fields: header, end: start } = parseStruct(bytes, at)
        at = start + int(header, 3)
        left -= int(struct(header, 5) ?? struct(header, 8) ?? [], 1)
        pages.push({ header, body: bytes.slice(start, at) })
      }
      chunks.push({ group, column, meta, pages })
    }
  return { footer, chunks }
}

export interface Assembly {
  spelling?: Spelling
  /** Page checksums: as they are, made anew, or none. */
  checksums?: 'keep' | 'make' | 'none'
  /** Bytes without meaning between the chunks. */
  gaps?: number
  /** Leaves sizes and offsets as they stand in the trees, for damage. */
  frozen?: boolean
}

/** The bytes of each part in order; joined they are the file. */
export function putTogether(parts: Parts, assembly: Assembly = {}): Uint8Array<ArrayBuffer> {
  const { spelling, checksums = 'keep', gaps = 0, frozen = false } = assembly
  const pieces: Uint8Array[] = [new TextEncoder().encode('PAR1')]
  let at = 4
  const push = (bytes: Uint8Array) => {
    pieces.push(bytes)
    at += bytes.length
  }
  for (const { meta, pages } of parts.chunks) {
    if (gaps) push(new Uint8Array(gaps).fill(0xa5))
    const start = at
    let first = -1
    let dictionary = -1
    for (const { header, body } of pages) {
      const type = int(header, 1)
      if (type === PAGE.DICTIONARY) dictionary = at
      else if (first < 0 && type !== PAGE.INDEX) first = at
      if (!frozen) setInt(header, 3, body.length)
      if (checksums === 'none') drop(header, 4)
      if (checksums === 'make') setInt(header, 4, crc32(body) | 0)
      push(writeStruct(header, spelling))
      push(body)
    }
    if (frozen) continue
    setInt(meta, 7, at - start, TYPES.I64)
    // Without a place for the dictionary, writers let the data begin with it.
    const begin = first < 0 || (dictionary >= 0 && !field(meta, 11)) ? start : first
    setInt(meta, 9, begin, TYPES.I64)
    if (field(meta, 11)) setInt(meta, 11, Math.max(dictionary, 0), TYPES.I64)
  }
  if (!frozen)
    for (const group of items(parts.footer, 4)) for (const chunk of items(group, 1)) drop(chunk, 4, 5, 6, 7)
  const footer = writeStruct(parts.footer, spelling)
  const tail = new Uint8Array(8)
  new DataView(tail.buffer).setUint32(0, footer.length, true)
  tail.set(new TextEncoder().encode('PAR1'), 4)
  pieces.push(footer, tail)
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let filled = 0
  for (const piece of pieces) {
    out.set(piece, filled)
    filled += piece.length
  }
  return out
}
