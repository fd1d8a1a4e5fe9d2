// What a line of NDJSON is, for messages.

/** Why a line is no JSON, or nothing. */
function whyNoJson(line: string): string | undefined {
  if (line.startsWith('\ufeff'))
    return 'a byte order mark stands there, expected JSON alone; save the file as UTF-8 without it'
  try {
    JSON.parse(line)
    return undefined
  } catch (error) {
    const [, word] = /[:,[]\s*(-?(?:NaN|Infinity))\b/.exec(line.replace(/"(?:[^"\\]|\\.)*"/g, '""')) ?? []
    if (word !== undefined) return `${word} is no JSON; a value that is missing is null`
    return (error as Error).message
  }
}

/** The keys of a line's object, in order: an object has those that are numbers first. */
export function topKeys(line: string): string[] {
  const keys: string[] = []
  let depth = 0
  for (const [token] of line.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g))
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    else if (depth === 1 && token.endsWith(':'))
      keys.push(JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)))
  return keys
}

const SURROGATE = /\p{Surrogate}/u

/** Why a line is no row, behind 'file, line 3', or nothing: no JSON, no object, a key twice, a text that no file can hold. */
export function whyNoRow(line: string): string | undefined {
  const why = whyNoJson(line)
  if (why !== undefined) return `: ${why}`
  const row: unknown = JSON.parse(line)
  if (typeof row !== 'object' || row === null || Array.isArray(row))
    return `: ${line.trim().slice(0, 40)}, expected an object of values`
  const keys = topKeys(line)
  const twice = keys.find((key, place) => keys.indexOf(key) < place)
  if (twice !== undefined) return `: key '${twice}' stands twice`
  const half = Object.entries(row).find(([, value]) => typeof value === 'string' && SURROGATE.test(value))
  return half && `, column '${half[0]}': half of a surrogate pair stands there`
}

/** What a line's object holds under a key, where that is a list or an object. */
export function nestedAt(line: string, key: string): string | undefined {
  const row: unknown = JSON.parse(line)
  const value = new Map(Object.entries(row as object)).get(key)
  return typeof value === 'object' && value !== null ? JSON.stringify(value).slice(0, 40) : undefined
}
