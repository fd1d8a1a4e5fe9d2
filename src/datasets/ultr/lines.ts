// A file's lines in large pieces, inflated where it is gzip's.
import { files } from '#files'
import { gunzipStream } from '#inflate'
import { reason } from '../../data/files.ts'
import { DataError } from '../../errors.ts'

/** Read of the disk at once. */
const PIECE = 1 << 20
/** Longest line. */
const LONGEST = 1 << 20
const NEWLINE = 10
const RETURN = 13
const TAB = 9

/** Where a line stands in `bytes`, and where its columns are. */
export interface Line {
  bytes: Uint8Array
  /** Counted from 1. */
  number: number
  /** Number of columns. */
  columns: number
  /** Column i is bytes from[i] to from[i + 1] - 2. The same array for every line. */
  from: Int32Array
}

/** How a file is read. */
export interface ReadUltrOptions {
  /** Stops with the signal's reason. */
  signal?: AbortSignal
  /** Called with the share of the file's bytes read so far. */
  onProgress?: (share: number) => void
}

/** Most columns that are told apart; further ones are counted. */
const MOST_COLUMNS = 64

/**
 * Calls `take` for every line of a file that is not blank, in order, and yields after each piece of the file. Lines end in LF or CRLF; the
 * last may do without.
 * @throws DataError naming the file, and the line, where the file cannot be read, is damaged or cut short, or a line is too long;
 * whatever `take` throws.
 */
export async function* eachLine(
  path: string,
  take: (line: Line) => void,
  options: ReadUltrOptions = {},
): AsyncGenerator<void> {
  const from = new Int32Array(MOST_COLUMNS + 2)
  let number = 0
  let rest: Uint8Array = new Uint8Array()
  /** The lines that are whole in `bytes`; returns where the next begins. */
  const cut = (bytes: Uint8Array): number => {
    let start = 0
    let columns = 0
    from[0] = 0
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]
      if (byte === TAB) {
        if (columns < MOST_COLUMNS) from[columns + 1] = i + 1
        columns++
      } else if (byte === NEWLINE) {
        number++
        const end = i > start && bytes[i - 1] === RETURN ? i - 1 : i
        from[Math.min(columns, MOST_COLUMNS) + 1] = end + 1
        if (end > start) take({ bytes, number, columns: columns + 1, from })
        start = i + 1
        columns = 0
        from[0] = start
      }
    }
    return start
  }
  try {
    for await (const piece of piecesOf(path, options)) {
      const bytes = rest.length ? concat(rest, piece) : piece
      const start = cut(bytes)
      rest = bytes.slice(start)
      if (rest.length > LONGEST)
        throw new DataError(
          `${path}: line ${number + 1} is longer than ${LONGEST} bytes; is it a file of Baidu-ULTR?`,
        )
      yield
    }
  } catch (error) {
    if (error instanceof Damaged)
      throw new DataError(
        `${path}: line ${number + 1}: its gzip data ${error.message}; ${number} lines before it are whole: fetch the file again`,
        { cause: error.cause },
      )
    throw error
  }
  if (rest.length) {
    cut(concat(rest, Uint8Array.of(NEWLINE)))
    yield
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

/** What is wrong with gzip's data. */
class Damaged extends Error {}

async function* piecesOf(path: string, options: ReadUltrOptions): AsyncGenerator<Uint8Array> {
  const { signal, onProgress } = options
  const refuse = (error: unknown): never => {
    throw new DataError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  }
  const file = await files.open(path).catch(refuse)
  try {
    const { size } = file
    async function* raw() {
      for (let at = 0; at < size; ) {
        signal?.throwIfAborted()
        const bytes = await file.read(at, PIECE).catch(refuse)
        if (bytes.length === 0)
          throw new DataError(`${path} became shorter while it was read: ${at} of ${size} bytes are there`)
        at += bytes.length
        onProgress?.(at / size)
        yield bytes
      }
    }
    const [first, second] = await file.read(0, 2).catch(refuse)
    const zipped = first === 0x1f && second === 0x8b
    if (!zipped && path.endsWith('.gz') && size > 0)
      throw new DataError(
        `${path} is no gzip file: it begins with bytes ${first} ${second ?? ''}, expected 31 139`,
      )
    if (size === 0) throw new DataError(`${path} is empty, expected lines`)
    if (!zipped) {
      yield* raw()
      return
    }
    try {
      yield* gunzipStream(raw())
    } catch (error) {
      if (error instanceof DataError || signal?.aborted) throw error
      const why = (error as Error).message
      throw new Damaged(/unexpected end|incomplete/i.test(why) ? 'is cut short' : `is damaged (${why})`, {
        cause: error,
      })
    }
  } finally {
    await file.close()
  }
}
