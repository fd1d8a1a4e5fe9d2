/**
 * From a table of one's own to what a model reads, and the same for every row that comes later.
 *
 * @module kernelgrad/prepare
 */
import { type PrepareOptions, type PrepareResult, resolveOptions } from './options.ts'

export type { AskedColumn } from './asked.ts'
export type { LearnedColumn, PreparationDocument, Role } from './document.ts'
export { inferRoles, type LearnedTable, type LearnOptions, learnTable, rawRows } from './learn-table.ts'
export type { RowCounts } from './model-config.ts'
export { type OpenedTable, openTable } from './open-table.ts'
export type { PrepareOptions, PrepareResult, ShownColumn } from './options.ts'
export { type ApplyOptions, Preparation, type PreparedColumn } from './preparation.ts'
export type { DateFormat } from './values.ts'

/**
 * Makes of a table of one's own what a model is trained on: a role is found for every column, or taken from `columns`; what codes,
 * means and words there are is learned on the training rows alone; constant, identifier-like and leaking columns are left out and
 * named. Node only; needs DuckDB, which keeps what does not fit into memory on disk.
 *
 * The files appear only once they are whole, and what is in `output` stays as it was when anything fails.
 * @throws DataError naming file, row or line, column, value, what was expected and a way out; ConfigError for an option.
 *
 * @example
 * ```ts
 * import { prepareTable } from 'kernelgrad/prepare'
 *
 * const { columns, rows } = await prepareTable({ input: 'clicks.csv', label: 'clicked', output: 'prepared' })
 * ```
 */
export async function prepareTable(options: PrepareOptions): Promise<PrepareResult> {
  const resolved = resolveOptions(options)
  const { prepare } = await import('#prepare')
  return prepare(resolved)
}
