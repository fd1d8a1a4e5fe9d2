// Learning from a table in memory: what prepareTable learns of the same rows, bit for bit, by the same code.
import { expectOptions, shown } from '../check.ts'
import type { Columns } from '../data/index.ts'
import { tokenizerFrom } from '../data/tokenizer.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import { columnsOf, TELLING_CLASSES, type Work } from './columns.ts'
import type { Learned, PreparationDocument } from './document.ts'
import { askedOf, checkTrained, labelOf } from './label.ts'
import { drawTest, groupsIn, type MemoryTable, valuesAt } from './memory-table.ts'
import { modelOf, type RowCounts } from './model-config.ts'
import type { OpenedTable } from './open-table.ts'
import {
  type PrepareOptions,
  type ResolvedPrepareOptions,
  resolveOptions,
  type ShownColumn,
} from './options.ts'
import { placeOf } from './place.ts'
import { hashOf, Preparation, TOKENIZER_FOLDER } from './preparation.ts'
import { keyOf } from './values.ts'
import { sizesOf, trainWords } from './words.ts'

/** What is learned of a table in memory, and how; {@link PrepareOptions} says what each is. The split is at random. */
export type LearnOptions = Pick<
  PrepareOptions,
  | 'label'
  | 'classes'
  | 'weight'
  | 'columns'
  | 'missing'
  | 'testShare'
  | 'seed'
  | 'leastCount'
  | 'mostCodes'
  | 'scale'
  | 'impute'
  | 'vocabularySize'
  | 'maxTokens'
  | 'onStage'
> & {
  /** Trained on the texts. */
  tokenizer?: 'word' | 'wordpiece'
}

const KNOWN = [
  ...['label', 'classes', 'weight', 'columns', 'missing', 'testShare', 'seed', 'leastCount', 'mostCodes'],
  ...['scale', 'impute', 'vocabularySize', 'maxTokens', 'onStage', 'tokenizer'],
]

/** What was learned of a table in memory. */
export interface LearnedTable {
  preparation: Preparation
  /** The training rows as a model reads them. */
  train: Columns
  /** The test rows, where there are any. */
  test: Columns | undefined
  /** Rows of the table that are test rows, in order. */
  testRows: Uint32Array
  rows: RowCounts
  /** The label's values, in the order of their classes. */
  classes: readonly string[]
  columns: ShownColumn[]
  /** A training configuration, as prepareTable writes it into model.json. */
  model: object
  /** What a model's folder keeps in `tokenizer/`, by file; nothing where no column is text. */
  tokenizer: Record<string, unknown> | undefined
}

/**
 * Learns from a table in memory what `prepareTable` learns from its file: the same roles, document and rows for the same options, to
 * the bit. Runs in a browser too.
 * @throws DataError naming file, row, column, value, what was expected and a way out; ConfigError for an option.
 *
 * @example
 * ```ts
 * import { learnTable, openTable } from 'kernelgrad/prepare'
 *
 * const file = new Blob(['zip,clicked\n10115,yes\n20095,no\n10115,yes\n20095,no\n'])
 * const table = await openTable(file, { name: 'clicks.csv' })
 * const columns = { zip: { role: 'category' } } as const
 * const { preparation, train } = await learnTable(table, { label: 'clicked', columns, testShare: 0 })
 * ```
 */
export async function learnTable(table: OpenedTable, options: LearnOptions): Promise<LearnedTable> {
  const { read, resolved, label, work, test, columns, shown, texts } = await look(
    'learnTable',
    table,
    options,
  )
  const { seed, onStage, split } = resolved
  const document: PreparationDocument = { kernelgrad_preparation: 1, columns, missing: resolved.missing }
  const tokenizer = texts.length ? await tokenizerOf(work, texts, document) : undefined
  const preparation = new Preparation(document, tokenizer?.tokenize)
  if (!preparation.prepared.length)
    throw new DataError(
      `no column is left to learn from: ${shown.map(({ name, says }) => `'${name}' ${says}`).join('; ')}; ask for one with a role`,
    )
  const encoding = onStage?.('encode')
  const [trainRows, testRows] = [rowsThat(test, 0), rowsThat(test, 1)]
  const train = encoded(read, preparation, trainRows)
  const held = testRows.length ? encoded(read, preparation, testRows) : undefined
  encoding?.done()
  const counts = { read: read.rows, train: trainRows.length, test: testRows.length }
  document.split = { by: split.by, seed, test_share: split.share, train: counts.train, test: counts.test }
  return {
    ...{
      preparation: new Preparation(document, tokenizer?.tokenize),
      train,
      test: held,
      testRows,
      rows: counts,
    },
    ...{
      classes: label.classes,
      columns: shown,
      model: modelOf(preparation, counts),
      tokenizer: tokenizer?.files,
    },
  }
}

/**
 * The roles that {@link learnTable} would give, and the rows it would hold out, without words and rows: to be shown, and asked for otherwise.
 * @throws DataError and ConfigError as {@link learnTable} does.
 */
