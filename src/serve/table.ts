// What a model reads beside its texts, of ads and of a request: every column is given by one of the two.
import { shown } from '../check.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import type { FloatsInput, IdsInput } from '../inputs.ts'
import type { TableBatch } from '../models/index.ts'
import { expectObject, type TwoSidedModel } from './fingerprint.ts'

/** Values by column, one an ad in the order of its cache. */
export type AdColumns = Record<string, ArrayLike<number>>

/** Values by column, the same for all ads. */
export type Features = Record<string, number>

/** The columns of a model's table: of ids, with how many there are, and of numbers. */
function columnsOf(model: TwoSidedModel): { ids: Record<string, number>; floats: string[] } {
  const inputs = Object.values(model.inputs as Record<string, { kind: string; trainOnly?: boolean }>)
  const read = inputs.filter(({ trainOnly }) => !trainOnly)
  const ids = Object.assign(
    {},
    ...read.map(input => (input.kind === 'ids' ? (input as IdsInput).columns : {})),
  )
  return {
    ids,
    floats: read.flatMap(input => (input.kind === 'floats' ? (input as FloatsInput).columns : [])),
  }
}

function checkValue(where: string, value: unknown, rows: number | undefined): void {
  if (rows === undefined) {
    if (typeof value === 'number' && Number.isFinite(value)) return
    throw new DataError(`${where}: value ${shown(value)}, expected a finite number`)
  }
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < rows) return
  throw new DataError(`${where}: value ${shown(value)}, expected 0 to ${rows - 1}`)
}

/** @throws naming the column, and the row, of what is no column of the model's, too short, or out of range */
export function checkAdColumns(where: string, model: TwoSidedModel, columns: AdColumns, rows: number): void {
  expectObject(`${where}: columns`, columns, 'values by column, one an ad')
  const { ids, floats } = columnsOf(model)
  for (const [name, values] of Object.entries(columns)) {
    if (!(name in ids) && !floats.includes(name)) throw unknown(`${where}: columns`, name, { ids, floats })
    if (!Array.isArray(values) && !ArrayBuffer.isView(values))
      throw new ArgumentError(`${where}: columns.${name} is ${shown(values)}, expected an array of numbers`)
    if (values.length !== rows)
      throw new DataError(
        `${where}: columns.${name} has ${values.length} rows, expected ${rows}, the cache's`,
      )
    for (let row = 0; row < rows; row++)
      checkValue(`${where}: columns.${name}, row ${row}`, values[row], ids[name])
  }
}

/**
 * What gives the table of some of a cache's rows.
 * @throws naming a feature that is no column, out of range, given twice, or not given
 */
export function tableOf(
  where: string,
  model: TwoSidedModel,
  columns: AdColumns,
  features: Features,
): (rows: ArrayLike<number>) => TableBatch {
  expectObject(`${where}: features`, features, 'a number by column')
  const { ids, floats } = columnsOf(model)
  for (const [name, value] of Object.entries(features)) {
    if (!(name in ids) && !floats.includes(name)) throw unknown(`${where}: features`, name, { ids, floats })
    if (name in columns)
      throw new ConfigError(
        `${where}: features.${name} is given, and the server has column ${name} of every ad; leave one out`,
      )
    checkValue(`${where}: features.${name}`, value, ids[name])
  }
  const missing = [...Object.keys(ids), ...floats].find(name => !(name in columns) && !(name in features))
  if (missing !== undefined)
    throw new ConfigError(
      `${where}: the model reads column ${missing}, which neither the server's columns nor the request's features have; give it to one of them`,
    )
  const of = (name: string, rows: ArrayLike<number>) => {
    const values = columns[name]
    return Array.from({ length: rows.length }, (_, i) => (values ? values[rows[i]!]! : features[name]!))
  }
  return rows => ({
    categorical: Object.fromEntries(Object.keys(ids).map(name => [name, Uint32Array.from(of(name, rows))])),
    numerical: Object.fromEntries(floats.map(name => [name, Float32Array.from(of(name, rows))])),
  })
}

const unknown = (where: string, name: string, { ids, floats }: ReturnType<typeof columnsOf>) =>
  new ConfigError(
    `${where}: ${name} is no column of the model's table, whose columns are ${[...Object.keys(ids), ...floats].join(', ') || 'none'}`,
  )
