// Which column is the label and which the weight, what classes there are, and whether something can be learned of the training rows.
import { DataError } from '../errors.ts'
import { type AskedColumn, expectColumn } from './asked.ts'
import type { Work } from './columns.ts'
import type { Learned } from './document.ts'
import type { RawTable } from './formats.ts'
import { learnLabel } from './learn.ts'
import { type Group, observe, typeOf } from './observe.ts'
import type { ResolvedPrepareOptions } from './options.ts'
import { placeOf } from './place.ts'
import { isMissing, keyOf, numberOf } from './values.ts'

/** The way that a column's dates are written, where somebody says so. */
export const formatAsked = (column: AskedColumn | undefined) =>
  column && 'date_format' in column ? column.date_format : undefined

/** What is asked of columns, and label and weight among it. */
export function askedOf(
  options: ResolvedPrepareOptions,
  { columns }: Pick<RawTable, 'columns'>,
): Record<string, AskedColumn> {
  const there = columns.map(({ name }) => name)
  // Without a prototype: a column may be called 'constructor'.
  const asked: Record<string, AskedColumn> = Object.assign(Object.create(null), options.columns)
  const set = (name: string | undefined, role: 'label' | 'weight') => {
    if (name === undefined) return
    expectColumn(name, there, `the ${role}`)
    const other = asked[name]
    if (other && other.role !== role)
      throw new DataError(`column '${name}' is to be ${other.role} and the ${role}; expected one role`)
    asked[name] = { role }
  }
  set(options.label, 'label')
  set(options.weight, 'weight')
  for (const [name, { role }] of Object.entries(asked)) {
    expectColumn(name, there, `the role ${role}`)
    const { kind, type } = columns.find(column => column.name === name)!
    if (kind === 'nested' && role !== 'ignore')
      throw new DataError(`column '${name}' holds ${type}, expected one value a row for the role ${role}`)
    const second = Object.keys(asked).find(other => other !== name && asked[other]!.role === role)
    if ((role === 'label' || role === 'weight') && second !== undefined)
      throw new DataError(`columns '${name}' and '${second}' are both to be the ${role}, expected one`)
  }
  if (options.split.column !== undefined) expectColumn(options.split.column, there, 'the split')
  return asked
}

/** The label, of all rows: a class that only test rows have is still a class. */
export async function labelOf(
  groups: () => AsyncIterable<Group>,
  table: Pick<RawTable, 'columns' | 'files'>,
  options: ResolvedPrepareOptions,
  also: ReadonlySet<string>,
): Promise<Learned<'label'>> {
  const name = options.label
  const { kind } = table.columns.find(column => column.name === name)!
  const typed = typeOf(await observe(groups(), also, 0), kind)
  const where = { name, at: (row: number) => placeOf(table.files, row) }
  const type = 'type' in typed ? typed : ({ type: 'string' } as const)
  return learnLabel(groups(), also, type, where, options.classes)
}

/**
 * Of one class alone nothing is learned.
 * @throws DataError where the training rows have one, or weights of 0 alone
 */
export async function checkTrained({
  groups,
  label,
  options: { label: name },
  asked,
  also,
}: Work): Promise<void> {
  const keys = new Set<string>()
  for await (const { value } of groups(name, 'training')) keys.add(keyOf(value, label.type, label.format)!)
  const weight = Object.keys(asked).find(column => asked[column]!.role === 'weight')
  if (weight !== undefined) await expectWeight(weight)
  if (keys.size < 2)
    throw new DataError(
      `the training rows have the label '${[...keys].join()}' alone, expected at least two classes; split otherwise (--split, --seed, --test-share)`,
    )

  async function expectWeight(column: string): Promise<void> {
    // What is no weight is refused with its row where it is written.
    for await (const { value } of groups(column, 'training'))
      if (isMissing(value, 'number', also) || numberOf(value) !== 0) return
    throw new DataError(
      `column '${column}' has the weight 0 in all training rows, of which none would count; expected one above it`,
    )
  }
}
