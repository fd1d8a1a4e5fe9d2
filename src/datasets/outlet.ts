// Several Parquet files written side by side from one pass over their source: row groups are pushed, and no file appears before all may.
import { type ColumnKind, type ColumnValues, writeParquetGroups } from '../data/write.ts'

type Group = Record<string, ColumnValues>

/** A Parquet file that takes rows as they come. */
export interface Outlet<Row> {
  rows: number
  /** Takes a row; waits while a full row group is written. */
  push(row: Row): Promise<void> | undefined
  /** Writes what is left, and gives the file its name. */
  finish(): Promise<void>
  /** Drops the file; what was there stays. Does nothing once it is finished. */
  discard(error: unknown): Promise<void>
}

/**
 * @param columns names and kinds, in order.
 * @param groupRows rows of a row group.
 */
export function outlet<Row extends Record<string, unknown>>(
  path: string,
  columns: Record<string, ColumnKind>,
  groupRows: number,
): Outlet<Row> {
  type Item = { group?: Group; error?: unknown; taken: () => void }
  const items: Item[] = []
  let wake = () => {}
  async function* groups(): AsyncGenerator<Group> {
    for (;;) {
      while (!items.length)
        await new Promise<void>(resolve => {
          wake = resolve
        })
      const { group, error, taken } = items.shift()!
      taken()
      if (error !== undefined) throw error
      if (!group) return
      yield group
    }
  }
  const list = Object.entries(columns).map(([name, kind]) => ({ name, kind }))
  const written = writeParquetGroups(path, list, groups())
  // Told by push, finish or discard.
  written.catch(() => {})
  const send = (item: Omit<Item, 'taken'>) =>
    new Promise<void>((resolve, reject) => {
      items.push({ ...item, taken: resolve })
      written.catch(reject)
      wake()
    })
  const fresh = () => Object.fromEntries(list.map(({ name }) => [name, [] as unknown[]]))
  let group = fresh()
  let waiting = 0
  const flush = () => {
    const full = group
    group = fresh()
    waiting = 0
    return send({ group: full })
  }
  return {
    rows: 0,
    push(row) {
      for (const { name } of list) group[name]!.push(row[name])
      this.rows++
      return ++waiting < groupRows ? undefined : flush()
    },
    async finish() {
      if (waiting) await flush()
      await send({})
      await written
    },
    async discard(error) {
      await send({ error }).catch(() => {})
      await written.catch(() => {})
    },
  }
}
