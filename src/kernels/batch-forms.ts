// Forms that do not go by how many rows a batch has: a row's results are then the same to the bit whatever it was computed with.
let steady = false

/**
 * Runs `body`, which records launches, with forms chosen by all sizes but the rows of a batch. Sums are then cut alike for one row and for many; single rows
 * are somewhat slower on GPUs, and long texts on lavapipe.
 */
export function batchInvariant<T>(body: () => T): T {
  const before = steady
  steady = true
  try {
    return body()
  } finally {
    steady = before
  }
}

/** Rows that a form is chosen for, where it does not go by those there are. */
const ROWS = 256

/** The rows, lines, matrices or tokens by which a form is chosen. */
export const rowsForForms = (rows: number): number => (steady ? ROWS : rows)

/** Whether forms go by the batch. */
export const goesByBatch = (): boolean => !steady
