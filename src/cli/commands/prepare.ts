import { isObject } from '../../config/schema.ts'
import { readJson } from '../../data/files.ts'
import { ConfigError, UsageError } from '../../errors.ts'
import { parseAsked } from '../../prepare/asked.ts'
import { ROLES } from '../../prepare/document.ts'
import {
  type AskedColumn,
  type PrepareOptions,
  type PrepareResult,
  prepareTable,
} from '../../prepare/index.ts'
import { DATE_FORMATS } from '../../prepare/values.ts'
import { inStages } from '../in-stages.ts'
import { count, formatTable } from '../table.ts'

export interface PrepareCommandOptions {
  data: string[]
  label: string
  out: string
  role?: string[]
  features?: string
  hashBuckets?: string[]
  scale?: string[]
  impute?: string[]
  dateFormat?: string[]
  missing?: string[]
  classes?: string[]
  weight?: string
  split: 'random' | 'time' | 'group'
  splitBy?: string
  testShare: number
  seed: number
  leastCount: number
  tokenizer: string
  vocabSize: number
  maxTokens: number
  delimiter?: string
  memory: number
  json?: boolean
}

/** Makes training and test files of a table of one's own; a signal removes what is half done. */
export async function run(options: PrepareCommandOptions): Promise<void> {
  const given = await optionsOf(options)
  await inStages(options, async how => {
    const made = await prepareTable({ ...given, ...how })
    return { json: made, told: time => told(made, options.out, time) }
  })
}

function told({ columns, rows, classes }: PrepareResult, out: string, time: string): string {
  const table = formatTable(
    ['column', 'role', 'values', 'missing', 'what becomes of it'],
    columns.map(({ name, role, distinct, missing, says }) => [
      name,
      role,
      role === 'label' || role === 'weight' ? '' : count(distinct),
      role === 'label' || role === 'weight' ? '' : count(missing),
      says,
    ]),
  )
  const tested = rows.test ? ` and ${count(rows.test)} to test` : ''
  return (
    `\n${table}\n\n${count(rows.train)} rows to train on${tested}, ${classes.length} classes; done in ${time}\n` +
    `another role: --role COLUMN=ROLE, or edit ${out}/features.json and give it with --features\n` +
    `train with:\nnpx kernelgrad train ${out} --out runs/mine\n`
  )
}

async function optionsOf(options: PrepareCommandOptions): Promise<PrepareOptions> {
  const { data, label, out, features, missing, classes, weight, split, splitBy, testShare, seed } = options
  const { leastCount, tokenizer, vocabSize, maxTokens, delimiter, memory } = options
  if (split !== 'random' && splitBy === undefined)
    throw new UsageError(
      `--split ${split} needs --split-by, the column that says ${split === 'time' ? 'when' : 'of whom'}`,
    )
  if (split === 'random' && splitBy !== undefined)
    throw new UsageError(`--split-by ${splitBy} is for --split time or --split group`)
  const scale = valuesOf('--scale', options.scale, ['standard', 'quantiles', 'none'] as const)
  const impute = valuesOf('--impute', options.impute, ['mean', 'median'] as const)
  return {
    ...{
      input: data,
      output: out,
      label,
      split: { by: split, ...(splitBy === undefined ? {} : { column: splitBy }) },
    },
    ...{ testShare, seed, leastCount, tokenizer, vocabularySize: vocabSize, maxTokens, memoryMiB: memory },
    ...(missing ? { missing } : {}),
    ...(classes ? { classes } : {}),
    ...(weight === undefined ? {} : { weight }),
    ...(delimiter === undefined ? {} : { delimiter: delimiter === '\\t' ? '\t' : delimiter }),
    ...(scale.all ? { scale: scale.all } : {}),
    ...(impute.all ? { impute: impute.all } : {}),
    columns: parseAsked(
      await columnsOf(options, { scale: scale.columns, impute: impute.columns }),
      features ?? 'the columns',
    ),
  }
}

