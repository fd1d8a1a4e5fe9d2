// Which reader a folder's rows take, and what holds for every one of them.
import { expectInputs } from '../data/check-columns.ts'
import { checkValues } from '../data/check-values.ts'
import type { Columns } from '../data/index.ts'
import type { Model } from '../models/index.ts'
import { checkLengths, expectRows, modelRows, type Row, type RowReader } from './rows.ts'

/** The reader of the rows of a saved model: its own columns. */
export async function openRows(model: Model, _folder: string): Promise<RowReader> {
  return modelRows('predictRows', model)
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
