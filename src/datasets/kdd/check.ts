/**
 * Reads a raw file once, byte by byte, before the database does: a CSV reader rounds '1.5' to 2 without a word, and its
 * messages do not say which value was wrong. The loop only tells good lines from suspicious ones; a suspicious line is
 * looked at again, slowly, and refused with its line, column and value or let pass.
 */
import { open } from 'node:fs/promises'
import { reason } from '../../data/files.ts'
import { DataError } from '../../errors.ts'
import type { FieldKind, RawFile } from './raw-files.ts'

const TAB = 9
export const NEWLINE = 10
export const RETURN = 13
const ZERO = 48
const NINE = 57
const BAR = 124
/** Also the longest line. */
const BUFFER_BYTES = 1 << 20

export interface CheckOptions {
  /** Rows to look at, default all. */
  rows?: number
  signal?: AbortSignal
  /** Called with the share of the file's bytes read so far. */
  onProgress?: (share: number) => void
}

/** What a raw file turned out to be. */
export interface Checked {
  /** Rows looked at. */
  rows: number
  /** Whether the whole file was looked at and all its lines end alike: the database then reads the file itself. */
  plain: boolean
}

/**
 * Checks that every line has the file's columns and every field is what its column holds. Lines end in LF or CRLF, each as it
 * likes. Blank lines do not count.
 * @throws DataError naming file, line (from 1), column and value of the first that is not; or that there are no rows.
 */
export async function checkRawFile(
  path: string,
  file: RawFile,
  options: CheckOptions = {},
): Promise<Checked> {
  const { rows = Number.POSITIVE_INFINITY, signal, onProgress } = options
  const handle = await open(path).catch(error => {
    throw new DataError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  })
  try {
    const { size } = await handle.stat()
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES + 1)
    const lines = new LineChecker(path, file, rows)
    let kept = 0 // bytes of a line whose end has not been read
    let position = 0
    while (!lines.enough) {
      signal?.throwIfAborted()
      const { bytesRead } = await handle.read(buffer, kept, BUFFER_BYTES - kept, position).catch(error => {
        throw new DataError(`cannot read ${path}: ${reason(error)}`, { cause: error })
      })
      if (position === 0 && bytesRead > 1 && buffer[0] === 0x1f && buffer[1] === 0x8b)
        throw new DataError(
          `${path}: line 1: the file is packed by gzip, expected its text: unpack it (gunzip)`,
        )
      position += bytesRead
      let end = kept + bytesRead
      // The last line may do without its newline.
      if (bytesRead === 0 && end > 0) {
        if (buffer[end - 1] === RETURN) lines.ends.add('CR')
        buffer[end++] = NEWLINE
        lines.completed = true
      }
      const used = lines.check(buffer, end)
      kept = end - used
      if (bytesRead === 0) break
      if (kept === BUFFER_BYTES)
        throw new DataError(
          `${path}: line ${lines.number + 1} is longer than ${BUFFER_BYTES} bytes${hint(buffer.subarray(0, kept).includes(RETURN))}`,
        )
      buffer.copyWithin(0, used, end)
      onProgress?.(size ? position / size : 1)
    }
    if (lines.rows === 0) throw new DataError(`${path} has no rows`)
    return {
      rows: lines.rows,
      plain: lines.ends.size <= 1 && !lines.ends.has('CR') && position >= size && !lines.stopped,
    }
  } finally {
    await handle.close()
  }
}

class LineChecker {
  /** Rows and lines checked so far. */
  rows = 0
  number = 0
  /** How the lines so far end. */
  readonly ends = new Set<'LF' | 'CRLF' | 'CR'>()
  /** Whether the last newline is not the file's own. */
  completed = false
  /** Whether bytes were left behind the last row wanted. */
  stopped = false
  readonly #path: string
  readonly #columns: [string, FieldKind][]
  readonly #limit: number

