// preparation.json: what was learned from a table's training rows, and all that is needed to do the same to other rows.
import * as v from 'valibot'
import { count, integer, oneOf, parseStrict, positive, real, strict, text } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import { DATE_FORMATS, VALUE_TYPES } from './values.ts'

/** Names of the file in a prepared folder, and in that of a model trained on it. */
export const PREPARATION_FILE = 'preparation.json'
/** What a prepared file calls the column of classes, and that of weights. */
export const LABEL = 'label'
export const WEIGHT = 'weight'

const number = real('that is finite', Number.isFinite)
const name = v.pipe(text, v.minLength(1, 'expected a name'))
const texts = v.array(text, 'expected a list of texts')
const numbers = v.array(number, 'expected a list of numbers')

const scaling = {
  /** 'standard': mean 0 and deviation 1; 'quantiles': its rank, 0 to 1; 'none': as it is. */
  scale: oneOf(['standard', 'quantiles', 'none']),
  mean: number,
  /** The deviation, 1 where all values are alike. */
  std: positive,
  /** Of 'quantiles': ascending, at least two. */
  quantiles: v.optional(numbers),
  /** What stands for a missing value, before scaling. */
  fill: number,
}

const schemas = {
  label: strict({
    role: v.literal('label'),
    type: oneOf(VALUE_TYPES),
    format: v.optional(oneOf(DATE_FORMATS)),
    /** The classes' keys, in order. */
    classes: texts,
  }),
  category: strict({
    role: v.literal('category'),
    type: oneOf(VALUE_TYPES),
    format: v.optional(oneOf(DATE_FORMATS)),
    out: name,
    /** The keys of codes 1, 2, …; code 0 is the unknown one. */
    codes: v.optional(texts),
    /** Instead of codes: a key's code is its hash below this, plus 1. */
    hash_buckets: v.optional(count),
    /** Code of a missing value: 0, as unknown, or one of its own behind all others. */
    missing_code: integer(0),
  }),
  number: strict({
    role: v.literal('number'),
    out: name,
    ...scaling,
    /** Name of the column that says where values miss, where there is one. */
    indicator: v.optional(name),
  }),
  date: strict({
    role: v.literal('date'),
    format: oneOf(DATE_FORMATS),
    /** Days since 1970-01-01 UTC, scaled. */
    out: name,
    ...scaling,
    /** Codes of month (1 to 12), weekday (1 is Monday) and hour (1 is midnight); 0 is missing. */
    month: name,
    weekday: name,
    hour: v.optional(name),
    indicator: v.optional(name),
  }),
  text: strict({ role: v.literal('text'), out: name, max_tokens: count }),
  weight: strict({ role: v.literal('weight') }),
  ignore: strict({ role: v.literal('ignore'), why: v.optional(text) }),
}
type Schemas = typeof schemas
/** What a column can be. */
export type Role = 'label' | 'category' | 'number' | 'date' | 'text' | 'weight' | 'ignore'
/** The same, in the order that help lists them. */
export const ROLES = Object.keys(schemas) as Role[]

/** What was learned of a column. */
export type LearnedColumn = { [R in Role]: v.InferOutput<Schemas[R]> }[Role]
/** What was learned of a column of one role. */
export type Learned<R extends Role> = Extract<LearnedColumn, { role: R }>

const documentSchema = strict({
  kernelgrad_preparation: v.literal(1, 'expected 1, the version that this library reads'),
  columns: v.unknown(),
  /** Texts that stand for no value, beside the empty one. */
  missing: texts,
  /** Of tables with text: rows of the word table, and the id that means no token. */
  vocab_size: v.optional(integer(2)),
  pad_token_id: v.optional(integer(0)),
  /** SHA-256 of the tokenizer's files. */
  tokenizer: v.optional(text),
  /** How rows were kept apart, and how many there are. */
  split: v.optional(
    strict({
      by: oneOf(['random', 'time', 'group', 'none']),
      column: v.optional(text),
      seed: integer(0),
      test_share: real('from 0 to 1', x => x >= 0 && x < 1),
      train: count,
      test: integer(0),
    }),
  ),
})

