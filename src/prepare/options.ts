// What prepareTable takes, checked and with every default.
import { COUNT, expectNumber, expectOneOf, expectOptions, NATURAL, shown } from '../check.ts'
import type { StageProgress } from '../datasets/kdd/index.ts'
import { ConfigError } from '../errors.ts'
import { type AskedColumn, parseAsked } from './asked.ts'
import type { Role } from './document.ts'
import type { RowCounts } from './model-config.ts'

/** What is read, what is learned of it and how, and where the result goes. */
export interface PrepareOptions {
  /** Files, folders and patterns: CSV, TSV, NDJSON, each also with .gz, or Parquet; all with the same columns. */
  input: string | readonly string[]
  /** Folder for train.parquet, test.parquet, features.json, model.json, preparation.json and the tokenizer; made where it is missing. */
  output: string
  /** The column that is to be predicted. */
  label: string
  /** Its classes in order, where they are not to be found out. */
  classes?: readonly string[]
  /** A column of weights that rows have in the loss. */
  weight?: string
  /** What columns are to be, of those that say so; the others are looked at. */
  columns?: Record<string, AskedColumn>
  /** Texts that stand for no value, as '-' or '-999', beside the empty one. */
  missing?: readonly string[]
  /** Which rows are the test: at random (default), the latest by a column, or whole groups of a column. */
  split?: { by: 'random' | 'time' | 'group'; column?: string }
  /** Share of the rows, or groups, that are the test; default 0.1, and none with 0. */
  testShare?: number
  /** Decides which rows are test rows, default 42. */
  seed?: number
  /** Rows that a category, and times that a word, needs for a code of its own; default 2. */
  leastCount?: number
  /** Codes of a category at most, default 100,000: the most frequent. */
  mostCodes?: number
  /** How numbers are scaled, default 'standard': mean 0 and deviation 1. */
  scale?: 'standard' | 'quantiles' | 'none'
  /** What stands for a missing number, default 'median'. */
  impute?: 'mean' | 'median'
  /** Trained on the texts, of 'word' (default) or 'wordpiece'; or a tokenizer.json, or the folder with one. */
  tokenizer?: string
  /** Tokens of a trained tokenizer at most, default 20,000. */
  vocabularySize?: number
  /** Tokens of a text at most, default 64. */
  maxTokens?: number
  /** Of CSV, where it is not to be found out. */
  delimiter?: string
  /** What DuckDB may hold in memory, default 768; the rest is spilled below the output. */
  memoryMiB?: number
  /** Stops the work and removes what it has made so far. */
  signal?: AbortSignal
  /** Called at the start of each stage of the work; what it returns hears the share done, from 0 to 1, and the end. */
  onStage?: (name: string) => StageProgress
}

/** {@link PrepareOptions} with every default. */
export interface ResolvedPrepareOptions {
  inputs: string[]
  output: string
  label: string
  classes: readonly string[] | undefined
  weight: string | undefined
  columns: Record<string, AskedColumn>
  missing: string[]
  split: { by: 'random' | 'time' | 'group' | 'none'; column?: string | undefined; share: number }
  seed: number
  leastCount: number
  mostCodes: number
  scale: 'standard' | 'quantiles' | 'none'
  impute: 'mean' | 'median'
  tokenizer: string
  vocabularySize: number
  maxTokens: number
  delimiter: string | undefined
  memoryMiB: number
  signal: AbortSignal | undefined
  onStage: PrepareOptions['onStage']
}

/** A column, what it became, and how to ask for that. */
export interface ShownColumn {
  name: string
  role: Role
  /** Different values among the training rows, and training rows without one. */
  distinct: number
  missing: number
  /** What was learned, in a few words; of a column that is left out, why. */
  says: string
  asked: AskedColumn
}

/** What preparing made. */
export interface PrepareResult {
  /** Path of the training rows. */
  train: string
  /** Path of the test rows, where there are any. */
  test?: string
  /** Path of a training configuration for them. */
  modelFile: string
  /** Path of features.json. */
  featuresFile: string
  rows: RowCounts
  /** The label's values, in the order of their classes. */
  classes: readonly string[]
  columns: ShownColumn[]
}

