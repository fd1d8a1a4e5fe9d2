// The first line of a CSV file: the names of its columns, as they stand there.
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { reason } from '../data/files.ts'
import { DataError } from '../errors.ts'
import { numberOf } from './values.ts'

/** Names are read from so many bytes at most. */
const LONGEST = 4 * 2 ** 20
const DELIMITERS = [',', ';', '\t', '|']

/** How a file's fields are told apart, and their names. */
export interface Header {
  delimiter: string
  names: string[]
}

/**
 * Reads a CSV file's header. Without a delimiter, it is the one of comma, semicolon, tab and bar that stands most often in the line.
 * @throws DataError naming file and column: an empty file, no text, numbers instead of names, a name that stands twice.
 */
export async function readHeader(path: string, delimiter?: string): Promise<Header> {
  const line = await firstRecord(path)
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

async function firstRecord(path: string): Promise<string> {
  const raw = createReadStream(path)
  const bytes = path.endsWith('.gz') ? raw.pipe(createGunzip()) : raw
  const parts: Uint8Array[] = []
  let size = 0
  try {
    // What opening refuses shows on the first stream, not on the one it is piped to.
    await new Promise<void>((ready, refuse) => {
      raw.once('error', refuse)
      raw.once('open', () => ready())
    })
    for await (const part of bytes as AsyncIterable<Uint8Array>) {
      parts.push(part)
      size += part.length
      if (endOfRecord(Buffer.concat(parts).toString('latin1')) >= 0 || size > LONGEST) break
    }
  } catch (error) {
    throw new DataError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  } finally {
    raw.destroy()
  }
  const all = Buffer.concat(parts)
  const end = endOfRecord(all.toString('latin1'))
  if (end < 0 && size > LONGEST)
    throw new DataError(`${path}: its first line has more than ${LONGEST} bytes, expected names of columns`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(end < 0 ? all : all.subarray(0, end))
  } catch (error) {
    throw new DataError(`${path} is no text: its first line is not UTF-8`, { cause: error })
  }
}

/** Index of the first line's end, which is not within quotes, or -1. */
function endOfRecord(text: string): number {
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
