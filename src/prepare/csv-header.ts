// The first record of a CSV file: the names of its columns, as they stand there.
import { DataError } from '../errors.ts'
import { numberOf } from './values.ts'

const DELIMITERS = [',', ';', '\t', '|']

/** How a file's fields are told apart, and their names. */
export interface Header {
  delimiter: string
  names: string[]
}

/**
 * The header that a file's first record is. Without a delimiter, it is the one of comma, semicolon, tab and bar that stands most often in it.
 * @throws DataError naming file and column: an empty file, numbers instead of names, a name that stands twice.
 */
export function headerOf(path: string, line: string, delimiter?: string): Header {
  if (!line.trim()) throw new DataError(`${path} has no rows: expected names of columns in the first line`)
  const by = delimiter ?? mostFrequent(line)
  const names = fieldsOf(line, by).map((name, i) => name.trim() || `unnamed_${i + 1}`)
  if (names.every(name => numberOf(name) !== undefined))
    throw new DataError(`${path}: the first line has numbers alone, expected the names of columns`)
  const twice = names.findIndex((name, i) => names.indexOf(name) < i)
  if (twice >= 0)
    throw new DataError(
      `${path}: columns ${names.indexOf(names[twice]!) + 1} and ${twice + 1} are both called '${names[twice]}'; rename one of them`,
    )
  return { delimiter: by, names }
}

/** Index of the first line's end, which is not within quotes, or -1. */
export function endOfRecord(text: string): number {
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted
    else if (!quoted && (text[i] === '\n' || text[i] === '\r')) return i
  }
  return -1
}

function mostFrequent(line: string): string {
  const outside = line.replace(/"(?:[^"]|"")*"/g, '')
  const times = DELIMITERS.map(one => outside.split(one).length)
  return DELIMITERS[times.indexOf(Math.max(...times))]!
}

function fieldsOf(line: string, delimiter: string): string[] {
  const fields: string[] = []
  let [field, quoted] = ['', false]
  for (let i = 0; i < line.length; i++) {
    const c = line[i]!
    if (c === '"' && quoted && line[i + 1] === '"') field += line[i++]
    else if (c === '"') quoted = !quoted
    else if (c === delimiter && !quoted) {
      fields.push(field)
      field = ''
    } else field += c
  }
  return [...fields, field]
}
