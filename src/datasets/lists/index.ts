/**
 * Rows of Parquet files, of any order and larger than memory, as lists that stand side by side, split so that no list, and no query, is on both
 * sides. Node only; needs DuckDB.
 *
 * @module kernelgrad/lists
 */
import type { StageProgress } from '../kdd/index.ts'

/** Where the rows are, what makes a list of them, and how lists are split. */
export interface GroupListsOptions {
  /** Parquet files with the same columns. */
  data: readonly string[]
  /** Folder for train.parquet and test.parquet, or lists.parquet where nothing is split; made where it is missing. */
  output: string
  /** Columns whose values tell lists apart. */
  by: readonly string[]
  /** Name of the column that is written with the number of the list, default 'list'. */
  name?: string
  /** Column that rows of a list are ordered by, such as their position; as in the files unless given. */
  order?: string
  /** Most rows of a list; any number unless given. */
  longest?: number
  /** Of a longer list: 'refuse' it (default), or 'cut' it to its first rows. */
  longer?: 'refuse' | 'cut'
  /** 'query' sends all lists of a query to one side, by seed; 'time' the latest lists to the test; 'none' (default) writes one file. */
  split?: 'none' | 'query' | 'time'
  /** Of a split by query: its column, the first of `by` unless given. */
  query?: string
  /** Of a split by time: the column that says when; a list is as old as its first row. */
  time?: string
  /** Share of the queries, or of the lists, that are the test; default 0.1. */
  testShare?: number
  /** Decides which queries are the test, default 42. */
  seed?: number
  /** What DuckDB may hold in memory, default 768; the rest is spilled into a temporary folder below the output. */
  memoryMiB?: number
  /** Stops the work and removes what it has made so far. */
  signal?: AbortSignal
  /** Called at the start of each stage of the work; what it returns hears the share done, from 0 to 1, and the end. */
  onStage?: (name: string) => StageProgress
}

/** A file of lists. */
export interface GroupedFile {
  path: string
  lists: number
  rows: number
}

/** What was written. */
export interface GroupListsResult {
  /** The test's lists are those of `test`; without a split there is one file. */
  files: { train: GroupedFile; test: GroupedFile } | { lists: GroupedFile }
  /** Rows of the longest list that is written. */
  longest: number
  /** Lists that were cut. */
  cut: number
}

/**
 * Writes rows list by list: a list is all rows with the same values in `by`, wherever they stand, and has its first row's number (in all files, from
 * 0) in a column of its own, which a model's `lists` names. Lists stand in the order of their first rows.
 *
 * The files appear only once they are whole, and what is in `output` stays as it was when anything fails.
 * @throws ArgumentError or ConfigError for an option that cannot be; DataError naming file, row and column of a value that is not there, files that
 * differ in their columns, a list that is longer than it may be, or a split that leaves one side without lists
 *
 * @example
 * ```ts
 * import { groupLists } from 'kernelgrad/lists'
 *
 * await groupLists({ data: ['clicks.parquet'], by: ['query_id', 'session'], output: 'lists', split: 'query', longest: 100 })
 * ```
 */
export async function groupLists(options: GroupListsOptions): Promise<GroupListsResult> {
  const { group } = await import('./group.ts')
  return group(options)
}
