// What the columns of a Parquet file with token ids are to the model: proposed from their names and first values, decided by the reader.
import { type ParquetFile, readColumns } from 'kernelgrad/data'
import type { ColumnProposal, TokenProposal, Use } from './protocol.ts'

const LOOK_AT = 2000
/** A column of whole numbers with more different values than this share of its rows is an identifier, not a category. */
const DISTINCT_SHARE = 0.5

/** The columns of the sample, and of any file preprocessed from KDD Cup 2012 track 2, that the model reads. */
const KNOWN: Record<string, Use> = {
  tokenized_title: 'token_id',
  tokenized_query: 'token_id',
  depth: 'numerical',
  gender: 'categorical',
  age: 'categorical',
  advertiser_id: 'categorical',
  user_id: 'categorical',
  label: 'label',
}

/** Reads the first rows of every column; nothing where none holds lists of token ids. */
export async function propose(file: ParquetFile): Promise<TokenProposal | undefined> {
  const known = Object.keys(KNOWN).every(name => file.columns.includes(name))
  const columns: ColumnProposal[] = []
  let highest = 0
  // What the model reads comes first, in the order of the sample's configuration.
  const first = known ? Object.keys(KNOWN) : []
  for (const name of new Set([...first, ...file.columns])) {
    const values = await firstValues(file, name)
    const allowed = usesOf(values)
    const use = known ? (KNOWN[name] ?? 'ignore') : guess(name, values, allowed)
    if (allowed.includes('token_id'))
      for (const list of values as unknown[][]) highest = maximum(list, highest)
    columns.push({ name, use, allowed, shown: values.slice(0, 2).map(shorten).join(' · ') })
  }
  if (!columns.some(({ allowed }) => allowed.includes('token_id'))) return undefined
  if (!known) keepOneLabel(columns)
  // Preprocessing gives the padding id to unknown words, and it comes after all others; elsewhere nothing stands for it.
  const padTokenId = known ? highest : highest + 1
  return { kind: 'tokens', name: file.name, rows: file.rows, columns, padTokenId, known }
}

/** Nothing where the column is nested too deep to be read. */
async function firstValues(file: ParquetFile, name: string): Promise<unknown[]> {
  try {
    return (await readColumns(file, [name], { rowEnd: LOOK_AT }))[name]!
  } catch (error) {
    if (error instanceof Error && error.message.includes('is nested')) return []
    throw error
  }
}

const isNumber = (x: unknown): boolean => ['number', 'bigint', 'boolean'].includes(typeof x)
const isId = (x: unknown): boolean => isNumber(x) && Number(x) >= 0 && Number.isSafeInteger(Number(x))

function usesOf(values: unknown[]): Use[] {
  if (!values.length) return ['ignore']
  if (values.every(list => Array.isArray(list) && list.every(isId))) return ['token_id', 'ignore']
  if (!values.every(isNumber)) return ['ignore']
  if (!values.every(isId)) return ['numerical', 'ignore']
  const binary = values.every(x => Number(x) <= 1)
  return ['categorical', 'numerical', ...(binary ? (['label'] as const) : []), 'ignore']
}

function guess(name: string, values: unknown[], allowed: Use[]): Use {
  if (allowed.includes('token_id')) return 'token_id'
  if (allowed.includes('label') && /^(label|clicks?|clicked|target|y)$/i.test(name)) return 'label'
  if (!allowed.includes('categorical')) return allowed[0]!
  const distinct = new Set(values.map(Number)).size
  if (distinct === 1) return 'ignore'
  const crowded = distinct <= Math.max(20, DISTINCT_SHARE * values.length) && maximum(values, 0) < 200_000
  return crowded ? 'categorical' : 'ignore'
}

/** The best name wins; another column of the same meaning would give the answer away, so it is ignored. */
function keepOneLabel(columns: ColumnProposal[]): void {
  const [first, ...rest] = columns
    .filter(({ use }) => use === 'label')
    .sort((a, b) => Number(b.name === 'label') - Number(a.name === 'label'))
  for (const column of rest) column.use = 'ignore'
  if (first) first.use = 'label'
}

const maximum = (values: unknown[], start: number) =>
  values.reduce<number>((most, value) => Math.max(most, Number(value)), start)

function shorten(value: unknown): string {
  const text = Array.isArray(value)
    ? `[${value.slice(0, 6).join(', ')}${value.length > 6 ? ', …' : ''}]`
    : String(value)
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}
