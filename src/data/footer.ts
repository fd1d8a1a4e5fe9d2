/** What Parquet's footer and page headers hold, as tables for the reader in thrift.ts; and the schema as a tree. */

import {
  CompressionCodecs,
  ConvertedTypes,
  Encodings,
  FieldRepetitionTypes,
  PageTypes,
  ParquetTypes,
} from 'hyparquet/src/constants.js'
import type { FileMetaData, PageHeader, SchemaElement, SchemaTree } from 'hyparquet/src/types.js'
import { type Cursor, readStruct, type Struct } from './thrift.ts'

// https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
// Statistics, indexes and what else nothing here reads are left out: a file is read whatever stands there.

const NOTHING: Struct = {}
const UNIT: Struct = { 1: ['MILLIS', NOTHING], 2: ['MICROS', NOTHING], 3: ['NANOS', NOTHING] }
const DECIMAL: Struct = { 1: ['scale', 'i32', 'required'], 2: ['precision', 'i32', 'required'] }
const TIME: Struct = { 1: ['isAdjustedToUTC', 'bool'], 2: ['unit', UNIT, 'required'] }
const INTEGER: Struct = { 1: ['bitWidth', 'i32', 'required'], 2: ['isSigned', 'bool', 'required'] }

const LOGICAL_TYPE: Struct = {
  1: ['STRING', NOTHING],
  2: ['MAP', NOTHING],
  3: ['LIST', NOTHING],
  4: ['ENUM', NOTHING],
  5: ['DECIMAL', DECIMAL],
  6: ['DATE', NOTHING],
  7: ['TIME', TIME],
  8: ['TIMESTAMP', TIME],
  10: ['INTEGER', INTEGER],
  11: ['NULL', NOTHING],
  12: ['JSON', NOTHING],
  13: ['BSON', NOTHING],
  14: ['UUID', NOTHING],
  15: ['FLOAT16', NOTHING],
  16: ['VARIANT', NOTHING],
  17: ['GEOMETRY', NOTHING],
  18: ['GEOGRAPHY', NOTHING],
}

const SCHEMA_ELEMENT: Struct = {
  1: ['type', { one: ParquetTypes }],
  2: ['type_length', 'i32'],
  3: ['repetition_type', { one: FieldRepetitionTypes }],
  4: ['name', 'text', 'required'],
  5: ['num_children', 'i32'],
  6: ['converted_type', { one: ConvertedTypes }],
  7: ['scale', 'i32'],
  8: ['precision', 'i32'],
  9: ['field_id', 'i32'],
  10: ['logical_type', LOGICAL_TYPE],
}

const COLUMN_META: Struct = {
  1: ['type', { one: ParquetTypes }, 'required'],
  3: ['path_in_schema', { list: 'text' }, 'required'],
  4: ['codec', { one: CompressionCodecs }, 'required'],
  5: ['num_values', 'i64', 'required'],
  6: ['total_uncompressed_size', 'i64', 'required'],
  7: ['total_compressed_size', 'i64', 'required'],
  9: ['data_page_offset', 'i64', 'required'],
  11: ['dictionary_page_offset', 'i64'],
}

const COLUMN_CHUNK: Struct = {
  1: ['file_path', 'text'],
  2: ['file_offset', 'i64'],
  3: ['meta_data', COLUMN_META],
  8: ['crypto_metadata', NOTHING],
}

const ROW_GROUP: Struct = {
  1: ['columns', { list: COLUMN_CHUNK }, 'required'],
  2: ['total_byte_size', 'i64'],
  3: ['num_rows', 'i64', 'required'],
}

const KEY_VALUE: Struct = { 1: ['key', 'text', 'required'], 2: ['value', 'text'] }

const FOOTER: Struct = {
  1: ['version', 'i32'],
  2: ['schema', { list: SCHEMA_ELEMENT }, 'required'],
  3: ['num_rows', 'i64', 'required'],
  4: ['row_groups', { list: ROW_GROUP }, 'required'],
  5: ['key_value_metadata', { list: KEY_VALUE }],
  6: ['created_by', 'text'],
}

