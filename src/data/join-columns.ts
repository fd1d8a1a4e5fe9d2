// Rows of several columns as columns of their own.
import type { TokenLists } from './columns.ts'
import type { Columns, ColumnsPart } from './dataset.ts'

type Kinds = Pick<Columns, 'lists' | 'ids' | 'floats'>

/** How columns are joined. */
interface Joining {
  /** What ids and offsets go into, and numbers. */
  ids?: (n: number) => Uint32Array
  floats?: (n: number) => Float32Array
  /** A column of one of them, asked for once. */
  take?: <K extends keyof Kinds>(one: Kinds, kind: K, name: string) => Kinds[K][string]
}

/** The values of one after the other; all have the first's names. */
export function joinKinds(
  all: readonly Kinds[],
  {
    ids = n => new Uint32Array(n),
    floats = n => new Float32Array(n),
    take = (one, kind, name) => one[kind][name] as never,
  }: Joining = {},
): Kinds {
  const first = all[0]!
  return {
    lists: mapKeys(first.lists, name =>
      joinLists(
        all.map(one => take(one, 'lists', name)),
        ids,
      ),
    ),
    ids: mapKeys(first.ids, name =>
      joined(
        all.map(one => take(one, 'ids', name)),
        ids,
      ),
    ),
    floats: mapKeys(first.floats, name =>
      joined(
        all.map(one => take(one, 'floats', name)),
        floats,
      ),
    ),
  }
}

/** The rows of one after the other, of columns that are alike; where all know their parts, so does the whole. */
export function joinColumns(all: readonly Columns[]): Columns {
  if (all.length === 1) return all[0]!
  const parts: ColumnsPart[] = []
  let length = 0
  for (const columns of all) {
    for (const part of columns.parts ?? []) parts.push({ ...part, start: length + part.start })
    length += columns.length
  }
  const known = all.every(columns => columns.parts)
  return { length, rowStart: 0, ...joinKinds(all), ...(known ? { parts } : {}) }
}

/** The lists of one row after the other; `memory` makes what they go into. */
export function joinLists(lists: TokenLists[], memory: (n: number) => Uint32Array): TokenLists {
  const offsets = memory(lists.reduce((rows, list) => rows + list.offsets.length - 1, 1))
  let row = 0
  let start = 0
  for (const list of lists) {
    for (let i = 1; i < list.offsets.length; i++) offsets[++row] = start + list.offsets[i]!
    start += list.values.length
  }
  return {
    values: joined(
      lists.map(list => list.values),
      memory,
    ),
    offsets,
  }
}

function joined<A extends Uint32Array | Float32Array>(arrays: A[], memory: (n: number) => A): A {
  const out = memory(arrays.reduce((sum, array) => sum + array.length, 0))
  let at = 0
  for (const array of arrays) {
    out.set(array, at)
    at += array.length
  }
  return out
}

function mapKeys<A, B>(record: Record<string, A>, make: (name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.keys(record).map(name => [name, make(name)]))
}
