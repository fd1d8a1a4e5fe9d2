// Rows as JavaScript and JSON have them, to the columns that a file would have them in: value by value, as a file's are checked.
import { closest, shown } from '../check.ts'
import type { TokenLists } from '../data/columns.ts'
import { floatRange, isFloat, range } from '../data/columns.ts'
import type { Columns } from '../data/dataset.ts'
import { planOf, type Reading } from '../data/read-plan.ts'
import { ArgumentError, ConfigError, DataError, RowError } from '../errors.ts'
import { columnsOf, joinedTokens, textLists } from '../inputs.ts'
import type { Model } from '../models/index.ts'

/** A row by field: what its model reads, by the names that columns of a file have. */
export type Row = Readonly<Record<string, unknown>>

/** What a field is to hold. */
export interface Field {
  /** Its name. */
  name: string
  /** In words, as messages say it. */
  expected: string
}

/** Rows to columns. */
export interface RowReader {
  /** What a row is to have. */
  readonly fields: readonly Field[]
  /** A row that can be read, to warm up with. */
  readonly example: Row
  /**
   * The columns of some rows, in their order.
   * @throws RowError naming row, field, value and what was expected
   */
  columns(rows: readonly Row[]): Columns
}

type Fail = (expected: string) => never

/** How a field is read and where it goes. */
interface Cell extends Field {
  reading: Reading
}

/** The reader of a model's own columns: category codes, numbers, lists of token ids, and text where it has a tokenizer. */
export function modelRows(where: string, model: Pick<Model, 'inputs' | 'tokenizer'>): RowReader {
  expectSingleRows(where, model)
  const { inputs, tokenizer } = model
  const plan = planOf(inputs, 'none', new Set())
  const cells: Cell[] = plan.flatMap(reading =>
    reading.columns.map(name => ({ name, reading, expected: expectedOf(reading) })),
  )
  // A row of the training file may come as it is: what only the loss reads is left aside.
  const aside = Object.values(inputs).flatMap(input => (input.trainOnly ? columnsOf(input) : []))
  const known = new Set([...cells.map(({ name }) => name), ...aside])
  const needed = [...new Set(cells.map(({ name }) => name))]
  const encode = (text: string) => tokenizer!.encode(text)
  const blank = { ids: 0, floats: 0, list: [], text: '' }
  return {
    example: Object.fromEntries(cells.map(({ name, reading }) => [name, blank[reading.kind]])),
    fields: needed.map(name => ({
      name,
      expected: cells.find(cell => cell.name === name)!.expected,
    })),
    columns(rows) {
      expectRows(where, rows)
      for (const [row, values] of rows.entries()) checkNames(where, values, row, { known, needed })
      const columns: Columns = { length: rows.length, rowStart: 0, lists: {}, ids: {}, floats: {} }
      for (const reading of plan) {
        const { kind, key, limit } = reading
        const [name] = reading.columns as [string]
        const expected = expectedOf(reading)
        const value = (row: number, name: string) => rows[row]![name]
        const failAt =
          (row: number, name: string): Fail =>
          wanted => {
            throw badField(where, row, name, value(row, name), wanted)
          }
        if (kind === 'ids')
          columns.ids[key] = Uint32Array.from(rows, (_, row) =>
            idOf(value(row, name), limit, expected, failAt(row, name)),
          )
        else if (kind === 'floats')
          columns.floats[key] = Float32Array.from(rows, (_, row) =>
            numberOf(value(row, name), reading.least, expected, failAt(row, name)),
          )
        else if (kind === 'list')
          columns.lists[key] = listsOf(rows.length, row =>
            tokensOf(value(row, name), limit, expected, failAt(row, name)),
          )
        else
          columns.lists[key] = listsOf(rows.length, row => {
            const texts = reading.columns.map(name => textOf(value(row, name), failAt(row, name)))
            try {
              return encode(texts.join(' '))
            } catch (error) {
              if (!(error instanceof DataError)) throw error
              throw new RowError(`${where}: row ${row}, field '${key}': ${error.message}`, {
                row,
                field: key,
              })
            }
          })
      }
      return columns
    },
  }
}

/** @throws ConfigError for a model that is asked about more than one row at a time, or has nothing to read text with */
function expectSingleRows(where: string, { inputs, tokenizer }: Pick<Model, 'inputs' | 'tokenizer'>): void {
  for (const [name, input] of Object.entries(inputs)) {
    if (input.trainOnly) continue
    if (input.kind === 'list')
      throw new ConfigError(
        `${where}: the model scores lists of rows together ('${name}', by ${input.columns.join(', ')}), expected one that scores single rows; score its files with kernelgrad predict`,
      )
    if (input.kind === 'masked')
      throw new ConfigError(
        `${where}: the model guesses hidden tokens ('${name}'), expected one that scores rows, as a TextTabularModel`,
      )
    if (input.kind === 'text' && input.tokenizer === undefined && !tokenizer) {
      const text = input.columns.find(({ dtype }) => dtype === 'text')
      if (text)
        throw new ConfigError(
          `${where}: feature '${text.name}' is text and the model has no tokenizer; loadModel() gives it one, from the tokenizer.json in its folder`,
        )
    }
    if (input.kind === 'text' && input.tokenizer !== undefined)
      throw new ConfigError(
        `${where}: input '${name}' has a tokenizer of its own, '${input.tokenizer}', expected the model's own alone`,
      )
  }
}

