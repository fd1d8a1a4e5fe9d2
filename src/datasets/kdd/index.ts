/**
 * KDD Cup 2012 track 2 for the model: raw text files in, Parquet and feature sizes out. Node only; needs DuckDB.
 *
 * @module kernelgrad/kdd
 */
import type { FeatureSizes } from '../../config/index.ts'
import type { KddListKey } from './lists.ts'

/** Where the raw files are, where the result goes, and how much of them is used. */
export interface PreprocessOptions {
  /** Folder with training.txt, titleid_tokensid.txt, queryid_tokensid.txt and userid_profile.txt. */
  input: string
  /** Folder for train.parquet, test.parquet and features.json; made where it is missing. */
  output: string
  /** Rows read from the start of training.txt, default 1,000,000. */
  rows?: number
  /** Decides which rows are test rows, default 42. */
  seed?: number
  /** Share of the rows with a click, and of those without, that are test rows; default 0.1. */
  testShare?: number
  /**
   * Makes lists of the rows: they stand list after list, with the list's number in the column `list`, and all of a query's are test rows or none is.
   * A `display` has the column `place` too, positions from 0; in the other lists rows of one ad are one, clicks and displays added up.
   */
  lists?: KddListKey
  /** What DuckDB may hold in memory, default 768; the rest is spilled into a temporary folder below the output. */
  memoryMiB?: number
  /** Stops the work and removes what it has made so far. */
  signal?: AbortSignal
  /** Called at the start of each stage of the work; what it returns hears the share done, from 0 to 1, and the end. */
  onStage?: (name: string) => StageProgress
}

/** Hears how far a stage is. */
export interface StageProgress {
  /** The share that is done, from 0 to 1. */
  update(share: number): void
  /** The stage is over. */
  done(): void
}

/** What preprocessing made. */
export interface PreprocessResult {
  /** Path of the training rows. */
  train: string
  /** Path of the test rows. */
  test: string
  /** Path of features.json. */
  featuresFile: string
  /** What the features file says. */
  features: FeatureSizes
}

/**
 * Makes a training and a test table as the notebook's companion script does. Of the first rows of training.txt, those
 * whose title and query are known stay, with the user's profile where there is one; label = click > 0. A token's id is its
 * rank, sorted as a string, among those in at least 10 and at most half of all titles and queries; any other token has the
 * padding id, which comes after them. Categories (missing ones count as -1) are codes in numeric order, those of fewer
 * than 30 rows sharing the last; depth (missing: 0) is scaled to [0, 1]. Rows keep the order of training.txt.
 *
 * The files appear only once they are whole, and what is in `output` stays as it was when anything fails.
 * @throws DataError naming file, line, column and value of a bad raw line; or the two lines with the same id; or that no
 * row, token or click is left; or what DuckDB or the file system refuses.
 */
export async function preprocessKdd(options: PreprocessOptions): Promise<PreprocessResult> {
  const { preprocess } = await import('./preprocess.ts')
  return preprocess(options)
}

export { type KddDocument, type KddListKey, type KddRow, kddLists } from './lists.ts'
