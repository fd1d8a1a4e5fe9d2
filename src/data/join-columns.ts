// Rows of several columns as columns of their own.
import { type Columns, type ColumnsPart, joined, joinLists } from './dataset.ts'

/** The rows of one after the other, of columns that are alike and know their parts. */
export function joinColumns(all: readonly Columns[]): Columns {
  const first = all[0]!
  const parts: ColumnsPart[] = []
  let length = 0
  for (const columns of all) {
    for (const part of columns.parts!) parts.push({ ...part, start: length + part.start })
    length += columns.length
  }
  const ids = (n: number) => new Uint32Array(n)
  return {
    length,
    rowStart: 0,
    lists: mapKeys(first.lists, name =>
      joinLists(
        all.map(({ lists }) => lists[name]!),
        ids,
      ),
    ),
    ids: mapKeys(first.ids, name =>
      joined<Uint32Array>(
        all.map(({ ids }) => ids[name]!),
        ids,
      ),
    ),
    floats: mapKeys(first.floats, name =>
      joined<Float32Array>(
        all.map(({ floats }) => floats[name]!),
        n => new Float32Array(n),
      ),
    ),
    parts,
  }
}

function mapKeys<A, B>(record: Record<string, A>, make: (name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.keys(record).map(name => [name, make(name)]))
}
