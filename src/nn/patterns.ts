// Choosing parameters by name, as a shell chooses files: '*' stands for any characters, dots included.
import { editDistance, shown } from '../check.ts'
import { ConfigError } from '../errors.ts'

/** Whether a name as a whole matches a pattern. */
function matches(name: string, pattern: string): boolean {
  const source = pattern.split('*').map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${source.join('.*')}$`).test(name)
}

/**
 * The names that match any of the patterns, in order. Each name may have other spellings that count too.
 * @param what names the patterns' place in the message.
 * @throws ConfigError for a pattern that matches nothing, with the names that come nearest.
 * @internal
 */
export function chooseNames(
  names: Iterable<string>,
  patterns: readonly string[],
  what: string,
  spellings: (name: string) => string[] = name => [name],
): Set<string> {
  if (!Array.isArray(patterns) || patterns.some(pattern => typeof pattern !== 'string')) {
    const wrong = Array.isArray(patterns) ? patterns.find(pattern => typeof pattern !== 'string') : patterns
    throw new ConfigError(`${what}: a pattern is ${shown(wrong)}, expected names as 'bert.*'`)
  }
  const all = [...names]
  const chosen = new Set<string>()
  for (const pattern of patterns) {
    const found = all.filter(name => spellings(name).some(spelling => matches(spelling, pattern)))
    if (!found.length) {
      throw new ConfigError(
        `${what}: pattern '${pattern}' matches no parameter; near it: ${nearest(all, pattern).join(', ')}`,
      )
    }
    for (const name of found) chosen.add(name)
  }
  return new Set(all.filter(name => chosen.has(name)))
}

const SHOWN = 3

/** The parameters, and modules as 'module.*', whose names take the fewest edits to become the pattern. */
function nearest(names: string[], pattern: string): string[] {
  const candidates = new Set<string>()
  for (const name of names) {
    candidates.add(name)
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
      candidates.add(`${name.slice(0, dot)}.*`)
  }
  const ranked = [...candidates].map(name => ({ name, edits: editDistance(name, pattern) }))
  return ranked
    .sort((a, b) => a.edits - b.edits)
    .slice(0, SHOWN)
    .map(({ name }) => name)
}