  constructor(path: string, file: RawFile, limit: number) {
    this.#path = path
    this.#columns = Object.entries(file.columns)
    this.#limit = limit
  }

  get enough(): boolean {
    return this.rows >= this.#limit
  }

  /** Checks the whole lines in the first `end` bytes; returns how many bytes they take. */
  check(buffer: Buffer, end: number): number {
    const kinds = this.#columns.map(([, kind]) => kind)
    let start = 0 // of the line
    let field = 0 // start of the field
    let column = 0
    let plain = true
    for (let i = 0; i < end; i++) {
      const byte = buffer[i]!
      if (byte >= ZERO && byte <= NINE) continue
      if (byte === TAB) {
        plain &&= isPlain(buffer, field, i, kinds[column])
        column++
        field = i + 1
      } else if (byte === NEWLINE) {
        this.number++
        if (!this.completed) this.ends.add(i > start && buffer[i - 1] === RETURN ? 'CRLF' : 'LF')
        if (i > start && !(i === start + 1 && buffer[start] === RETURN)) {
          plain &&= column === kinds.length - 1 && isPlain(buffer, field, i, kinds[column])
          if (!plain) this.#look(buffer.toString('utf8', start, i))
          this.rows++
        }
        start = field = i + 1
        column = 0
        plain = true
        if (this.enough) {
          this.stopped = start < end
          break
        }
      } else if (byte !== BAR || kinds[column] !== 'tokens' || i === field || buffer[i - 1] === BAR) {
        plain = false
      }
    }
    return start
  }

  /** Throws unless the line is as it should be. */
  #look(text: string): void {
    const fields = text.replace(/\r$/, '').split('\t')
    const names = this.#columns.map(([name]) => name)
    const where = `${this.#path}: line ${this.number}`
    if (fields.length !== names.length) {
      throw new DataError(
        `${where} has ${fields.length} tab-separated columns, expected ${names.length} (${names.join(', ')}): '${short(text)}'${hint(/\r[\s\S]/.test(text))}`,
      )
    }
    for (const [i, [name, kind]] of this.#columns.entries()) {
      if (fits(fields[i]!, kind)) continue
      throw new DataError(
        `${where}, column ${name}: value '${short(fields[i]!)}', expected ${EXPECTED[kind]}${hint(/\r[\s\S]/.test(text))}`,
      )
    }
  }
}

/** Whether a field of digits (and bars, for tokens) is surely good: short enough, not empty, no bar at its end. */
function isPlain(buffer: Buffer, start: number, end: number, kind: FieldKind | undefined): boolean {
  const length = end - start
  if (kind === 'tokens') return length > 0 && buffer[end - 1] !== BAR
  if (length === 0) return kind === 'number or empty'
  if (kind !== 'number below 2^64' || length < 20) return length <= 18 || kind === 'number below 2^64'
  // Half of all 64-bit hashes have 20 digits: those below 1.8e19 need no second look.
  return length === 20 && buffer[start] === ZERO + 1 && buffer[start + 1]! < ZERO + 8
}

const EXPECTED: Record<FieldKind, string> = {
  number: 'a whole number below 2^63',
  'number or empty': 'a whole number below 2^63, or nothing',
  'number below 2^64': 'a whole number below 2^64',
  tokens: "token numbers joined by '|'",
}

function fits(value: string, kind: FieldKind): boolean {
  if (kind === 'tokens') return /^\d+(\|\d+)*$/.test(value)
  if (value === '') return kind === 'number or empty'
  return /^\d+$/.test(value) && BigInt(value) < (kind === 'number below 2^64' ? 2n ** 64n : 2n ** 63n)
}

/** What is said of a line that holds a carriage return. */
const hint = (lone: boolean) => (lone ? '; a carriage return without a newline behind it ends no line' : '')

/** A text as a message shows it: not too long, and without what a terminal would act on. */
function short(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 77)}...` : text
  return cut.replace(/[^\t\P{Cc}]/gu, character => JSON.stringify(character).slice(1, -1))
}
