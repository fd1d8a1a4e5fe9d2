// Each different value of a column of the table `raw`, counted by the database.
import { type Database, quoted } from '../datasets/database.ts'
import { TELLING_CLASSES, type Work } from './columns.ts'
import type { Learned } from './document.ts'
import type { Group } from './observe.ts'
import { named } from './table.ts'
import { keyOf } from './values.ts'

/** Each different value of a column among the rows that `where` holds for, in order; `classes` are conditions to count by. */
export async function* groupsOf(
  db: Database,
  { name, where, classes }: { name: string; where: string; classes: readonly string[] },
): AsyncGenerator<Group> {
  const counts = classes.map(condition => `, (count(*) FILTER (WHERE ${condition}))::BIGINT`)
  const select = `${named(name)}, count(*)::BIGINT, min(rowid)::BIGINT${counts.join('')}`
  for await (const [values, times, rows, ...of] of db.stream(
    `SELECT ${select} FROM raw WHERE ${where} GROUP BY ${named(name)} ORDER BY ${named(name)}`,
  ))
    for (const [i, value] of values!.entries())
      yield {
        value,
        count: Number(times![i]),
        row: Number(rows![i]),
        classes: of.map(column => Number(column[i])),
      }
}

/** Groups as learning asks for them, of the rows that `test` does not hold for. */
export async function groupsBy(
  db: Database,
  { label, test, of }: { label: Learned<'label'>; test: string; of: string },
): Promise<Work['groups']> {
  const conditions = await classConditions(db, label, of)
  return (name, which, { byClass } = { byClass: false }) =>
    groupsOf(db, {
      name,
      where: which === 'all' ? 'true' : `NOT (${test})`,
      classes: byClass ? conditions : [],
    })
}

/** Conditions of the rows of each class. */
async function classConditions(db: Database, label: Learned<'label'>, of: string): Promise<string[]> {
  if (label.classes.length > TELLING_CLASSES) return []
  const raw = new Map<string, string[]>(label.classes.map(key => [key, []]))
  for await (const { value } of groupsOf(db, { name: of, where: 'true', classes: [] }))
    raw.get(keyOf(value, label.type, label.format)!)!.push(literal(value))
  return [...raw.values()].map(values => `${named(of)} IN (${values.join(', ')})`)
}

const literal = (value: unknown) => (typeof value === 'string' ? quoted(value) : String(value))
