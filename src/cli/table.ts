export type Cell = string | number

/**
 * Lays rows out in columns two spaces apart, under a rule. A column of numbers, as numbers or as text, is aligned to the
 * right.
 * @returns the lines, joined, without a newline at the end.
 */
export function formatTable(headers: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const text = rows.map(row => headers.map((_, column) => String(row[column] ?? '')))
  const width = headers.map((header, column) =>
    Math.max(header.length, ...text.map(row => row[column]!.length)),
  )
  const right = headers.map((_, column) => rows.length > 0 && text.every(row => isNumeric(row[column]!)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (right[column] ? cell.padStart(width[column]!) : cell.padEnd(width[column]!)))
      .join('  ')
      .trimEnd()
  return [line(headers), width.map(w => '-'.repeat(w)).join('  '), ...text.map(line)].join('\n')
}

// An empty cell or a mark for 'no value' does not make a column of numbers a column of words.
const isNumeric = (cell: string) => /^(|-|n\/a|[-+]?[\d.,]+(e[-+]?\d+)?( ?[%x×])?)$/i.test(cell)

/** 143602190 as 143,602,190. */
export const count = (n: number): string => n.toLocaleString('en-US')