/** What is asked of columns: the edited file's, then the options', which add to it. */
async function columnsOf(
  options: PrepareCommandOptions,
  numbers: Record<'scale' | 'impute', Record<string, string>>,
): Promise<Record<string, unknown>> {
  const columns: Record<string, Record<string, unknown>> = Object.create(null)
  if (options.features !== undefined) {
    const json = await readJson(options.features)
    if (!isObject(json) || !isObject(json.columns))
      throw new ConfigError(
        `${options.features}: columns is missing, expected the features.json of kernelgrad prepare`,
      )
    // What else stands there is for train --features.
    const known = ['columns', 'features_config', 'vocab_size', 'pad_token_id', 'num_labels', 'rows', 'seed']
    const stranger = Object.keys(json).find(key => !known.includes(key))
    if (stranger !== undefined)
      throw new ConfigError(`${options.features}: unknown key '${stranger}', expected 'columns' to be edited`)
    const asked = Object.entries(parseAsked(json.columns, `${options.features}: columns`))
    const labels = asked.filter(([, { role }]) => role === 'label').map(([name]) => name)
    if (labels.length > 1)
      throw new ConfigError(
        `${options.features}: columns '${labels[0]}' and '${labels[1]}' are both to be the label, expected one`,
      )
    for (const [name, one] of asked)
      if (one.role !== 'label' || name === options.label) columns[name] = { ...one }
  }
  const roles = pairsOf('--role', options.role)
  for (const [name, role] of Object.entries(roles)) {
    if (!ROLES.includes(role as AskedColumn['role']))
      throw new UsageError(`--role ${name}=${role}: expected one of ${ROLES.join(', ')}`)
    columns[name] = { role }
  }
  const set = (name: string, role: string, key: string, value: unknown) => {
    const there = columns[name]
    const fits = !there || there.role === role || (key === 'date_format' && there.role === 'category')
    if (!fits)
      throw new UsageError(
        `column '${name}' is to be ${there!.role}, and ${key} is of a ${role}; expected one role`,
      )
    columns[name] = { role, ...there, [key]: value }
  }
  for (const [name, text] of Object.entries(pairsOf('--hash-buckets', options.hashBuckets))) {
    if (!/^[1-9]\d*$/.test(text))
      throw new UsageError(`--hash-buckets ${name}=${text}: expected a whole number of at least 1`)
    set(name, 'category', 'hash_buckets', Number(text))
  }
  for (const [key, values] of Object.entries(numbers))
    for (const [name, value] of Object.entries(values)) set(name, 'number', key, value)
  for (const [name, way] of Object.entries(pairsOf('--date-format', options.dateFormat))) {
    if (!(DATE_FORMATS as readonly string[]).includes(way))
      throw new UsageError(`--date-format ${name}=${way}: expected one of ${DATE_FORMATS.join(', ')}`)
    set(name, 'date', 'date_format', way)
  }
  return columns
}

/** Words for all columns, or as column=word. */
function valuesOf<const W extends readonly string[]>(
  flag: string,
  given: readonly string[] | undefined,
  words: W,
): { all?: W[number]; columns: Record<string, W[number]> } {
  const plain = given?.filter(one => !one.includes('=')) ?? []
  const columns = pairsOf(
    flag,
    given?.filter(one => one.includes('=')),
  )
  for (const word of [...plain, ...Object.values(columns)])
    if (!words.includes(word)) throw new UsageError(`${flag} ${word}: expected one of ${words.join(', ')}`)
  if (plain.length > 1) throw new UsageError(`${flag} ${plain.join(' ')}: expected one for all columns`)
  return { ...(plain[0] === undefined ? {} : { all: plain[0] }), columns }
}

/** Options of the form column=value; the last '=' counts, as a name may have one. */
function pairsOf(flag: string, given: readonly string[] | undefined): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (const one of given ?? []) {
    const at = one.lastIndexOf('=')
    if (at < 1 || at === one.length - 1) throw new UsageError(`${flag} ${one}: expected column=value`)
    const name = one.slice(0, at)
    const value = one.slice(at + 1)
    if (Object.hasOwn(pairs, name) && pairs[name] !== value)
      throw new UsageError(
        `${flag} ${name}=${pairs[name]} and ${name}=${value}: expected one for column '${name}'`,
      )
    pairs[name] = value
  }
  return pairs
}
