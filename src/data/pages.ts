/**
 * One column chunk as pages of plain values, dictionary indexes and levels. Levels and indexes stay flat typed arrays here, so a list
 * column never becomes arrays of arrays. Every length and count a page claims is held against its bytes before memory is taken
 * for it, and its checksum, where it has one, against what it holds.
 */
import type { ColumnMetaData, DecodedArray, PageHeader } from 'hyparquet/src/types.js'
import { crc32 } from './crc32.ts'
import { readPageHeader } from './footer.ts'
import type { Leaf } from './leaf.ts'
import { levelWidth, readHybrid } from './levels.ts'
import { convert, readValues } from './values.ts'

/** A data page: `count` entries, of which those at the full definition level have a value. */
export interface Page {
  count: number
  /** Values the entries refer to: the chunk's dictionary, or the page's own in order. */
  values: DecodedArray
  /** Index into `values` of each present entry; absent where entry k is values[k]. */
  indexes?: Uint32Array
  /** Definition levels [count]; absent where every entry has a value. */
  definition?: Uint8Array
  /** Repetition levels [count]; absent where the column holds no list. */
  repetition?: Uint8Array
}

/** A page of one value for all rows. */
export function constantPage(value: string | number | null, count: number): Page {
  if (value === null) return { count, values: [], definition: new Uint8Array(count) }
  return { count, values: [value], indexes: new Uint32Array(count) }
}

/** Gives a page's bytes, exactly `size` of them, or throws. */
export type Decompress = (input: Uint8Array, size: number) => Uint8Array

/**
 * Most entries that a page may claim with less than a bit for each: runs of one value take next to nothing. Writers stop at a
 * few million.
 */
const FREE_ENTRIES = 2 ** 27

/** Yields the data pages of the column chunk in `bytes`. Throws plain Errors; the caller names file and column. */
export function* readPages(
  bytes: Uint8Array,
  meta: ColumnMetaData,
  leaf: Leaf,
  decompress: Decompress,
): Generator<Page> {
  const total = Number(meta.num_values)
  if (!(total >= 0)) throw new Error(`claims ${total} values`)
  const cursor = { bytes, at: 0 }
  let dictionary: DecodedArray | undefined
  let seen = 0
  while (seen < total) {
    if (cursor.at >= bytes.length) throw new Error(`holds ${seen} of ${total} values`)
    const header = headerAt(cursor)
    const size = header.compressed_page_size
    if (!(size >= 0) || cursor.at + size > bytes.length) throw new Error('a page ends past its column')
    const raw = bytes.subarray(cursor.at, cursor.at + size)
    cursor.at += size
    if (header.crc !== undefined && crc32(raw) !== header.crc >>> 0)
      throw new Error('a page does not match its checksum')
    if (header.type === 'DICTIONARY_PAGE') {
      if (dictionary) throw new Error('has two dictionaries')
      dictionary = readDictionary(raw, header, leaf, decompress)
    } else if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
      const count = (header.type === 'DATA_PAGE' ? header.data_page_header : header.data_page_header_v2)
        ?.num_values
      if (count === undefined) throw new Error("a page's header does not say what is in it")
      if (!(count >= 0) || seen + count > total)
        throw new Error(`a page claims ${count} values, ${total - seen} are left`)
      if (count > FREE_ENTRIES && count > header.uncompressed_page_size * 8)
        throw new Error(`a page of ${header.uncompressed_page_size} bytes claims ${count} values`)
      const page = readPage(raw, header, count, dictionary, leaf, decompress)
      // A list may go on in the next page, but not from before the first.
      if (page.repetition && count > 0 && seen === 0 && page.repetition[0] !== 0)
        throw new Error('it starts in the middle of a list')
      yield page
      seen += count
    }
  }
}

function headerAt(cursor: { bytes: Uint8Array; at: number }): PageHeader {
  try {
    return readPageHeader(cursor)
  } catch (error) {
    throw new Error(`a page's header: ${(error as Error).message}`)
  }
}

function readDictionary(
  raw: Uint8Array,
  header: PageHeader,
  leaf: Leaf,
  decompress: Decompress,
): DecodedArray {
  const { num_values: count, encoding } = header.dictionary_page_header ?? {}
  if (count === undefined) throw new Error("a dictionary's header does not say what is in it")
  if (encoding !== 'PLAIN' && encoding !== 'PLAIN_DICTIONARY')
    throw new Error(`a dictionary in encoding ${encoding} cannot be read`)
  const body = decompress(raw, header.uncompressed_page_size)
  // Every value takes at least one bit.
  if (!(count >= 0) || count > body.length * 8)
    throw new Error(`a dictionary of ${body.length} bytes claims ${count} values`)
  return convert(readValues(ownBuffer(body), 'PLAIN', count, leaf), leaf.meaning)
}

