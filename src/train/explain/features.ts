// What a model reads of a row, as its maker thinks of it: columns that came of one are one feature, a whole text is one.
import type { Columns } from '../../data/index.ts'
import { pickRows } from '../../data/pick-rows.ts'
import { columnsOf, type Input, type Inputs, textLists } from '../../inputs.ts'

/** How columns came of a table's own, where they were prepared. */
export interface RawColumns {
  /** Raw column by column. */
  names: Readonly<Record<string, string>>
  /** Columns that are 1 where a raw one has no value, by raw column. */
  indicators: Readonly<Record<string, string>>
  /** What a column's code stands for, if it is known. */
  valueOf(column: string, code: number): string | undefined
}

/** A feature, and the keys of its columns in {@link Columns}. */
export interface Feature {
  name: string
  ids: string[]
  floats: string[]
  lists: string[]
}

type Kept = Input & { kind: 'text' | 'ids' | 'floats' }

/**
 * The features that a model scores rows by, under raw names where those are known. What its labels and lists are read from is none; a model whose
 * labels are hidden tokens has none.
 */
export function featuresOf(inputs: Inputs, raw?: RawColumns): Feature[] {
  const all = Object.values(inputs)
  if (all.some(({ kind, lossOnly }) => kind === 'masked' && !lossOnly)) return []
  const apart = new Set(
    all.flatMap(input => (input.trainOnly || input.kind === 'list' ? columnsOf(input) : [])),
  )
  const found = new Map<string, Feature>()
  const add = (name: string, kind: 'ids' | 'floats' | 'lists', keys: readonly string[]) => {
    const feature = found.get(name) ?? { name, ids: [], floats: [], lists: [] }
    feature[kind].push(...keys.filter(key => !feature[kind].includes(key)))
    found.set(name, feature)
  }
  const nameOf = (column: string) => raw?.names[column] ?? column
  for (const input of all) {
    if (input.trainOnly || !(input.kind === 'text' || input.kind === 'ids' || input.kind === 'floats'))
      continue
    const own = columnsOf(input as Kept)
    if (input.kind === 'text')
      add(
        [...new Set(own.map(nameOf))].join(' + '),
        'lists',
        textLists(input).map(({ key }) => key),
      )
    else for (const column of own) if (!apart.has(column)) add(nameOf(column), input.kind, [column])
  }
  return [...found.values()]
}

/** The same rows with a feature's values taken from others: row i has those of row `from[i]`. */
export function permuted(data: Columns, feature: Feature, from: Uint32Array): Columns {
  const { ids, floats, lists } = pickRows(only(data, feature), from)
  return {
    ...data,
    ids: { ...data.ids, ...ids },
    floats: { ...data.floats, ...floats },
    lists: { ...data.lists, ...lists },
  }
}

const only = (data: Columns, { ids, floats, lists }: Feature): Columns => ({
  ...data,
  ids: picked(data.ids, ids),
  floats: picked(data.floats, floats),
  lists: picked(data.lists, lists),
})

const picked = <T>(all: Record<string, T>, keys: readonly string[]): Record<string, T> =>
  Object.fromEntries(keys.map(key => [key, all[key]!]))
