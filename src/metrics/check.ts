// What every metric asks of its input, with errors that name the row.
import { shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'

/** Labels, scores or probabilities, one per row. */
export type Numbers = ArrayLike<number>

/** @throws ArgumentError naming what is no array */
export function expectLists(what: string, lists: Record<string, unknown>): void {
  for (const [name, list] of Object.entries(lists))
    if (!Array.isArray(list) && !ArrayBuffer.isView(list))
      throw new ArgumentError(`${what}: ${name} is ${shown(list)}, expected an array of numbers`)
}

/** How many rows there are. */
export function rowsOf(labels: Numbers, what: string): number {
  expectLists(what, { labels })
  return labels.length
}

// A float32 softmax on a GPU may pass 1 by a rounding; anything beyond is no probability.
const SLACK = 1e-6

/**
 * Checks labels against scores [rows, columns].
 * @param firstRow number of the first row, for messages.
 */
export function checkPairs(
  labels: Numbers,
  scores: Numbers,
  columns: number,
  what: string,
  firstRow = 0,
): void {
  expectLists(what, { labels, scores })
  if (scores.length !== labels.length * columns) {
    throw new DataError(
      `${what}: ${labels.length} labels need ${labels.length * columns} scores, got ${scores.length}`,
    )
  }
  const classes = Math.max(2, columns)
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new DataError(
        `${what}: label ${label} in row ${firstRow + i} is not a class from 0 to ${classes - 1}`,
      )
    }
  }
  for (let i = 0; i < scores.length; i++) {
    if (typeof scores[i] !== 'number' || Number.isNaN(scores[i]!)) {
      const row = firstRow + Math.floor(i / columns)
      throw new DataError(`${what}: the score of row ${row} is ${shown(scores[i])}, expected a number`)
    }
  }
}

export function checkSome(rows: number, what: string): void {
  if (!rows) throw new DataError(`${what} needs at least one row, got none`)
}

export function checkProbabilities(p: Numbers, columns: number, what: string, firstRow = 0): void {
  for (let i = 0; i < p.length; i++) {
    if (p[i]! >= -SLACK && p[i]! <= 1 + SLACK) continue
    throw new DataError(
      `${what}: ${p[i]} in row ${firstRow + Math.floor(i / columns)} is not a probability in [0, 1]`,
    )
  }
}

export function checkClasses(classes: number, what: string): void {
  if (!Number.isInteger(classes) || classes < 2) {
    throw new DataError(`${what} needs at least 2 classes, got ${classes}`)
  }
}

/** Both kinds of check, of one column of probabilities that must not be empty. */
export function checkClickRows(labels: Numbers, p: Numbers, what: string): void {
  checkSome(rowsOf(labels, what), what)
  checkPairs(labels, p, 1, what)
  checkProbabilities(p, 1, what)
}
