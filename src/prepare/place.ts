// Where a row of a table stands in the files it was read from, for messages.

/** Rows that came of one file, in order. */
export interface SourceFile {
  name: string
  rowStart: number
  rows: number
}

/** 'clicks.csv, row 3', of a row counted from 0 through all files. */
export function placeOf(files: readonly SourceFile[], row: number): string {
  const file = files.find(({ rowStart, rows }) => row >= rowStart && row < rowStart + rows)
  return file ? `${file.name}, row ${row - file.rowStart}` : `row ${row}`
}
