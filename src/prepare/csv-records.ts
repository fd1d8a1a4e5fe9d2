// Records of a CSV text, read as DuckDB's strict reader takes them, so that both make the same table of the same file.
import { DataError } from '../errors.ts'

/** Bytes of a record at most, as on the command line. */
const LONGEST_RECORD = 2_000_000
const UNCLOSED = 'a quote opens and is not closed before the field ends; quotes within a field are doubled'

/**
 * Reads a text's records from `start` on, of `count` fields each; an empty field is null.
 * @param line the line that `start` is in, counted from 1.
 * @throws DataError naming file and line: a quote that is not closed, a field too many or too few, a record that is too long.
 */
export function readRecords(
  text: string,
  how: { name: string; start: number; line: number; delimiter: string; count: number },
  each: (fields: readonly (string | null)[]) => void,
): void {
  const { name, delimiter, count } = how
  let [at, line] = [how.start, how.line]
  const fail = (what: string): never => {
    throw new DataError(`${name}, line ${line}: ${what}`)
  }
  const ends = (i: number) => i >= text.length || text[i] === '\n' || text[i] === '\r'
  const fields: (string | null)[] = []
  while (at < text.length) {
    const begins = at
    let lines = 0
    fields.length = 0
    // Of several columns a blank line is no record; of one it is a record without a value.
    if (count === 1 || !ends(at))
      for (;;) {
        const opens = text[at] === '"' ? at : text[at] === ' ' && text[at + 1] === '"' ? at + 1 : -1
        if (opens >= 0) {
          const [value, past, within] = quotedField(text, opens, delimiter) ?? fail(UNCLOSED)
          fields.push(value)
          at = past
          lines += within
        } else {
          let end = at
          while (!ends(end) && text[end] !== delimiter) end++
          fields.push(end === at ? null : text.slice(at, end))
          at = end
        }
        if (ends(at)) break
        at++
      }
    if (fields.length) {
      // What is empty behind the last field is none, as behind a delimiter that ends the line.
      while (fields.length > count && fields.at(-1) === null) fields.pop()
      if (fields.length !== count)
        fail(
          `${fields.length} fields, expected ${count} as in the first line; a field that holds the delimiter stands in quotes`,
        )
      if (at - begins > LONGEST_RECORD / 4) checkLength(text.slice(begins, at), fail)
      each(fields)
    }
    if (text[at] === '\r' && text[at + 1] === '\n') at++
    at++
    line += lines + 1
  }
}

/** A field in quotes: what it holds, where it ends, and how many lines end within it; nothing where it does not end. */
function quotedField(
  text: string,
  opens: number,
  delimiter: string,
): [value: string | null, past: number, lines: number] | undefined {
  let value = ''
  let from = opens + 1
  for (;;) {
    const quote = text.indexOf('"', from)
    if (quote < 0) return undefined
    value += text.slice(from, quote)
    if (text[quote + 1] !== '"') {
      let past = quote + 1
      while (text[past] === ' ' && delimiter !== ' ') past++
      const end = text[past]
      if (!(end === undefined || end === delimiter || end === '\n' || end === '\r')) return undefined
      const lines = text.slice(opens, quote).match(/\r\n|\r|\n/g)?.length ?? 0
      return [value === '' ? null : value, past, lines]
    }
    value += '"'
    from = quote + 2
  }
}

function checkLength(record: string, fail: (what: string) => never): void {
  const size = new TextEncoder().encode(record).length
  if (size > LONGEST_RECORD) fail(`a row of ${size} bytes, expected ${LONGEST_RECORD} at most`)
}