function readPage(
  raw: Uint8Array,
  header: PageHeader,
  count: number,
  dictionary: DecodedArray | undefined,
  leaf: Leaf,
  decompress: Decompress,
): Page {
  const v2 = header.type === 'DATA_PAGE_V2' ? header.data_page_header_v2! : undefined
  const { encoding } = v2 ?? header.data_page_header!
  const { definition, repetition, body } = v2
    ? splitV2(raw, header, count, leaf, decompress)
    : splitV1(raw, header, count, leaf, decompress)
  let present = count
  if (definition) {
    present = 0
    for (let i = 0; i < count; i++) if (definition[i] === leaf.maxDefinition) present++
  }
  if (v2 && !leaf.list && v2.num_nulls !== count - present)
    throw new Error(`a page claims ${v2.num_nulls} nulls and has ${count - present}`)
  const page: Page = { count, values: [] }
  if (definition && present < count) page.definition = definition
  if (repetition) page.repetition = repetition
  if (present === 0) return page
  if (encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY') {
    if (!dictionary) throw new Error('a page refers to a dictionary that is not there')
    if (!(body[0]! <= 32)) throw new Error(`dictionary indexes of ${body[0]} bits`)
    page.values = dictionary
    page.indexes = readHybrid(body.subarray(1), body[0]!, new Uint32Array(present))
    checkIndexes(page.indexes, dictionary.length)
  } else {
    page.values = convert(readValues(ownBuffer(body), encoding, present, leaf), leaf.meaning)
  }
  return page
}

interface Split {
  definition: Uint8Array | undefined
  repetition: Uint8Array | undefined
  body: Uint8Array
}

/** Version 1 compresses the levels with the values, each behind its length. */
function splitV1(
  raw: Uint8Array,
  header: PageHeader,
  count: number,
  leaf: Leaf,
  decompress: Decompress,
): Split {
  const { definition_level_encoding, repetition_level_encoding } = header.data_page_header!
  let body = decompress(raw, header.uncompressed_page_size)
  const next = (max: number, encoding = 'RLE'): Uint8Array | undefined => {
    if (max === 0) return undefined
    if (encoding !== 'RLE') throw new Error(`levels in encoding ${encoding} cannot be read`)
    if (body.length < 4) throw new Error('levels are longer than their page')
    const length = new DataView(body.buffer, body.byteOffset, 4).getUint32(0, true)
    if (4 + length > body.length) throw new Error('levels are longer than their page')
    const decoded = levels(body.subarray(4, 4 + length), max, count)
    body = body.subarray(4 + length)
    return decoded
  }
  const repetition = next(leaf.maxRepetition, repetition_level_encoding)
  const definition = next(leaf.maxDefinition, definition_level_encoding)
  return { repetition, definition, body }
}

/** Version 2 keeps the levels outside the compressed part, their lengths in the header. */
function splitV2(
  raw: Uint8Array,
  header: PageHeader,
  count: number,
  leaf: Leaf,
  decompress: Decompress,
): Split {
  const v2 = header.data_page_header_v2!
  const repBytes = v2.repetition_levels_byte_length
  const levelBytes = repBytes + v2.definition_levels_byte_length
  if (!(repBytes >= 0) || !(levelBytes >= repBytes) || levelBytes > raw.length)
    throw new Error('levels are longer than their page')
  const repetition = levels(raw.subarray(0, repBytes), leaf.maxRepetition, count)
  const definition = levels(raw.subarray(repBytes, levelBytes), leaf.maxDefinition, count)
  const body = raw.subarray(levelBytes)
  const size = header.uncompressed_page_size - levelBytes
  if (repetition && count > 0 && repetition[0] !== 0) throw new Error('a page starts in the middle of a list')
  return { repetition, definition, body: v2.is_compressed === false ? body : decompress(body, size) }
}

/** A level past the highest would be taken for a missing value. */
function levels(bytes: Uint8Array, max: number, count: number): Uint8Array | undefined {
  if (max === 0) return undefined
  const out = readHybrid(bytes, levelWidth(max), new Uint8Array(count))
  for (let i = 0; i < count; i++)
    if (out[i]! > max) throw new Error(`a level of ${out[i]}, at most ${max} is expected`)
  return out
}

function checkIndexes(indexes: Uint32Array, size: number): void {
  let largest = 0
  for (let i = 0; i < indexes.length; i++) if (indexes[i]! > largest) largest = indexes[i]!
  if (largest >= size) throw new Error(`index ${largest} is outside its dictionary of ${size} values`)
}

/** The same bytes with nothing behind them: decoders make views that would reach on into the next page. */
function ownBuffer(body: Uint8Array): Uint8Array {
  return body.byteOffset + body.length === body.buffer.byteLength ? body : body.slice()
}
