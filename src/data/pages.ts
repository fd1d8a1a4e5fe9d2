/**
 * One column chunk as pages of plain values, dictionary indexes and levels. hyparquet parses headers, decompresses
 * and decodes values; levels and indexes stay flat typed arrays here, so a list column never becomes arrays of arrays.
 * Every length a page claims is held against the chunk's own before memory is taken for it.
 */
import type { Compressors, DataReader, DecodedArray } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { convert, DEFAULT_PARSERS } from 'hyparquet/src/convert.js'
import { decompressPage } from 'hyparquet/src/datapage.js'
import { deltaBinaryUnpack, deltaByteArray, deltaLengthByteArray } from 'hyparquet/src/delta.js'
import { byteStreamSplit } from 'hyparquet/src/encoding.js'
import { readPlain } from 'hyparquet/src/plain.js'
import type { ColumnDecoder, ColumnMetaData, PageHeader } from 'hyparquet/src/types.js'
import type { Leaf } from './leaf.ts'
import { levelWidth, readHybrid } from './levels.ts'

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

/** Yields the data pages of the column chunk in `bytes`. Throws plain Errors; the caller names file and column. */
export function* readPages(
  bytes: ArrayBuffer,
  meta: ColumnMetaData,
  leaf: Leaf,
  compressors: Compressors,
): Generator<Page> {
  const decoder: ColumnDecoder = {
    pathInSchema: meta.path_in_schema,
    type: meta.type,
    element: leaf.element,
    schemaPath: leaf.schemaPath,
    codec: meta.codec,
    parsers: DEFAULT_PARSERS,
    compressors,
  }
  const total = Number(meta.num_values)
  const reader: DataReader = { view: new DataView(bytes), offset: 0 }
  let dictionary: DecodedArray | undefined
  let seen = 0
  while (seen < total) {
    if (reader.offset >= bytes.byteLength) throw new Error(`holds ${seen} of ${total} values`)
    const header = parquetHeader(reader)
    const size = header.compressed_page_size
    if (!(size >= 0) || reader.offset + size > bytes.byteLength)
      throw new Error('a page ends past its column')
    if (!(header.uncompressed_page_size <= Number(meta.total_uncompressed_size)))
      throw new Error('a page is larger than its column')
    const raw = new Uint8Array(bytes, reader.offset, size)
    reader.offset += size
    if (header.type === 'DICTIONARY_PAGE') {
      dictionary = readDictionary(raw, header, decoder)
    } else if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
      const count = (header.data_page_header ?? header.data_page_header_v2)?.num_values
      if (count === undefined || !(count >= 0) || seen + count > total)
        throw new Error(`a page claims ${count} values, ${total - seen} are left`)
      yield readPage(raw, header, count, dictionary, leaf, decoder)
      seen += count
    } else if (header.type !== 'INDEX_PAGE') {
      throw new Error(`unknown page type ${header.type}`)
    }
  }
}

function readDictionary(raw: Uint8Array, header: PageHeader, decoder: ColumnDecoder): DecodedArray {
  const count = header.dictionary_page_header?.num_values
  const body = decompressPage(raw, header.uncompressed_page_size, decoder.codec, decoder.compressors)
  // Every value but an empty-typed one takes at least one bit.
  if (count === undefined || !(count >= 0) || count > body.length * 8)
    throw new Error(`a dictionary of ${body.length} bytes claims ${count} values`)
  return convert(readPlain(readerOf(body), decoder.type, count, decoder.element.type_length), decoder)
}

function readPage(
  raw: Uint8Array,
  header: PageHeader,
  count: number,
  dictionary: DecodedArray | undefined,
  leaf: Leaf,
  decoder: ColumnDecoder,
): Page {
  const { codec, compressors } = decoder
  const v2 = header.data_page_header_v2
  const encoding = (header.data_page_header ?? v2)!.encoding
  let repetition: Uint8Array | undefined
  let definition: Uint8Array | undefined
  let body: Uint8Array
  if (v2) {
    // Version 2 keeps the levels outside the compressed part.
    const repBytes = v2.repetition_levels_byte_length
    const levelBytes = repBytes + v2.definition_levels_byte_length
    if (!(repBytes >= 0) || !(levelBytes >= repBytes) || levelBytes > raw.length)
      throw new Error('levels are longer than their page')
    repetition = levels(raw.subarray(0, repBytes), leaf.maxRepetition, count)
    definition = levels(raw.subarray(repBytes, levelBytes), leaf.maxDefinition, count)
    body = raw.subarray(levelBytes)
    if (v2.is_compressed !== false)
      body = decompressPage(body, header.uncompressed_page_size - levelBytes, codec, compressors)
  } else {
    body = decompressPage(raw, header.uncompressed_page_size, codec, compressors)
    for (const kind of ['repetition', 'definition'] as const) {
      const max = kind === 'repetition' ? leaf.maxRepetition : leaf.maxDefinition
      if (max === 0) continue
      const length = new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(0, true)
      if (4 + length > body.length) throw new Error('levels are longer than their page')
      const decoded = levels(body.subarray(4, 4 + length), max, count)
      if (kind === 'repetition') repetition = decoded
      else definition = decoded
      body = body.subarray(4 + length)
    }
  }
  const max = leaf.maxDefinition
  let present = count
  if (definition) {
    present = 0
    for (let i = 0; i < count; i++) if (definition[i] === max) present++
    if (present === count) definition = undefined
  }
  const page: Page = { count, values: [] }
  if (definition) page.definition = definition
  if (repetition) page.repetition = repetition
  if (present === 0) return page
  if (encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY') {
    if (!dictionary) throw new Error('a page refers to a dictionary that is not there')
    if (!(body[0]! <= 32)) throw new Error(`dictionary indexes of ${body[0]} bits`)
    page.values = dictionary
    page.indexes = readHybrid(body.subarray(1), body[0]!, new Uint32Array(present))
  } else {
    page.values = convert(readValues(body, encoding, present, decoder), decoder)
  }
  return page
}

function levels(bytes: Uint8Array, max: number, count: number): Uint8Array | undefined {
  if (max === 0) return undefined
  return readHybrid(bytes, levelWidth(max), new Uint8Array(count))
}

function readValues(body: Uint8Array, encoding: string, n: number, decoder: ColumnDecoder): DecodedArray {
  const { type, element } = decoder
  const reader = readerOf(body)
  switch (encoding) {
    case 'PLAIN':
      return readPlain(reader, type, n, element.type_length)
    case 'RLE':
      // Booleans only. A length of 4 bytes stands before the runs in both page versions.
      return Array.from(readHybrid(body.subarray(4), 1, new Uint8Array(n)), bit => bit === 1)
    case 'BYTE_STREAM_SPLIT':
      return byteStreamSplit(reader, n, type, element.type_length)
    case 'DELTA_BINARY_PACKED': {
      const out = type === 'INT32' ? new Int32Array(n) : new BigInt64Array(n)
      deltaBinaryUnpack(reader, n, out)
      return out
    }
    case 'DELTA_LENGTH_BYTE_ARRAY': {
      const out: Uint8Array[] = new Array(n)
      deltaLengthByteArray(reader, n, out)
      return out
    }
    case 'DELTA_BYTE_ARRAY': {
      const out: Uint8Array[] = new Array(n)
      deltaByteArray(reader, n, out)
      return out
    }
    default:
      throw new Error(`unknown encoding ${encoding}`)
  }
}

function readerOf(body: Uint8Array): DataReader {
  return { view: new DataView(body.buffer, body.byteOffset, body.byteLength), offset: 0 }
}
