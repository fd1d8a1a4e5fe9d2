// Where a row stands, for messages; and texts that are longer than an encoder reads.
import { DataError } from '../errors.ts'
import { type Inputs, joinedTokens, textLists } from '../inputs.ts'
import type { Columns, ColumnsPart } from './dataset.ts'

/** The part that a row is in. */
function partOf(parts: readonly ColumnsPart[], row: number): ColumnsPart {
  let [low, high] = [0, parts.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (parts[middle]!.start <= row) low = middle
    else high = middle - 1
  }
  return parts[low]!
}

/** The number of a row through all files. */
export function numberOf({ parts, rowStart }: Columns, row: number): number {
  if (!parts) return rowStart + row
  const part = partOf(parts, row)
  return part.number + row - part.start
}

/** Where a row of `columns` was read from: file and row of the file, as far as it is known. */
export function placeOf({ files, file, rowStart, parts }: Columns, row: number): string {
  if (parts) {
    const part = partOf(parts, row)
    return `${part.file}: row ${part.row + row - part.start}`
  }
  const here = files?.findLast(one => one.rowStart <= row)
  if (here) return `${here.name}: row ${row - here.rowStart}`
  return `${file === undefined ? '' : `${file}: `}row ${rowStart + row}`
}

/** The error for a text that is too long. */
export function tooLong(columns: Columns, row: number, length: number, longest: number): DataError {
  return new DataError(
    `${placeOf(columns, row)} has a text of ${length} tokens, expected at most ${longest} (max_position_embeddings); ` +
      'truncate (--truncate on the command line) cuts such texts',
  )
}

/**
 * Checks the length of every row's texts.
 * @throws DataError naming file, row and length of the first that is too long, and what cuts it.
 */
export function checkTextLengths(columns: Columns, inputs: Inputs): void {
  for (const input of Object.values(inputs)) {
    if (input.kind !== 'text') continue
    const lists = textLists(input).flatMap(({ key }) => columns.lists[key] ?? [])
    for (let row = 0; row < columns.length; row++) {
      let length = joinedTokens(input)
      for (const { offsets } of lists) length += offsets[row + 1]! - offsets[row]!
      if (length > input.maxPositions) throw tooLong(columns, row, length, input.maxPositions)
    }
  }
}
