// Raw rows of a table, in order, through a preparation, to Parquet.
import type { ColumnKind, Columns, ColumnValues } from '../data/index.ts'
import { writeParquetGroups } from '../data/index.ts'
import type { Database } from '../datasets/database.ts'
import { LABEL, WEIGHT } from './document.ts'
import type { RawTable } from './formats.ts'
import { placeOf } from './place.ts'
import { fingerprintOf, PREPARED_KEY, type Preparation } from './preparation.ts'
import { named } from './table.ts'
import { isMissing } from './values.ts'

/** Rows of a row group: what a reader holds at once. */
const GROUP_ROWS = 32_768

/** A raw column that is written beside what is prepared. */
export interface KeptColumn {
  name: string
  /** Its name in the prepared file. */
  as: string
}

/**
 * Writes the rows that a condition holds for.
 * @returns how many rows there are.
 */
export async function writePrepared(
  db: Database,
  table: RawTable,
  preparation: Preparation,
  path: string,
  how: {
    where: string
    /** Raw columns of classes and weights that are written too. */
    trained: readonly string[]
    kept?: readonly KeptColumn[]
    onRows?: (rows: number) => void
    /** Hears of each category that the file has values of, and none that was learned; `value` is one of them. */
    onStrange?: (column: { name: string; value: unknown }) => void
  },
): Promise<number> {
  const { where, trained, kept = [] } = how
  const strange = strangers(preparation)
  const read = [...preparation.fields, ...trained]
  const wanted = [...new Set([...read, ...kept.map(({ name }) => name)])]
  const columns: { name: string; kind: ColumnKind }[] = [
    ...preparation.prepared.map(({ name, kind }) => ({ name, kind: KINDS[kind] })),
    ...(trained.includes(preparation.label!) ? [{ name: LABEL, kind: 'int64' as const }] : []),
    ...(trained.includes(preparation.weight!) ? [{ name: WEIGHT, kind: 'float' as const }] : []),
    ...kept.map(({ name, as }) => ({ name: as, kind: keptKind(table, name) })),
  ]
  let rows = 0
  async function* groups(): AsyncGenerator<Record<string, ColumnValues>> {
    const select = ['rowid::BIGINT', ...wanted.map(named)].join(', ')
    let held: unknown[][] = [[], ...wanted.map((): unknown[] => [])]
    const group = () => {
      const [ids, ...values] = held as [bigint[], ...unknown[][]]
      const at = (i: number) => placeOf(table.files, Number(ids[i]))
      const byName = Object.fromEntries(wanted.map((name, c) => [name, values[c]!]))
      const given = Object.fromEntries(read.map(name => [name, byName[name]!]))
      const made = preparation.applyColumns(given, { labels: 'optional', at })
      strange.look(given, made)
      rows += ids.length
      how.onRows?.(rows)
      held = [[], ...wanted.map((): unknown[] => [])]
      const others = kept.map(({ name, as }) => [as, keptValues(byName[name]!, keptKind(table, name))])
      return { ...valuesOf(made), ...Object.fromEntries(others) }
    }
    for await (const chunk of db.stream(`SELECT ${select} FROM raw WHERE ${where}`)) {
      for (const [c, values] of chunk.entries()) for (const value of values) held[c]!.push(value)
      if (held[0]!.length >= GROUP_ROWS) yield group()
    }
    if (held[0]!.length) yield group()
  }
  const metadata = { [PREPARED_KEY]: fingerprintOf(preparation.document) }
  await writeParquetGroups(path, columns, groups(), { metadata })
  if (how.onStrange) for (const column of strange.all()) how.onStrange(column)
  return rows
}

/** Category columns of which no value is known so far, each with its first value. */
function strangers({ document }: Preparation) {
  const first = new Map<string, unknown>()
  const known = new Set<string>()
  const also = new Set(document.missing)
  return {
    look(given: Readonly<Record<string, readonly unknown[]>>, { ids }: Columns) {
      for (const [name, column] of Object.entries(document.columns)) {
        if (column.role !== 'category' || !column.codes?.length || known.has(name)) continue
        const { codes, type, out } = column
        if (ids[out]!.some(id => id > 0 && id <= codes.length)) known.add(name)
        else if (!first.has(name)) {
          const value = given[name]!.find(one => !isMissing(one, type, also))
          if (value !== undefined) first.set(name, value)
        }
      }
    },
    all: () => [...first].filter(([name]) => !known.has(name)).map(([name, value]) => ({ name, value })),
  }
}

const KINDS = { lists: 'list<int64>', ids: 'int64', floats: 'float' } as const

/** A raw column as it is handed on: whole numbers where they fit, else texts. */
const keptKind = ({ columns }: RawTable, name: string): ColumnKind => {
  const { kind } = columns.find(column => column.name === name)!
  return kind === 'number' ? 'double' : 'string'
}
const keptValues = (values: readonly unknown[], kind: ColumnKind): unknown[] =>
  kind === 'double' ? [...values] : values.map(value => (value === null ? null : String(value)))

function valuesOf({ lists, ids, floats, length }: Columns): Record<string, ColumnValues> {
  const tokens = Object.entries(lists).map(([name, { values, offsets }]): [string, ColumnValues] => [
    name,
    Array.from({ length }, (_, row) => values.subarray(offsets[row], offsets[row + 1])),
  ])
  return { ...Object.fromEntries(tokens), ...ids, ...floats }
}
