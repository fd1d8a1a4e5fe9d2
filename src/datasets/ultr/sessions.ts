/** Baidu-ULTR's session files in: streamed, checked and cleaned. */
import { expectOptions, shown } from '../../check.ts'
import { ArgumentError, DataError } from '../../errors.ts'
import { shownField, textOf } from './fields.ts'
import {
  AT,
  DOCUMENT_COLUMNS,
  MISSING_TITLE,
  OTHERS_SEARCHED,
  SESSION_COLUMNS,
  type UltrDocument,
  type UltrSession,
} from './format.ts'
import { eachLine, type Line, type ReadUltrOptions } from './lines.ts'
import {
  checkOthers,
  numberAt,
  placeAt,
  qidAt,
  type Row,
  refuse,
  refuseColumns,
  tokensAt,
  wholeAt,
} from './parse.ts'

const DOCUMENT_NAMES = DOCUMENT_COLUMNS.map(([name]) => name)
const MOST_WHOLE = 999_999_999

/**
 * Reads a session file, `part-*.gz` or the same lines as plain text, holding a piece of it at a time. A document whose title is the token
 * 21429 has no text: it is left out and its place stays. "What others searched", which has a title of its own, is left out and takes no place.
 * All columns are checked, those that no field comes of too.
 * @throws DataError naming file, line, column and value of the first that cannot be: a document before its session's line, a session without
 * documents, a line of neither 3 nor 32 columns, a place outside 1 to 30 or not above the one before, a value that is no number; or gzip data that
 * is cut short or damaged.
 *
 * @example
 * ```ts
 * import { readSessions } from 'kernelgrad/ultr'
 *
 * for await (const { query, documents } of readSessions('part-00001.gz'))
 *   console.log(query, documents.map(({ position, click }) => [position, click]))
 * ```
 */
export async function* readSessions(
  path: string,
  options: ReadUltrOptions = {},
): AsyncGenerator<UltrSession, undefined> {
  checkReading('readSessions', path, options)
  const done: UltrSession[] = []
  const parser = sessionParser(path, session => done.push(session))
  for await (const _ of eachLine(path, parser.take, options)) yield* done.splice(0)
  parser.end()
  yield* done
}

export function checkReading(where: string, path: unknown, options: unknown): void {
  if (typeof path !== 'string') throw new ArgumentError(`${where}: path is ${shown(path)}, expected a path`)
  expectOptions(`${where}: options`, options, ['signal', 'onProgress'])
}

const same = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((token, i) => token === b[i])

/** Puts lines together to sessions; `done` gets each one that is whole. */
function sessionParser(path: string, done: (session: UltrSession) => void) {
  let session: UltrSession | undefined
  let sessionLine = 0
  let [lastPlace, taken] = [0, 0]
  function end() {
    if (!session) throw new DataError(`${path} has no lines, expected sessions`)
    if (lastPlace === 0)
      throw new DataError(
        `${path}: line ${sessionLine}: the session of query ${session.qid} has no documents, expected their lines below it`,
      )
    done(session)
  }
  function document(row: Row): UltrDocument | undefined {
    lastPlace = placeAt(row, lastPlace)
    const title = tokensAt(row, AT.title)
    const abstract = tokensAt(row, AT.abstract)
    const media = wholeAt(row, AT.media, 0, MOST_WHOLE)
    const click = wholeAt(row, AT.click, 0, 1)
    const skip = wholeAt(row, AT.skip, 0, 1)
    const serpHeight = numberAt(row, AT.serpHeight)
    const dwell = numberAt(row, AT.dwell)
    if (dwell < 0) refuse(row, AT.dwell, 'seconds, at least 0')
    checkOthers(row)
    if (same(title, OTHERS_SEARCHED)) return undefined
    const position = ++taken
    if (same(title, MISSING_TITLE)) return undefined
    const { bytes, from } = row.line
    const url = textOf(bytes, from[AT.url]!, from[AT.url + 1]! - 1)
    return { position, url, title, abstract, media, click, skip, dwell, serpHeight }
  }
  function take(line: Line) {
    if (line.columns === SESSION_COLUMNS.length) {
      if (session) end()
      const row = { path, line, names: SESSION_COLUMNS }
      const query = tokensAt(row, 1)
      if (!query.length) refuse(row, 1, 'token ids')
      session = { qid: qidAt(row, 0), query, reformulation: tokensAt(row, 2), documents: [] }
      sessionLine = line.number
      lastPlace = taken = 0
    } else if (line.columns === DOCUMENT_COLUMNS.length) {
      if (!session) {
        const { bytes, from, number } = line
        throw new DataError(
          `${path}: line ${number}: a document of ${line.columns} columns, ${shownField(bytes, from[0]!, from[3]! - 1)}, stands before any query, expected the session's line of 3 columns first`,
        )
      }
      const made = document({ path, line, names: DOCUMENT_NAMES })
      if (made) session.documents.push(made)
    } else
      refuseColumns(
        { path, line, names: [] },
        `${SESSION_COLUMNS.length} (${SESSION_COLUMNS.join(', ')}) or ${DOCUMENT_COLUMNS.length} (a document)`,
      )
  }
  return { take, end }
}
