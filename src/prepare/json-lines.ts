// Lines of NDJSON files: what DuckDB says of a bad one counts lines otherwise than an editor does.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'

/** The first line, counted from 1, of which `what` says something, and that; blank lines are left aside. */
export async function lineThat(
  path: string,
  what: (line: string) => string | undefined,
): Promise<{ line: number; says: string } | undefined> {
  const raw = createReadStream(path)
  const input = path.endsWith('.gz') ? raw.pipe(createGunzip()) : raw
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

/** Why a line is no JSON, or nothing. */
export function whyNoJson(line: string): string | undefined {
  if (line.startsWith('\ufeff'))
    return 'a byte order mark stands there, expected JSON alone; save the file as UTF-8 without it'
  try {
    JSON.parse(line)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** What a line's object holds under a key, where that is a list or an object. */
export function nestedAt(line: string, key: string): string | undefined {
  const row: unknown = JSON.parse(line)
  const value = new Map(Object.entries(row as object)).get(key)
  return typeof value === 'object' && value !== null ? JSON.stringify(value).slice(0, 40) : undefined
}