/** @throws ArgumentError for what is no array of rows; RowError naming one that is no object */
export function expectRows(where: string, rows: unknown): asserts rows is readonly Row[] {
  if (!Array.isArray(rows))
    throw new ArgumentError(`${where}: rows is ${shown(rows)}, expected an array of rows, as [{ … }]`)
  if (!rows.length) throw new ArgumentError(`${where}: there are no rows, expected one or more`)
  for (let row = 0; row < rows.length; row++) {
    const one: unknown = rows[row]
    if (isRow(one)) continue
    throw new RowError(`${where}: row ${row} is ${shown(one)}, expected an object of values by field`, {
      row,
    })
  }
}

const isRow = (one: unknown): boolean =>
  typeof one === 'object' &&
  one !== null &&
  !Array.isArray(one) &&
  !ArrayBuffer.isView(one) &&
  ![Promise, Map, Set, Date].some(kind => one instanceof kind)

function checkNames(
  where: string,
  values: Row,
  row: number,
  { known, needed }: { known: ReadonlySet<string>; needed: readonly string[] },
): void {
  const missing = needed.find(name => !Object.hasOwn(values, name) || values[name] === undefined)
  for (const name of Object.keys(values)) {
    if (known.has(name)) continue
    const near = closest(name, missing === undefined ? [...known] : [missing, ...known])
    const hint = near === undefined ? '' : `did you mean '${near}'? `
    throw new RowError(
      `${where}: row ${row} has a field '${name}', which the model does not read; ${hint}expected ${needed.join(', ')}`,
      { row, field: name },
    )
  }
  if (missing !== undefined)
    throw new RowError(`${where}: row ${row} has no field '${missing}', expected ${needed.join(', ')}`, {
      row,
      field: missing,
    })
}

function expectedOf({ kind, limit, least }: Reading): string {
  if (kind === 'ids') return `a whole number, ${range(limit)}`
  if (kind === 'floats') return floatRange(least)
  return kind === 'text' ? 'a text' : `a list of token ids, each ${range(limit)}`
}

const badField = (where: string, row: number, field: string, value: unknown, expected: string) =>
  new RowError(`${where}: row ${row}, field '${field}': value ${shown(value)}, expected ${expected}`, {
    row,
    field,
  })

/** What a file's column of numbers may hold counts as one here too: booleans, and 64-bit integers. */
const plain = (value: unknown): unknown =>
  typeof value === 'boolean' || typeof value === 'bigint' ? Number(value) : value

const isIdBelow = (value: unknown, limit: number): value is number =>
  typeof value === 'number' && value >= 0 && value < limit && Math.floor(value) === value

function idOf(given: unknown, limit: number, expected: string, fail: Fail): number {
  const value = plain(given)
  if (isIdBelow(value, limit)) return value
  return fail(
    typeof given === 'string' ? `${expected}: the code that the training data has for it` : expected,
  )
}

function numberOf(given: unknown, least: number | undefined, expected: string, fail: Fail): number {
  const value = plain(given)
  return isFloat(value, least) ? (value as number) : fail(expected)
}

function textOf(value: unknown, fail: Fail): string {
  return typeof value === 'string' ? value : fail('a text')
}

function tokensOf(value: unknown, limit: number, expected: string, fail: Fail): ArrayLike<number> {
  const list = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
  if (!list)
    return fail(
      typeof value === 'string' ? `${expected}: the model reads tokens, and has no tokenizer` : expected,
    )
  const given = value as ArrayLike<unknown>
  const tokens = new Array<number>(given.length)
  for (let i = 0; i < given.length; i++) {
    const token = plain(given[i])
    if (!isIdBelow(token, limit)) return fail(`${expected}; its element ${i} is ${shown(given[i])}`)
    tokens[i] = token
  }
  return tokens
}

function listsOf(rows: number, tokens: (row: number) => ArrayLike<number>): TokenLists {
  const offsets = new Uint32Array(rows + 1)
  const values: number[] = []
  for (let row = 0; row < rows; row++) {
    const own = tokens(row)
    for (let i = 0; i < own.length; i++) values.push(own[i]!)
    offsets[row + 1] = values.length
  }
  return { values: Uint32Array.from(values), offsets }
}

/**
 * Checks that every text fits.
 * @throws RowError naming the row and the columns of a text that is too long
 */
export function checkLengths(where: string, columns: Columns, inputs: Model['inputs'], wayOut: string): void {
  for (const input of Object.values(inputs)) {
    if (input.kind !== 'text' || input.trainOnly) continue
    const keys = textLists(input).map(({ key }) => key)
    for (let row = 0; row < columns.length; row++) {
      let length = joinedTokens(input)
      for (const key of keys) {
        const { offsets } = columns.lists[key]!
        length += offsets[row + 1]! - offsets[row]!
      }
      if (length <= input.maxPositions) continue
      const field = columnsOf(input).join(', ')
      throw new RowError(
        `${where}: row ${row}, field '${field}': a text of ${length} tokens, expected at most ${input.maxPositions}; ${wayOut}`,
        { row, field },
      )
    }
  }
}

/** Rows `first` to `end` of some columns, without copies but of offsets. */
export function sliceColumns(columns: Columns, first: number, end: number): Columns {
  if (first === 0 && end === columns.length) return columns
  const each = <T>(record: Record<string, T>, cut: (value: T) => T): Record<string, T> =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [name, cut(value)]))
  return {
    length: end - first,
    rowStart: 0,
    lists: each(columns.lists, ({ values, offsets }) => {
      const [from, to] = [offsets[first]!, offsets[end]!]
      return {
        values: values.subarray(from, to),
        offsets: offsets.slice(first, end + 1).map(offset => offset - from),
      }
    }),
    ids: each(columns.ids, values => values.subarray(first, end)),
    floats: each(columns.floats, values => values.subarray(first, end)),
  }
}
