// Some rows of columns as columns of their own.
import type { TokenLists } from './columns.ts'
import type { Columns } from './dataset.ts'

/** Some rows of some columns, in the order given; where the columns know their parts, so do these. */
export function pickRows(columns: Columns, rows: Uint32Array): Columns {
  const { ids, floats, lists, parts } = columns
  const placeOf = (row: number, start: number) => {
    const part = parts!.findLast(part => part.start <= row)!
    const { file, row: first, number } = part
    return { start, file, row: first + row - part.start, number: number + row - part.start }
  }
  return {
    length: rows.length,
    rowStart: 0,
    ids: mapped(ids, values => Uint32Array.from(rows, row => values[row]!)),
    floats: mapped(floats, values => Float32Array.from(rows, row => values[row]!)),
    lists: mapped(lists, list => listsOf(list, rows)),
    ...(parts && { parts: Array.from(rows, placeOf) }),
  }
}

function listsOf({ values, offsets }: TokenLists, rows: Uint32Array): TokenLists {
  const out = new Uint32Array(rows.length + 1)
  for (const [i, row] of rows.entries()) out[i + 1] = out[i]! + offsets[row + 1]! - offsets[row]!
  const taken = new Uint32Array(out.at(-1)!)
  for (const [i, row] of rows.entries()) taken.set(values.subarray(offsets[row], offsets[row + 1]), out[i])
  return { values: taken, offsets: out }
}

const mapped = <A, B>(all: Record<string, A>, to: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(all).map(([key, value]) => [key, to(value)]))
