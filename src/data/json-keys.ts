/**
 * First key that stands twice in one object of a JSON text, or undefined. JSON.parse keeps the last of the two
 * silently. The text must have parsed already.
 */
export function duplicateKey(json: string): string | undefined {
  // One set per open object, null per open array; a string followed by a colon is a key of the innermost object.
  const open: (Set<string> | null)[] = []
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(null)
    else if (token === '}' || token === ']') open.pop()
    else if (token.endsWith(':')) {
      const key: string = JSON.parse(token.slice(0, -1))
      const keys = open.at(-1)
      if (keys?.has(key)) return key
      keys?.add(key)
    }
  }
  return undefined
}