/** What preparation.json holds. */
export interface PreparationDocument extends Omit<v.InferOutput<typeof documentSchema>, 'columns'> {
  /** Every column of the table, in its order. */
  columns: Record<string, LearnedColumn>
}

/**
 * Checks what preparation.json holds.
 * @throws ConfigError naming file, column, key and what was expected.
 */
export function parseDocument(json: unknown, where: string): PreparationDocument {
  const { columns: given, ...rest } = parseStrict(documentSchema, json, where)
  const at = `${where}: columns`
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ConfigError(`${at}: expected an object of columns by name`)
  const columns = Object.fromEntries(
    Object.entries(given).map(([column, one]): [string, LearnedColumn] => {
      const { role } = parseStrict(v.looseObject({ role: oneOf(ROLES) }), one, `${at}.${column}`)
      const learned = parseStrict(schemas[role], one, `${at}.${column}`) as LearnedColumn
      checkColumn(learned, `${at}.${column}`)
      return [column, learned]
    }),
  )
  const document = { ...rest, columns }
  checkWhole(document, where)
  return document
}

function checkColumn(column: LearnedColumn, where: string): void {
  const fail = (what: string): never => {
    throw new ConfigError(`${where}: ${what}`)
  }
  const twice = (list: readonly string[]) => list.find((one, i) => list.indexOf(one) !== i)
  if (column.role === 'label') {
    if (column.classes.length < 2) fail(`classes: expected at least 2, got ${column.classes.length}`)
    const same = twice(column.classes)
    if (same !== undefined) fail(`classes: '${same}' stands twice`)
  }
  if (column.role === 'category') {
    const { codes, hash_buckets, missing_code } = column
    if ((codes === undefined) === (hash_buckets === undefined))
      fail('expected one of codes and hash_buckets, and not both')
    if (codes && new Set(codes).size < codes.length) fail('codes: a key stands twice')
    const own = (codes?.length ?? hash_buckets!) + 1
    if (missing_code !== 0 && missing_code !== own)
      fail(`missing_code: expected 0 or ${own}, got ${missing_code}`)
  }
  if ((column.role === 'number' || column.role === 'date') && column.scale === 'quantiles') {
    const { quantiles = [] } = column
    if (quantiles.length < 2 || quantiles.some((q, i) => i > 0 && q <= quantiles[i - 1]!))
      fail('quantiles: expected at least two numbers, ascending')
  }
}

/** @throws ConfigError for two columns of one name, two labels or weights, and text without a vocabulary */
function checkWhole({ columns, vocab_size, pad_token_id }: PreparationDocument, where: string): void {
  const made = Object.values(columns).flatMap(namesOf)
  const twice = made.find((one, i) => made.indexOf(one) !== i || one === LABEL || one === WEIGHT)
  if (twice !== undefined) throw new ConfigError(`${where}: columns make '${twice}' twice`)
  for (const role of ['label', 'weight'] as const) {
    const all = Object.keys(columns).filter(column => columns[column]!.role === role)
    if (all.length > 1)
      throw new ConfigError(`${where}: columns '${all.join("' and '")}' have the role ${role}, expected one`)
  }
  const text = Object.keys(columns).find(column => columns[column]!.role === 'text')
  if (text !== undefined && (vocab_size === undefined || pad_token_id === undefined))
    throw new ConfigError(`${where}: column '${text}' is text, expected vocab_size and pad_token_id`)
  if (vocab_size !== undefined && pad_token_id !== undefined && pad_token_id >= vocab_size)
    throw new ConfigError(`${where}: pad_token_id ${pad_token_id} is not below vocab_size ${vocab_size}`)
}

/** Names of the columns that one comes to, but for label and weight. */
export function namesOf(column: LearnedColumn): string[] {
  switch (column.role) {
    case 'category':
    case 'text':
      return [column.out]
    case 'number':
      return [column.out, column.indicator ?? []].flat()
    case 'date':
      return [column.out, column.month, column.weekday, column.hour ?? [], column.indicator ?? []].flat()
    default:
      return []
  }
}
