// What `kernelgrad prepare` takes.
import { UsageError } from '../errors.ts'
import { type BodySpec, wholeNumber } from './command.ts'
import { JSON_LINE } from './options.ts'

/** A number from 0 on and below 1. */
function share(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value < 1) return value
  throw new UsageError(`expected a number of at least 0 and below 1, got '${text}'`)
}

const byCommas = (text: string): string[] => text.split(',').map(one => one.trim())

export const PREPARE: BodySpec = {
  name: 'prepare',
  description:
    'make training and test files of a table of your own: CSV, TSV, NDJSON (also .gz) or Parquet (needs @duckdb/node-api)',
  arguments: [
    { name: 'data', description: 'files, folders or patterns with the same columns', variadic: true },
  ],
  example: 'kernelgrad prepare clicks.csv --label clicked --role city=category --out prepared',
  options: [
    { flags: '--label <column>', description: 'the column that is to be predicted', required: true },
    {
      flags: '--out <folder>',
      description: 'folder for train.parquet, test.parquet, features.json, model.json and preparation.json',
      required: true,
    },
    {
      flags: '--role <column=role...>',
      description: 'what a column is: category, number, date, text, weight or ignore (default: found out)',
    },
    {
      flags: '--features <file>',
      description: 'features.json of an earlier prepare, edited: what its columns are to be',
    },
    {
      flags: '--hash-buckets <column=count...>',
      description: 'code a category by hash: for values that are ever new',
    },
    {
      flags: '--scale <how...>',
      description: 'standard, quantiles or none, of all numbers or as column=how (default: standard)',
    },
    {
      flags: '--impute <how...>',
      description:
        'what stands for missing numbers: median or mean, of all or as column=how (default: median)',
    },
    {
      flags: '--date-format <column=way...>',
      description: 'how dates are written: iso, dmy, mdy, seconds or milliseconds (default: found out)',
    },
    {
      flags: '--missing <texts>',
      description: 'texts that stand for no value, separated by commas',
      parse: byCommas,
    },
    {
      flags: '--classes <values>',
      description: "the label's values in order, separated by commas",
      parse: byCommas,
    },
    { flags: '--weight <column>', description: 'column of weights that rows have in the loss' },
    {
      flags: '--split <kind>',
      description: 'which rows are the test: random ones, the latest, or whole groups',
      default: 'random',
      choices: ['random', 'time', 'group'],
    },
    {
      flags: '--split-by <column>',
      description: 'of --split time or group: the column that says when, or of whom',
    },
    {
      flags: '--test-share <share>',
      description: 'share of the rows that are the test; 0: none',
      default: 0.1,
      parse: share,
    },
    {
      flags: '--seed <number>',
      description: 'decides which rows are the test',
      default: 42,
      parse: wholeNumber(0),
    },
    {
      flags: '--least-count <rows>',
      description: 'rows that a category or word needs for a code of its own',
      default: 2,
      parse: wholeNumber(1),
    },
    {
      flags: '--tokenizer <kind>',
      description: 'of texts: word or wordpiece, trained on them, or a tokenizer.json or folder with one',
      default: 'word',
    },
    {
      flags: '--vocab-size <tokens>',
      description: 'of a trained tokenizer',
      default: 20_000,
      parse: wholeNumber(3),
    },
    {
      flags: '--max-tokens <tokens>',
      description: 'of a text; the rest is cut',
      default: 64,
      parse: wholeNumber(1),
    },
    { flags: '--delimiter <character>', description: 'of CSV (default: found out)' },
    {
      flags: '--memory <MiB>',
      description: 'what DuckDB may hold; the rest is spilled below --out',
      default: 768,
      parse: wholeNumber(128),
    },
    JSON_LINE,
  ],
  load: () => import('./commands/prepare.ts'),
}
