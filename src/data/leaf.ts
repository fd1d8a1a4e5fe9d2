/** What a Parquet column holds, read off the file's schema: the kind of its values and the levels of its lists. */
import type { SchemaElement, SchemaTree } from 'hyparquet/src/types.js'

/** What the bytes of a column mean: the format's logical type, whichever of its two ways of saying so a writer chose. */
export type Meaning =
  | {
      type:
        | 'NUMBER'
        | 'TEXT'
        | 'JSON'
        | 'BYTES'
        | 'UUID'
        | 'FLOAT16'
        | 'DATE'
        | 'TIME'
        | 'INT96'
        | 'UNREADABLE'
    }
  | { type: 'DECIMAL'; scale: number }
  | { type: 'INTEGER'; bits: number; signed: boolean }
  | { type: 'TIMESTAMP'; unit: 'MILLIS' | 'MICROS' | 'NANOS' }

/** A top-level column that is one value per row, or one list of values per row. */
export interface Leaf {
  name: string
  /** Which of the file's columns it is, nested ones counted. */
  index: number
  element: SchemaElement
  meaning: Meaning
  kind: 'number' | 'text' | 'other'
  /** In words, for error messages: 'text', 'a list of text', 'a list', 'a number', 'a timestamp' … */
  description: string
  list: boolean
  maxDefinition: number
  maxRepetition: number
  /** Definition level from which a list has an element; one below is an empty list, lower still is null. */
  elementDefinition: number
  /** The value of all rows, of a column that stands in the file's path; null for none. */
  constant?: string | number | null
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

/** A column that stands in the file's path. As Spark and DuckDB read it, it holds numbers where its value is one. */
export function constantLeaf(name: string, value: string | null): Leaf {
  const number = value === null || NUMBER.test(value)
  return {
    name,
    index: -1,
    element: { name, type: number ? 'DOUBLE' : 'BYTE_ARRAY' },
    meaning: { type: number ? 'NUMBER' : 'TEXT' },
    kind: number ? 'number' : 'text',
    description: number ? 'a number' : 'text',
    list: false,
    maxDefinition: 1,
    maxRepetition: 0,
    elementDefinition: 0,
    constant: number && value !== null ? Number(value) : value,
  }
}

/**
 * Describes the column `tree` of `root`; or says in words what else it is: a struct, a map, a list of lists.
 * Lists are what the format calls so, in any of its layouts, and repeated values that nothing annotates.
 * @throws Error where the schema contradicts itself.
 */
export function leafOf(root: SchemaTree, tree: SchemaTree): Leaf | string {
  const path = [tree]
  for (let node = tree; node.children.length > 0; path.push(node)) {
    if (node.children.length > 1) return node === tree ? 'a struct' : 'a list or struct of several fields'
    node = node.children[0]!
  }
  const node = path.at(-1)!
  if (!node.element.type) return 'a group without fields'
  if (path.length > 1) {
    const other = isList(path)
    if (other) return other
  }
  let maxDefinition = 0
  let maxRepetition = 0
  let elementDefinition = 0
  for (const { element } of path) {
    // Without a word on repetition a value is required, as the format's own readers have it.
    if ((element.repetition_type ?? 'REQUIRED') !== 'REQUIRED') maxDefinition++
    if (element.repetition_type === 'REPEATED') {
      maxRepetition++
      elementDefinition = maxDefinition
    }
  }
  const meaning = meaningOf(node.element)
  const { kind, words } = describe(node.element, meaning)
  const list = maxRepetition === 1
  return {
    name: tree.element.name,
    index: leavesBefore(root, tree),
    element: node.element,
    meaning,
    kind,
    description: list ? (kind === 'number' ? 'a list' : `a list of ${words}`) : words,
    list,
    maxDefinition,
    maxRepetition,
    elementDefinition,
  }
}

/** What a chain of groups is, in words, unless it is a list of values. */
function isList([top, inner, element, ...deeper]: SchemaTree[]): string | undefined {
  const says = (node: SchemaTree | undefined, type: 'LIST' | 'MAP') =>
    node?.element.converted_type === type || node?.element.logical_type?.type === type
  if (says(top, 'MAP') || top?.element.converted_type === 'MAP_KEY_VALUE') return 'a map'
  if (top!.element.repetition_type === 'REPEATED') return 'a list of structs'
  if (!says(top, 'LIST')) return `a struct of one field, ${inner!.element.name}`
  if (inner!.element.repetition_type !== 'REPEATED')
    throw new Error(`column ${top!.element.name} is a list of nothing repeated`)
  // Two layers: the repeated field is the element. Three: it only holds it, unless its name tells that it is one.
  if (!element) return undefined
  if (deeper.length || element.element.repetition_type === 'REPEATED') return 'a list of lists or structs'
  const { name } = inner!.element
  if (name === 'array' || name === `${top!.element.name}_tuple` || says(inner, 'LIST') || says(inner, 'MAP'))
    return 'a list of structs'
  return undefined
}

function leavesBefore(root: SchemaTree, tree: SchemaTree): number {
  const leaves = (node: SchemaTree): number =>
    node.children.length ? node.children.reduce((sum, child) => sum + leaves(child), 0) : 1
  return root.children.slice(0, root.children.indexOf(tree)).reduce((sum, child) => sum + leaves(child), 0)
}

const SIZES: Record<string, [bits: number, signed: boolean]> = {
  UINT_8: [8, false],
  UINT_16: [16, false],
  UINT_32: [32, false],
  UINT_64: [64, false],
  INT_8: [8, true],
  INT_16: [16, true],
  INT_32: [32, true],
  INT_64: [64, true],
}

/** @throws Error for an annotation that cannot stand on the column's type. */
function meaningOf(element: SchemaElement): Meaning {
  const { type, type_length = 0, converted_type, logical_type: logical } = element
  const said = logical?.type ?? converted_type
  const on = (types: string, meaning: Meaning, length?: number): Meaning => {
    if (types.split(' ').includes(type!) && (length === undefined || length === type_length)) return meaning
    const bytes = type === 'FIXED_LEN_BYTE_ARRAY' ? ` of ${type_length}` : ''
    throw new Error(`column ${element.name} is ${type}${bytes}, which cannot hold ${said}`)
  }
  if (type === 'FIXED_LEN_BYTE_ARRAY' && !(type_length > 0))
    throw new Error(`column ${element.name} has values of ${type_length} bytes`)
  switch (said) {
    case 'UTF8':
    case 'STRING':
    case 'ENUM':
      return on('BYTE_ARRAY', { type: 'TEXT' })
    case 'JSON':
      return on('BYTE_ARRAY', { type: 'JSON' })
    case 'BSON':
    case 'GEOMETRY':
    case 'GEOGRAPHY':
      return on('BYTE_ARRAY', { type: 'BYTES' })
    case 'DECIMAL': {
      const { scale = 0, precision = 0 } = logical?.type === 'DECIMAL' ? logical : element
      if (scale < 0 || precision < 1 || scale > precision)
        throw new Error(`column ${element.name} is a decimal of precision ${precision}, scale ${scale}`)
      return on('INT32 INT64 BYTE_ARRAY FIXED_LEN_BYTE_ARRAY', { type: 'DECIMAL', scale })
    }
    case 'DATE':
      return on('INT32', { type: 'DATE' })
    case 'TIME_MILLIS':
      return on('INT32', { type: 'TIME' })
    case 'TIME_MICROS':
      return on('INT64', { type: 'TIME' })
    case 'TIME':
      return on((logical as { unit?: string }).unit === 'MILLIS' ? 'INT32' : 'INT64', { type: 'TIME' })
    case 'TIMESTAMP_MILLIS':
      return on('INT64', { type: 'TIMESTAMP', unit: 'MILLIS' })
    case 'TIMESTAMP_MICROS':
      return on('INT64', { type: 'TIMESTAMP', unit: 'MICROS' })
    case 'TIMESTAMP':
      return on('INT64', { type: 'TIMESTAMP', unit: (logical as { unit: 'MILLIS' }).unit })
    case 'INTEGER': {
      const { bitWidth: bits, isSigned: signed } = logical as { bitWidth: number; isSigned: boolean }
      if (![8, 16, 32, 64].includes(bits))
        throw new Error(`column ${element.name} has integers of ${bits} bits`)
      return on(bits === 64 ? 'INT64' : 'INT32', { type: 'INTEGER', bits, signed })
    }
    case 'UUID':
      return on('FIXED_LEN_BYTE_ARRAY', { type: 'UUID' }, 16)
    case 'FLOAT16':
      return on('FIXED_LEN_BYTE_ARRAY', { type: 'FLOAT16' }, 2)
    case 'INTERVAL':
      return on('FIXED_LEN_BYTE_ARRAY', { type: 'UNREADABLE' }, 12)
    case 'LIST':
    case 'MAP':
    case 'MAP_KEY_VALUE':
    case 'VARIANT':
      throw new Error(`column ${element.name} is ${type}, which cannot hold ${said}`)
  }
  const size = said === undefined ? undefined : SIZES[said]
  if (size) return on(size[0] === 64 ? 'INT64' : 'INT32', { type: 'INTEGER', bits: size[0], signed: size[1] })
  if (type === 'BYTE_ARRAY') return { type: 'TEXT' }
  if (type === 'FIXED_LEN_BYTE_ARRAY') return { type: 'BYTES' }
  return { type: type === 'INT96' ? 'INT96' : 'NUMBER' }
}

const OTHER_WORDS: Partial<Record<Meaning['type'], string>> = {
  JSON: 'JSON',
  UUID: 'a UUID',
  DATE: 'a date',
  TIME: 'a time',
  TIMESTAMP: 'a timestamp',
  INT96: 'a timestamp',
}

function describe(
  { type, converted_type, logical_type }: SchemaElement,
  meaning: Meaning,
): { kind: Leaf['kind']; words: string } {
  if (meaning.type === 'TEXT') return { kind: 'text', words: 'text' }
  if (meaning.type === 'UNREADABLE') return { kind: 'other', words: 'an interval' }
  if (meaning.type === 'BYTES')
    return {
      kind: 'other',
      words:
        type === 'FIXED_LEN_BYTE_ARRAY'
          ? 'bytes of fixed length'
          : (logical_type?.type ?? converted_type ?? 'bytes'),
    }
  const words = OTHER_WORDS[meaning.type]
  return words ? { kind: 'other', words } : { kind: 'number', words: 'a number' }
}
