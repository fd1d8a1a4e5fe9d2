// Columns in memory, every value of them: what a model cannot read is told before the first step, not when its batch comes.
import { shown } from '../check.ts'
import { DataError } from '../errors.ts'
import { type Input, type Inputs, textLists } from '../inputs.ts'
import { isId } from './check-columns.ts'
import { floatRange, isFloat, range } from './columns.ts'
import type { Columns } from './dataset.ts'
import { placeOf } from './place.ts'

/**
 * Checks the tokens, ids and numbers that a model's inputs read: ids are below the rows of their tables, numbers are finite. Classes are
 * checked wherever a model is judged by them.
 * @param model what to call it in messages.
 * @throws DataError naming column, file, row, value and input
 */
export function checkValues(where: string, columns: Columns, inputs: Inputs, model: string): void {
  for (const [name, input] of Object.entries(inputs))
    for (const { key, values, from, to, limit, least, rowOf } of valuesOf(input, columns))
      for (let i = from; i < to; i++) {
        const value = values[i]!
        const missing = input.kind === 'floats' && input.missing === 'nan'
        if (limit === undefined ? isFloat(value, least, missing) : isId(value, limit)) continue
        const expected = limit === undefined ? floatRange(least, missing) : range(limit)
        throw new DataError(
          `${where}: column '${key}', ${placeOf(columns, rowOf(i))}: value ${shown(value)}, expected ${expected}, as ${model} reads '${name}'`,
        )
      }
}

interface Values {
  key: string
  values: ArrayLike<number>
  from: number
  to: number
  /** Ids are below it; undefined for numbers. */
  limit: number | undefined
  /** Numbers are not below it. */
  least?: number | undefined
  rowOf(i: number): number
}

function valuesOf(input: Input, { length, lists, ids, floats }: Columns): Values[] {
  const aRow = (key: string, values: ArrayLike<number>, limit?: number): Values => {
    return { key, values, from: 0, to: length, limit, rowOf: i => i }
  }
  if (input.kind === 'ids')
    return Object.entries(input.columns).map(([key, limit]) => aRow(key, ids[key]!, limit))
  if (input.kind === 'floats')
    return input.columns.map(key => ({ ...aRow(key, floats[key]!), least: input.least }))
  if (input.kind !== 'text') return []
  return textLists(input).map(({ key, columns }) => {
    const { values, offsets } = lists[key]!
    const limit = Math.min(input.rows, ...columns.map(({ rows = input.rows }) => rows))
    const rowOf = (i: number) => {
      let row = 0
      while (offsets[row + 1]! <= i) row++
      return row
    }
    return { key, values, from: offsets[0]!, to: offsets[length]!, limit, rowOf }
  })
}