const KNOWN = [
  ...['input', 'output', 'label', 'classes', 'weight', 'columns', 'missing', 'split', 'testShare', 'seed'],
  ...['leastCount', 'mostCodes', 'scale', 'impute', 'tokenizer', 'vocabularySize', 'maxTokens', 'delimiter'],
  ...['memoryMiB', 'signal', 'onStage'],
]

const SHARE = { says: 'a number in [0, 1)', takes: (x: number) => x >= 0 && x < 1 }
const VOCABULARY = {
  says: 'a whole number of at least 3',
  takes: (x: number) => Number.isSafeInteger(x) && x >= 3,
}

/** @throws ConfigError naming the option, what came and what was expected */
export function resolveOptions(options: PrepareOptions, at = 'prepareTable'): ResolvedPrepareOptions {
  expectOptions(`${at}: options`, options, KNOWN)
  const {
    input,
    output,
    label,
    classes,
    weight,
    columns = {},
    missing = [],
    split,
    testShare = 0.1,
  } = options
  const { seed = 42, leastCount = 2, mostCodes = 100_000, scale = 'standard', impute = 'median' } = options
  const { tokenizer = 'word', vocabularySize = 20_000, maxTokens = 64, delimiter, memoryMiB = 768 } = options
  const inputs = typeof input === 'string' ? [input] : input
  expectTexts(`${at}: input`, inputs)
  if (!inputs.length) throw new ConfigError(`${at}: input is empty, expected files, folders or patterns`)
  for (const [name, value] of Object.entries({ output, label })) expectText(`${at}: ${name}`, value)
  for (const [name, value] of Object.entries({ weight, tokenizer }))
    if (value !== undefined) expectText(`${at}: ${name}`, value)
  if (classes !== undefined) {
    expectTexts(`${at}: classes`, classes)
    if (classes.length < 2 || new Set(classes).size < classes.length)
      throw new ConfigError(
        `${at}: classes are ${classes.join(', ') || 'none'}, expected at least two different ones`,
      )
  }
  expectTexts(`${at}: missing`, missing)
  const by = split === undefined ? 'random' : split.by
  if (split !== undefined) {
    expectOptions(`${at}: split`, split, ['by', 'column'])
    expectOneOf(`${at}: split.by`, split.by, ['random', 'time', 'group'])
    if (by !== 'random') expectText(`${at}: split.column`, split.column)
    else if (split.column !== undefined)
      throw new ConfigError(`${at}: split.column is ${shown(split.column)}, which a random split has none of`)
  }
  expectNumber(`${at}: testShare`, testShare, SHARE)
  expectNumber(`${at}: seed`, seed, NATURAL)
  for (const [name, value] of Object.entries({ leastCount, mostCodes, maxTokens, memoryMiB }))
    expectNumber(`${at}: ${name}`, value, COUNT)
  expectNumber(`${at}: vocabularySize`, vocabularySize, VOCABULARY)
  expectOneOf(`${at}: scale`, scale, ['standard', 'quantiles', 'none'])
  expectOneOf(`${at}: impute`, impute, ['mean', 'median'])
  if (delimiter !== undefined && !(typeof delimiter === 'string' && delimiter.length === 1))
    throw new ConfigError(`${at}: delimiter is ${shown(delimiter)}, expected one character`)
  return {
    ...{ inputs: [...inputs], output, label, classes, weight, missing: [...missing], seed },
    columns: parseAsked(columns, `${at}: columns`),
    split: { by: testShare === 0 ? 'none' : by, column: split?.column, share: testShare },
    ...{ leastCount, mostCodes, scale, impute, tokenizer, vocabularySize, maxTokens, delimiter, memoryMiB },
    ...{ signal: options.signal, onStage: options.onStage },
  }
}

function expectText(where: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '')
    throw new ConfigError(`${where} is ${shown(value)}, expected a text that is not empty`)
}

function expectTexts(where: string, values: unknown): asserts values is readonly string[] {
  if (!Array.isArray(values)) throw new ConfigError(`${where} is ${shown(values)}, expected texts`)
  for (const [i, value] of values.entries()) expectText(`${where}[${i}]`, value)
}
