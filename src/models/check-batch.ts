// What a click model is given is checked whole before any of it is uploaded: each message names model, column and row.
import type { Ids } from '../autograd/index.ts'
import { expectNumber, NATURAL, shown, toFloats, toUints } from '../check.ts'
import { ArgumentError, ConfigError, DataError, ShapeError } from '../errors.ts'
import type { PackedTokens } from '../inputs.ts'
import { checkIds, checkText } from '../nn/check-text.ts'

/** Columns of a table. */
interface WantedTable {
  categorical?: readonly string[]
  numerical?: readonly string[]
}

/** What a click model reads. */
interface Wanted extends WantedTable {
  /** Names of its texts. */
  texts: readonly string[]
  classes: number
}

interface Given {
  size: number
  categorical?: Record<string, Ids> | undefined
  numerical?: Record<string, ArrayLike<number>> | undefined
  labels?: ArrayLike<number> | undefined
  /** Source rows, for messages; a batch of `collate` has them. */
  rows?: ArrayLike<number>
}

/** Columns that are there, of one length, and hold what the model can read. */
export interface CheckedTable {
  size: number
  categorical: Record<string, Ids>
  numerical: Record<string, Float32Array>
}

/** A whole batch of that kind. */
export interface CheckedRows extends CheckedTable {
  texts: Record<string, PackedTokens>
  labels: Uint32Array | undefined
}

/** The same of a model with one text. */
export type CheckedBatch = CheckedRows & { text: PackedTokens }

/** @throws an error of its kind naming model, column and row */
export function checkBatch(model: string, batch: unknown, wanted: Omit<Wanted, 'texts'>): CheckedBatch {
  const checked = checkRows(model, batch, { ...wanted, texts: ['text'] })
  return { ...checked, text: checked.texts.text! }
}

/** {@link checkBatch} of a model with several texts. */
export function checkRows(model: string, batch: unknown, wanted: Wanted): CheckedRows {
  if (typeof batch !== 'object' || batch === null || Array.isArray(batch) || ArrayBuffer.isView(batch))
    throw new ArgumentError(
      `${model}: batch is ${shown(batch)}, expected { size, ${wanted.texts.join(', ')}, … }, as collate() gives`,
    )
  const { size, labels, rows } = batch as Given
  const texts = each(wanted.texts, name => checkText(model, textOf(model, batch, name), name))
  expectNumber(`${model}: batch.size`, size, NATURAL)
  for (const [name, { cuSeqlens }] of Object.entries(texts)) {
    const B = cuSeqlens.length - 1
    if (B !== size)
      throw new ShapeError(`${model}: batch.${name} has ${B} rows, expected ${size}, the batch's size`)
  }
  const rowOf = (b: number) => rows?.[b] ?? b
  return {
    ...checkTable(model, batch as Given, { ...wanted, size }),
    texts,
    labels:
      labels === undefined || labels === null
        ? undefined
        : checkLabels(model, labels, size, wanted.classes, rowOf),
  }
}

/** Rows of a batch. @throws an error for what is no batch, or does not say */
export function sizeOf(model: string, batch: unknown): number {
  if (typeof batch !== 'object' || batch === null || Array.isArray(batch) || ArrayBuffer.isView(batch))
    throw new ArgumentError(`${model}: batch is ${shown(batch)}, expected { size, … }, as collate() gives`)
  const { size } = batch as Given
  expectNumber(`${model}: batch.size`, size, NATURAL)
  return size
}

/** The table of a batch of `size` rows. */
export function checkTable(
  model: string,
  batch: Pick<Given, 'categorical' | 'numerical' | 'rows'>,
  { size, ...wanted }: WantedTable & { size: number },
): CheckedTable {
  if (typeof batch !== 'object' || batch === null)
    throw new ArgumentError(`${model}: batch is ${shown(batch)}, expected { categorical, numerical, … }`)
  const { categorical, numerical, rows } = batch
  return {
    size,
    categorical: each(wanted.categorical, name =>
      checkIds(`${model}: column '${name}'`, column(categorical, name), size, 'row'),
    ),
    numerical: each(wanted.numerical, name => {
      const where = `${model}: column '${name}'`
      const values = toFloats(where, column(numerical, name))
      expectRowCount(where, values, size)
      const wrong = values.findIndex(value => !Number.isFinite(value))
      if (wrong < 0) return values
      const row = rows?.[wrong] ?? wrong
      throw new DataError(`${where}, row ${row}: value ${values[wrong]}, expected a finite number`)
    }),
  }
}

function textOf(model: string, batch: object, name: string): PackedTokens {
  const text = Object.hasOwn(batch, name) ? (batch as Record<string, unknown>)[name] : undefined
  if (text) return text as PackedTokens
  throw new ConfigError(
    name === 'text'
      ? `${model} needs a batch with text; the features have no token_id`
      : `${model} needs a batch with the text '${name}', as collate() gives of the model's inputs`,
  )
}

function checkLabels(
  model: string,
  given: unknown,
  size: number,
  classes: number,
  rowOf: (b: number) => number,
) {
  const where = `${model}: labels`
  const labels = toUints(where, given)
  expectRowCount(where, labels, size)
  const wrong = labels.findIndex(label => label >= classes)
  if (wrong < 0) return labels
  throw new DataError(
    `${where}, row ${rowOf(wrong)}: value ${labels[wrong]}, expected 0 to ${classes - 1} (num_labels ${classes})`,
  )
}

const each = <T>(names: readonly string[] = [], make: (name: string) => T): Record<string, T> =>
  Object.fromEntries(names.map(name => [name, make(name)]))

function expectRowCount(where: string, { length }: ArrayLike<number>, size: number): void {
  if (length !== size) throw new ShapeError(`${where} has ${length} rows, expected ${size}, the batch's size`)
}

function column<T>(columns: Record<string, T> | undefined, name: string): T {
  const values = columns?.[name]
  if (values === undefined)
    throw new ConfigError(`the batch has no column '${name}', which the model's features name`)
  return values
}
