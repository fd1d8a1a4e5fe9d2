// Every column in turn: what is seen of it, the role that follows or was asked for, and what is learned.
import type { AskedColumn } from './asked.ts'
import type { Learned, LearnedColumn } from './document.ts'
import type { RawTable, RawTableColumn } from './formats.ts'
import { learnCategory, learnDate, learnNumber } from './learn.ts'
import { Names } from './names.ts'
import { type Group, observe, type Seen } from './observe.ts'
import type { ResolvedPrepareOptions, ShownColumn } from './options.ts'
import { placeOf } from './place.ts'
import { type Choice, chooseRole, fitRole } from './roles.ts'

/** Of which rows a column's different values are: all of them, or those that are trained on. */
export type Which = 'all' | 'training'

/** What learning goes by. */
export interface Work {
  table: Pick<RawTable, 'columns' | 'files'>
  options: ResolvedPrepareOptions
  asked: Record<string, AskedColumn>
  /** Texts that stand for no value. */
  also: ReadonlySet<string>
  label: Learned<'label'>
  /** Each different value of a column, in order, and where it is asked for how many rows of each class have it. */
  groups: (name: string, which: Which, how?: { byClass: boolean }) => AsyncIterable<Group>
}

/** A label of more classes is not held against columns. */
export const TELLING_CLASSES = 20

/** What is learned of all columns but their words, and how it is told. */
export async function columnsOf(
  work: Work,
  onProgress: (share: number) => void,
): Promise<{ columns: Record<string, LearnedColumn>; shown: ShownColumn[]; texts: string[] }> {
  const { table, options, asked, also, label } = work
  const classes = label.classes.length > TELLING_CLASSES ? 0 : label.classes.length
  const names = new Names()
  const learned: [string, LearnedColumn][] = []
  const shown: ShownColumn[] = []
  for (const [i, column] of table.columns.entries()) {
    const { name } = column
    const want = asked[name]
    const groups = () => work.groups(name, 'training')
    const one = async (): Promise<[LearnedColumn, Seen | undefined]> => {
      if (want?.role === 'label') return [label, undefined]
      if (want?.role === 'weight') return [{ role: 'weight' }, undefined]
      if (column.kind === 'nested') return [{ role: 'ignore', why: `it holds ${column.type}` }, undefined]
      const told = work.groups(name, 'training', { byClass: classes > 0 })
      const seen = await observe(told, also, classes)
      const where = { name, at: (row: number) => placeOf(table.files, row) }
      const choice = choiceOf(seen, column, where, want)
      return [await learn(choice, groups, want, names, where), seen]
    }
    const learn = async (
      choice: Choice,
      groups: () => AsyncIterable<Group>,
      how: AskedColumn | undefined,
      names: Names,
      where: { name: string; at: (row: number) => string },
    ): Promise<LearnedColumn> => {
      const { role, why } = choice
      if (role === 'ignore') return { role, ...(why === undefined ? {} : { why }) }
      const out = names.of(name)
      if (role === 'text') {
        const own = how?.role === 'text' ? how.max_tokens : undefined
        return { role, out, max_tokens: own ?? options.maxTokens }
      }
      if (role === 'number') {
        const { scale, impute } = how?.role === 'number' ? how : {}
        const numbers = { scale: scale ?? options.scale, impute: impute ?? options.impute }
        return learnNumber(groups(), also, numbers, where, {
          ...{ out, indicator: () => names.of(`${name}_missing`) },
        })
      }
      if (role === 'date') {
        const part = (part: string) => names.of(`${name}_${part}`)
        return learnDate(groups(), also, choice.format ?? 'iso', where, { out, part })
      }
      const own = how?.role === 'category' ? how : undefined
      const { leastCount, mostCodes } = options
      const categories = {
        leastCount: own?.least_count ?? leastCount,
        mostCodes,
        hashBuckets: own?.hash_buckets,
      }
      return learnCategory(groups(), also, choice, categories, out)
    }
    const [result, seen] = await one()
    learned.push([name, result])
    shown.push(shownOf(name, result, seen, want))
    onProgress((i + 1) / table.columns.length)
  }
  const texts = learned.flatMap(([name, { role }]) => (role === 'text' ? [name] : []))
  return { columns: Object.fromEntries(learned), shown, texts }
}

function choiceOf(
  seen: Seen,
  { kind }: RawTableColumn,
  where: { name: string; at: (row: number) => string },
  want: AskedColumn | undefined,
): Choice {
  if (!want || want.role === 'label' || want.role === 'weight') return chooseRole(seen, kind, where)
  if (want.role === 'ignore') return { role: 'ignore', type: 'string', why: want.why ?? 'as asked' }
  const format = 'date_format' in want ? want.date_format : undefined
  return fitRole(want.role, seen, kind, where, { format })
}

/** A column as a person reads of it, and as it may be asked for again. */
function shownOf(
  name: string,
  column: LearnedColumn,
  seen: Seen | undefined,
  want: AskedColumn | undefined,
): ShownColumn {
  const missing = seen ? seen.nothing : 0
  const distinct = seen?.distinct ?? 0
  const common = { name, role: column.role, distinct, missing }
  switch (column.role) {
    case 'label':
      return {
        ...common,
        says: column.classes
          .map((key, code) => `${key} → ${code}`)
          .slice(0, 8)
          .join(', '),
        asked: { role: 'label' },
      }
    case 'category': {
      const how = want?.role === 'category' ? want : {}
      const says = column.hash_buckets
        ? `${column.hash_buckets} buckets by hash`
        : `${column.codes!.length} codes and unknown`
      return { ...common, says: `${column.type}, ${says}`, asked: { ...how, role: 'category' } }
    }
    case 'number':
      return {
        ...common,
        says: `${column.scale}${column.indicator ? `, missing: ${short(column.fill)} and ${column.indicator}` : ''}`,
        asked: { ...(want?.role === 'number' ? want : {}), role: 'number' },
      }
    case 'date':
      return {
        ...common,
        says: `${column.format}, to days, month, weekday${column.hour ? ', hour' : ''}`,
        asked: { role: 'date', date_format: column.format },
      }
    case 'text':
      return {
        ...common,
        says: `up to ${column.max_tokens} tokens`,
        asked: { role: 'text', max_tokens: column.max_tokens },
      }
    case 'weight':
      return { ...common, says: 'of each row in the loss', asked: { role: 'weight' } }
    default:
      return {
        ...common,
        says: `left out: ${column.why ?? 'as asked'}`,
        asked: { role: 'ignore', ...(column.why ? { why: column.why } : {}) },
      }
  }
}

const short = (x: number) => String(Number(x.toPrecision(4)))
