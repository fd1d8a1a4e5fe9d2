// Columns of a file that go into another as they stand.
import type { ColumnKind, ParquetFile } from '../data/index.ts'
import type { Leaf } from '../data/leaf.ts'
import { columnOf } from '../data/parquet.ts'
import { DataError } from '../errors.ts'

/** How a column is written so that every value of it comes back; undefined where it cannot be. */
function kindOf({ meaning, element, list }: Leaf): ColumnKind | undefined {
  const { type } = element
  if (meaning.type === 'TEXT' || meaning.type === 'JSON') return list ? undefined : 'string'
  const whole = meaning.type === 'INTEGER' && (meaning.signed || meaning.bits < 64)
  if (whole || (meaning.type === 'NUMBER' && (type === 'INT32' || type === 'INT64')))
    return list ? 'list<int64>' : 'int64'
  if (meaning.type !== 'NUMBER') return undefined
  if (type === 'FLOAT') return list ? 'list<float>' : 'float'
  return type === 'DOUBLE' && !list ? 'double' : undefined
}

/** The columns of a file that pass through, in its order, and what is left aside, in words. */
export function passedColumns(file: ParquetFile): {
  columns: { name: string; kind: ColumnKind }[]
  aside: string[]
} {
  const columns: { name: string; kind: ColumnKind }[] = []
  const aside: string[] = []
  for (const name of new Set(file.columns)) {
    const leaf = leafOrWhy(file, name)
    const kind = typeof leaf === 'string' ? undefined : kindOf(leaf)
    if (kind) columns.push({ name, kind })
    else aside.push(typeof leaf === 'string' ? leaf : `column ${name} is ${leaf.description}`)
  }
  return { columns, aside }
}

function leafOrWhy(file: ParquetFile, name: string): Leaf | string {
  try {
    return columnOf(file, name)
  } catch (error) {
    if (error instanceof DataError) return error.message
    throw error
  }
}