export async function inferRoles(
  table: OpenedTable,
  options: LearnOptions,
): Promise<Pick<LearnedTable, 'classes' | 'columns' | 'rows'>> {
  const { read, label, test, shown } = await look('inferRoles', table, options)
  const held = test.reduce((sum, one) => sum + one, 0)
  const rows = { read: read.rows, train: read.rows - held, test: held }
  return { classes: label.classes, columns: shown, rows }
}

/** Decides which rows are the test, and learns of the others what each column is. */
async function look(at: string, table: OpenedTable, options: LearnOptions) {
  const read = tableOf(at, table)
  const resolved = resolve(at, options)
  const { seed, onStage, split } = resolved
  const also = new Set(resolved.missing)
  const asked = askedOf(resolved, read)
  if (split.share > 0 && read.rows < 2)
    throw new DataError(
      'one row cannot be split into training and test rows; a test share of 0 makes no test',
    )
  const test = drawTest(read.rows, seed, split.share)
  const { label: name } = resolved
  const label = await labelOf(() => groupsIn(read, test, undefined)(name, 'all'), read, resolved, also)
  const work: Work = {
    ...{ table: read, options: resolved, asked, also, label },
    groups: groupsIn(read, test, toldOf(read, name, label)),
  }
  await checkTrained(work)
  const learning = onStage?.('learn')
  const found = await columnsOf(work, share => learning?.update(share))
  learning?.done()
  return { read, resolved, label, work, test, ...found }
}

/** The rows of a part, in order. */
function rowsThat(test: Uint8Array, part: number): Uint32Array {
  const rows = new Uint32Array(test.length)
  let n = 0
  for (let row = 0; row < test.length; row++) if (test[row] === part) rows[n++] = row
  return rows.slice(0, n)
}

/** Of a table, the raw values of rows by column, as they came: what `Preparation.apply` takes. */
export function rawRows(table: OpenedTable, rows: readonly number[]): Record<string, unknown>[] {
  const { coded } = tableOf('rawRows', table)
  return rows.map(row =>
    Object.fromEntries([...coded].map(([name, { values, codes }]) => [name, values[codes[row]!] ?? null])),
  )
}

function tableOf(at: string, table: OpenedTable): MemoryTable {
  if (typeof table === 'object' && table !== null && 'coded' in table) return table as MemoryTable
  throw new ArgumentError(`${at}: table is ${shown(table)}, expected what openTable gives`)
}

function resolve(at: string, options: LearnOptions): ResolvedPrepareOptions {
  expectOptions(`${at}: options`, options, KNOWN)
  const { tokenizer = 'word' } = options
  if (tokenizer !== 'word' && tokenizer !== 'wordpiece')
    throw new ConfigError(`${at}: tokenizer is ${shown(tokenizer)}, expected 'word' or 'wordpiece'`)
  return resolveOptions({ ...options, input: 'memory', output: 'memory' }, at)
}

/** The class of each row, where columns are held against classes. */
function toldOf({ coded }: MemoryTable, name: string, { classes, type, format }: Learned<'label'>) {
  if (classes.length > TELLING_CLASSES) return undefined
  const { values, codes } = coded.get(name)!
  const ofValue = values.map(value => classes.indexOf(keyOf(value, type, format)!))
  return { classes: codes.map(code => ofValue[code]!), count: classes.length }
}

const ANY = { maxPositions: 2 ** 20, vocabSize: 2 ** 31 }

/** Trains a tokenizer and enters it in the document. */
async function tokenizerOf(work: Work, texts: readonly string[], document: PreparationDocument) {
  const { onStage, tokenizer: kind } = work.options
  const words = onStage?.('learn words')
  const json = await trainWords(work, texts, kind as 'word' | 'wordpiece', share => words?.update(share))
  const made = await tokenizerFrom({ 'tokenizer.json': json }, ANY, TOKENIZER_FOLDER)
  // What was written is read again, as a folder's is.
  const { files } = await tokenizerFrom(made.files, ANY, TOKENIZER_FOLDER)
  const vocabulary = sizesOf(files['tokenizer.json'], kind)
  document.vocab_size = vocabulary.size
  document.pad_token_id = vocabulary.pad
  document.tokenizer = hashOf(JSON.stringify(files))
  const encoders = new Map<number, (text: string) => number[]>()
  for (const column of Object.values(document.columns)) {
    if (column.role !== 'text' || encoders.has(column.max_tokens)) continue
    const limits = { maxPositions: column.max_tokens, vocabSize: vocabulary.size }
    encoders.set(column.max_tokens, (await tokenizerFrom(files, limits, TOKENIZER_FOLDER)).encode)
  }
  words?.done()
  return { files, tokenize: (maxTokens: number) => encoders.get(maxTokens)! }
}

/** Rows of a table, labels and weights among them, as prepare writes them. */
function encoded(table: MemoryTable, preparation: Preparation, rows: Uint32Array): Columns {
  const wanted = [...preparation.fields, preparation.label, preparation.weight].filter(
    name => name !== undefined,
  )
  const values = Object.fromEntries(wanted.map(name => [name, valuesAt(table.coded.get(name)!, rows)]))
  return preparation.applyColumns(values, {
    labels: 'optional',
    at: i => placeOf(table.files, rows[i]!),
  })
}
