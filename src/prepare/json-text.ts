// What a line of NDJSON is, for messages.

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
