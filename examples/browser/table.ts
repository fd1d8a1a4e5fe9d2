// A table of one's own in the page: its columns' roles, found out or asked for, and its rows as the trainer takes them.
import { DataError, type Dataset } from 'kernelgrad'
import {
  type AskedColumn,
  inferRoles,
  type LearnedTable,
  learnTable,
  type OpenedTable,
  openTable,
  rawRows,
} from 'kernelgrad/prepare'
import { BATCH } from './model.ts'
import type { Example, Field, RoleRow, TableChoices, TableProposal } from './protocol.ts'
import { firstRows, MOST_EVALUATED, type Rows } from './rows.ts'

const LOOK_AT = 2000
const LABELS =
  /^(?:label|clicks?|clicked|target|y|class|outcome|response|converted|bought|churn(?:ed)?|survived)$/i
const EPOCHS = 3
const LEAST_STEPS = 60
/** Known values that the form offers. */
const MOST_KNOWN = 50

export async function openOwnTable(file: File): Promise<{ table: OpenedTable; proposal: TableProposal }> {
  const table = await openTable(file)
  const { name, rows, columns } = table
  const first = rawRows(
    table,
    Array.from({ length: Math.min(rows, LOOK_AT) }, (_, i) => i),
  )
  const told = (column: string) => new Set(first.map(row => row[column]).filter(value => value !== null))
  const label = columns.find(
    ({ name, kind }) => kind !== 'nested' && LABELS.test(name) && told(name).size > 1,
  )
  return {
    table,
    proposal: {
      ...{ kind: 'table', name, rows, label: label?.name },
      columns: columns.map(({ name, kind }) => ({
        ...{ name, nested: kind === 'nested' },
        shown: [...told(name)].slice(0, 3).map(shorten).join(' · '),
      })),
    },
  }
}

function shorten(value: unknown): string {
  const text = String(value).replace(/\s+/g, ' ')
  return text.length > 28 ? `${text.slice(0, 27)}…` : text
}

/** What the command line says with its options, in the page's words. */
export const inPageWords = (message: string): string =>
  message
    .replace(/; say which: --date-format .*$/s, "; say which: 'date, day first' or 'date, month first'")
    .replace(/; name them with --classes if these are|, or name all classes \(--classes\)/, '')
    .replace(/; split otherwise \(--split.*$/s, '; take a file with more rows of each')
    .replace(/name it as missing \(--missing [^)]*\)/, 'name it below as a text that means no value')
    .replace(/; scale it by quantiles: --scale .*$/s, "; take 'number, by rank'")
    .replace(/ \(--[^)]*\)/g, '')

/** The column that a message is about. */
export const columnIn = (message: string): string | undefined =>
  /\bcolumns? '(.+?)'(?=[:,; ]|$)/s.exec(message)?.[1]

/** What each column becomes. One that has no role yet, or cannot have what was asked, is left out and says why. */
export async function findRoles(
  table: OpenedTable,
  { label, asked, missing }: TableChoices,
): Promise<{ columns: RoleRow[] | undefined; steps: number; problem?: string }> {
  const problems = new Map<string, string>()
  const open = new Set(table.columns.filter(({ kind }) => kind !== 'nested').map(({ name }) => name))
  for (;;) {
    const without = [...problems.keys()].map((name): [string, AskedColumn] => [name, { role: 'ignore' }])
    const columns = { ...asked, ...Object.fromEntries(without) }
    try {
      const learned = await inferRoles(table, { label, missing, columns })
      return {
        steps: stepsOf(learned),
        columns: learned.columns.map(column => rowOf(column, asked, problems)),
      }
    } catch (error) {
      if (!(error instanceof DataError)) throw error
      const column = columnIn(error.message)
      const problem = inPageWords(error.message)
      if (column === undefined || column === label || problems.has(column) || !open.has(column))
        return { columns: undefined, steps: 0, problem }
      problems.set(column, problem)
    }
  }
}

function rowOf(
  { name, role, says, distinct, missing, asked: found }: LearnedTable['columns'][number],
  asked: Record<string, AskedColumn>,
  problems: ReadonlyMap<string, string>,
): RoleRow {
  const problem = problems.get(name)
  if (problem === undefined) return { name, role, says, distinct, missing, asked: found }
  return { ...{ name, role, says: '', distinct, missing, problem }, asked: asked[name] ?? found }
}

const stepsOf = ({ rows }: Pick<LearnedTable, 'rows'>) =>
  Math.max(LEAST_STEPS, Math.round((EPOCHS * rows.train) / BATCH))

/** A table's rows as the trainer takes them. */
export async function readTableRows(
  table: OpenedTable,
  { label, asked, missing }: TableChoices,
): Promise<Rows> {
  const learned = await learnTable(table, { label, missing, columns: asked })
  const { preparation, train, test, testRows } = learned
  if (!test?.length) throw new DataError(`${table.name} has ${table.rows} rows, too few to hold some out`)
  const dataset = (columns: typeof train): Dataset => ({
    ...columns,
    files: [{ name: table.name, rowStart: 0, rows: columns.length }],
  })
  const { vocab_size = 2, pad_token_id = 0 } = preparation.document
  return {
    train: dataset(train),
    evaluation: firstRows(dataset(test), MOST_EVALUATED),
    heldOut: dataset(test),
    heldOutRows: testRows,
    features: preparation.features(),
    vocabSize: vocab_size,
    padTokenId: pad_token_id,
    classes: learned.classes,
    weighted: preparation.weight !== undefined,
    maxTokens: maxTokensOf(learned),
    table: {
      preparation,
      tokenizer: learned.tokenizer,
      fields: fieldsOfTable(learned),
      examples: examplesOf(table, learned),
    },
  }
}

function maxTokensOf({ preparation }: LearnedTable): number {
  const columns = Object.values(preparation.document.columns)
  return columns.reduce((sum, column) => sum + (column.role === 'text' ? column.max_tokens : 0), 0)
}

const DATES: Record<string, string> = {
  ...{ iso: '2024-12-31', dmy: '31.12.2024', mdy: '12/31/2024' },
  ...{ seconds: 'seconds since 1970', milliseconds: 'milliseconds since 1970' },
}

/** What the form for a row asks for: a field for each raw column that is read. */
function fieldsOfTable({ preparation }: LearnedTable): Field[] {
  return preparation.fields.map((name): Field => {
    const column = preparation.document.columns[name]!
    const field = { name, use: 'raw' as const }
    if (column.role === 'category')
      return {
        ...field,
        hint: column.codes ? 'a category; a new one counts as unknown' : 'a category',
        known: column.codes?.slice(0, MOST_KNOWN) ?? [],
      }
    if (column.role === 'date') return { ...field, hint: `a date as ${DATES[column.format]}` }
    if (column.role === 'text') return { ...field, hint: 'a text', long: true }
    return { ...field, hint: 'a number' }
  })
}

/** A few held-out rows to fill the form with: of each class the first. */
function examplesOf(table: OpenedTable, { preparation, test, testRows, classes }: LearnedTable): Example[] {
  const labels = [...test!.ids.label!]
  return classes.slice(0, 4).flatMap((key, code) => {
    const first = labels.indexOf(code)
    if (first < 0) return []
    const [raw] = rawRows(table, [testRows[first]!])
    const row = Object.fromEntries(preparation.fields.map(name => [name, String(raw![name] ?? '')]))
    return [{ title: `Row ${testRows[first]} (${key})`, row }]
  })
}
