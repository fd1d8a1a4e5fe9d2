// Lines of NDJSON files: what DuckDB says of a bad one counts lines otherwise than an editor does.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { isPacked } from './formats.ts'

/** The first line, counted from 1, of which `what` says something, and that; blank lines are left aside. */
export async function lineThat(
  path: string,
  what: (line: string) => string | undefined,
): Promise<{ line: number; says: string } | undefined> {
  const raw = createReadStream(path)
  const input = isPacked(path) ? raw.pipe(createGunzip()) : raw
  let line = 0
  try {
    for await (const text of createInterface({ input, crlfDelay: Infinity })) {
      line++
      const says = text.trim() ? what(text) : undefined
      if (says !== undefined) return { line, says }
    }
  } finally {
    raw.destroy()
  }
  return undefined
}
