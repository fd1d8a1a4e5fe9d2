// `kernelgrad lists` as the command line knows it.
import { UsageError } from '../errors.ts'
import { type BodySpec, wholeNumber } from './command.ts'
import { columnNames, JSON_LINE } from './options.ts'

/** @throws UsageError for what is no share of something */
function share(text: string): number {
  const value = Number(text)
  if (text.trim() && value > 0 && value < 1) return value
  throw new UsageError(`--test-share ${text}: expected a number between 0 and 1`)
}

export const LISTS: BodySpec = {
  name: 'lists',
  description:
    'write rows of Parquet files list by list, and split them by query or time (needs @duckdb/node-api)',
  options: [
    { flags: '--data <files...>', description: 'Parquet files with rows in any order', required: true },
    {
      flags: '--by <columns...>',
      description: 'columns, separated by commas, whose values tell lists apart',
      required: true,
      parse: columnNames,
    },
    {
      flags: '--out <folder>',
      description: 'folder for train.parquet and test.parquet, or for lists.parquet without a split',
      required: true,
    },
    { flags: '--name <column>', description: 'the column with the number of the list', default: 'list' },
    {
      flags: '--order <column>',
      description: 'what rows of a list are ordered by (default: as in the files)',
    },
    { flags: '--longest <rows>', description: 'most rows of a list', parse: wholeNumber(1) },
    {
      flags: '--longer <what>',
      description: 'a longer list is an error, or cut to its first rows (default: refuse)',
      choices: ['refuse', 'cut'],
    },
    {
      flags: '--split <how>',
      description: 'test lists: those of some queries, by seed, or the latest ones',
      default: 'none',
      choices: ['none', 'query', 'time'],
    },
    { flags: '--query <column>', description: 'of a split by query (default: the first of --by)' },
    { flags: '--time <column>', description: 'of a split by time: the column that says when' },
    { flags: '--test-share <share>', description: 'of the queries or lists (default: 0.1)', parse: share },
    {
      flags: '--seed <number>',
      description: 'decides which queries are the test',
      default: 42,
      parse: wholeNumber(0),
    },
    {
      flags: '--memory <MiB>',
      description: 'what DuckDB may hold; the rest is spilled below --out (default: 768)',
      parse: wholeNumber(128),
    },
    JSON_LINE,
  ],
  example: 'kernelgrad lists --data clicks.parquet --by query_id --split query --out lists',
  load: () => import('./commands/lists.ts'),
}
