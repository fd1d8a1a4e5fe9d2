/** What a Parquet column holds, read off the file's schema: the kind of its values and the levels of its lists. */
import type { SchemaElement, SchemaTree } from 'hyparquet'

/** A top-level column that is one value per row, or one list of values per row. */
export interface Leaf {
  name: string
  element: SchemaElement
  schemaPath: SchemaTree[]
  kind: 'number' | 'text' | 'other'
  /** In words, for error messages: 'text', 'a list of text', 'a list', 'a number', 'a timestamp' … */
  description: string
  list: boolean
  maxDefinition: number
  maxRepetition: number
  /** Definition level from which a list has an element; one below is an empty list, lower still is null. */
  elementDefinition: number
}

/** Describes the column `tree` of `root`; undefined for structs, maps and lists of lists. */
export function leafOf(root: SchemaTree, tree: SchemaTree): Leaf | undefined {
  const schemaPath = [root, tree]
  let node = tree
  while (node.children.length > 0) {
    if (node.children.length > 1) return undefined
    node = node.children[0]!
    schemaPath.push(node)
  }
  let maxDefinition = 0
  let maxRepetition = 0
  let elementDefinition = 0
  for (const { element } of schemaPath.slice(1)) {
    if (element.repetition_type !== 'REQUIRED') maxDefinition++
    if (element.repetition_type === 'REPEATED') {
      maxRepetition++
      elementDefinition = maxDefinition
    }
  }
  if (maxRepetition > 1) return undefined
  const { kind, words } = kindOf(node.element)
  const list = maxRepetition === 1
  return {
    name: tree.element.name,
    element: node.element,
    schemaPath,
    kind,
    description: list ? (kind === 'number' ? 'a list' : `a list of ${words}`) : words,
    list,
    maxDefinition,
    maxRepetition,
    elementDefinition,
  }
}

function kindOf({ type, converted_type, logical_type }: SchemaElement): {
  kind: Leaf['kind']
  words: string
} {
  const logical = logical_type?.type
  if (converted_type === 'DECIMAL' || logical === 'FLOAT16') return { kind: 'number', words: 'a number' }
  if (converted_type === 'JSON' || converted_type === 'BSON') return { kind: 'other', words: converted_type }
  if (type === 'BYTE_ARRAY') return { kind: 'text', words: 'text' }
  const time = converted_type ?? logical ?? (type === 'INT96' ? 'TIMESTAMP' : '')
  if (/^(DATE|TIME|TIMESTAMP|INTERVAL)/.test(time)) return { kind: 'other', words: `a ${time.toLowerCase()}` }
  if (type === 'FIXED_LEN_BYTE_ARRAY') return { kind: 'other', words: 'bytes of fixed length' }
  return { kind: 'number', words: 'a number' }
}