const DATA_PAGE: Struct = {
  1: ['num_values', 'i32', 'required'],
  2: ['encoding', { one: Encodings }, 'required'],
  3: ['definition_level_encoding', { one: Encodings }],
  4: ['repetition_level_encoding', { one: Encodings }],
}

const DICTIONARY_PAGE: Struct = {
  1: ['num_values', 'i32', 'required'],
  2: ['encoding', { one: Encodings }, 'required'],
}

const DATA_PAGE_V2: Struct = {
  1: ['num_values', 'i32', 'required'],
  2: ['num_nulls', 'i32', 'required'],
  3: ['num_rows', 'i32', 'required'],
  4: ['encoding', { one: Encodings }, 'required'],
  5: ['definition_levels_byte_length', 'i32', 'required'],
  6: ['repetition_levels_byte_length', 'i32', 'required'],
  7: ['is_compressed', 'bool'],
}

const PAGE_HEADER: Struct = {
  1: ['type', { one: PageTypes }, 'required'],
  2: ['uncompressed_page_size', 'i32', 'required'],
  3: ['compressed_page_size', 'i32', 'required'],
  4: ['crc', 'i32'],
  5: ['data_page_header', DATA_PAGE],
  7: ['dictionary_page_header', DICTIONARY_PAGE],
  8: ['data_page_header_v2', DATA_PAGE_V2],
}

/** The header of the page at the cursor, which then stands at the page's bytes. */
export function readPageHeader(cursor: Cursor): PageHeader {
  return readStruct(cursor, PAGE_HEADER) as unknown as PageHeader
}

/**
 * The footer, without statistics and indexes. Old writers leave its row count at 0: then it is the sum of the row groups'.
 * @throws Error saying what cannot be.
 */
export function readFooter(bytes: Uint8Array): FileMetaData {
  const footer = {
    ...readStruct({ bytes, at: 0 }, FOOTER),
    metadata_length: bytes.length,
  } as unknown as FileMetaData
  for (const { logical_type } of footer.schema) flattenLogicalType(logical_type)
  let rows = 0n
  for (const { num_rows } of footer.row_groups) {
    if (num_rows < 0n) throw new Error(`a row group has ${num_rows} rows`)
    rows += num_rows
  }
  if (footer.num_rows !== 0n && footer.num_rows !== rows)
    throw new Error(`its row groups hold ${rows} rows, the footer says ${footer.num_rows}`)
  if (rows > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`it claims ${rows} rows`)
  footer.num_rows = rows
  return footer
}

/** `{ DECIMAL: { scale } }`, as the format has it, becomes `{ type: 'DECIMAL', scale }`; unknown types become none. */
function flattenLogicalType(logical: unknown): void {
  if (!logical) return
  const union = logical as Record<string, unknown>
  const [[type, content] = []] = Object.entries(union)
  if (type === undefined) return
  delete union[type]
  const { unit, ...rest } = content as Record<string, unknown>
  Object.assign(union, rest, { type })
  if (!unit) return
  const [name] = Object.keys(unit)
  if (!name) throw new Error(`a ${type.toLowerCase()} has an unknown unit`)
  union.unit = name
}

/**
 * The schema as a tree.
 * @throws Error where elements are left over or missing, or a column has no type.
 */
export function schemaTree(schema: SchemaElement[]): SchemaTree {
  let next = 0
  const grow = (path: string[]): SchemaTree => {
    const first = next
    const element = schema[next++]
    if (!element) throw new Error('its schema ends early')
    const { name, num_children: size = 0, type } = element
    if (size < 0) throw new Error(`column ${name} has ${size} children`)
    if (first > 0 && size === 0 && !type) throw new Error(`column ${name} has neither a type nor children`)
    if (size > 0 && type) throw new Error(`column ${name} has both a type and children`)
    if (path.length > 100) throw new Error('its schema is nested without end')
    const at = first === 0 ? path : [...path, name]
    const children: SchemaTree[] = []
    for (let i = 0; i < size; i++) children.push(grow(at))
    return { element, children, count: next - first, path: at }
  }
  const root = grow([])
  if (next !== schema.length)
    throw new Error(`${schema.length - next} elements of its schema belong to nothing`)
  return root
}
