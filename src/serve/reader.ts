// Which reader a folder's rows take, and what holds for every one of them.
import { expectInputs } from '../data/check-columns.ts'
import { checkValues } from '../data/check-values.ts'
import type { Columns } from '../data/index.ts'
import { DataError, RowError } from '../errors.ts'
import type { Model } from '../models/index.ts'
import { preparationFolder } from '../prepare/folder.ts'
import type { Preparation } from '../prepare/index.ts'
import { checkLengths, expectRows, modelRows, type Row, type RowReader } from './rows.ts'

/** The reader of the rows of a saved model: raw ones where its folder keeps a preparation, else those of its own columns. */
export async function openRows(model: Model, folder: string): Promise<RowReader> {
  const own = modelRows('predictRows', model)
  const kept = await preparationFolder(folder)
  if (kept === undefined) return own
  // Loaded on use: most models have none.
  const { Preparation } = await import('../prepare/preparation.ts')
  return rawRows('predictRows', await Preparation.read(kept))
}

/** The reader of raw rows, as the table had them that the model learned from. */
function rawRows(where: string, preparation: Preparation): RowReader {
  const { fields } = preparation
  return {
    fields: fields.map(name => ({ name, expected: 'a value as its column had when it was prepared' })),
    example: Object.fromEntries(fields.map(name => [name, null])),
    columns(rows) {
      try {
        return preparation.apply(rows)
      } catch (error) {
        if (!(error instanceof DataError)) throw error
        throw rowErrorOf(where, preparation, rows) ?? error
      }
    },
  }
}

/** The first row that cannot be read by itself, and why. */
function rowErrorOf(where: string, preparation: Preparation, rows: readonly Row[]): RowError | undefined {
  for (const [row, one] of rows.entries())
    try {
      preparation.apply([one], { rowStart: row })
    } catch (error) {
      if (!(error instanceof DataError)) throw error
      const message = error.message.replace(`row ${row}, column '`, `row ${row}, field '`)
      const [, field] = /field '(.+?)'(?:: | is unknown)/s.exec(message) ?? []
      return new RowError(`${where}: ${message}`, { row, field })
    }
  return undefined
}

/**
 * Rows as columns that the model can score: whatever a batch would be refused for is found in the call's own rows first.
 * @throws RowError naming row and field; DataError for columns that are not what the model reads
 */
export function readRows(
  where: string,
  reader: RowReader,
  model: Model,
  rows: readonly Row[],
  truncate: boolean,
): Columns {
  expectRows(where, rows)
  const columns = reader.columns(rows)
  const { inputs } = model
  expectInputs(where, columns, inputs)
  const read = Object.fromEntries(Object.entries(inputs).filter(([, { trainOnly }]) => !trainOnly))
  checkValues(where, columns, read, `a ${model.constructor.name}`)
  if (!truncate) checkLengths(where, columns, inputs, 'truncate (--truncate on the command line) cuts it')
  return columns
}
