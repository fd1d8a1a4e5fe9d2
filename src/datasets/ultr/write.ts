/** Baidu-ULTR's session files out. */
import { gzipStream } from '#inflate'
import { shown } from '../../check.ts'
import { writeFileAtomic } from '../../data/files.ts'
import { ArgumentError, DataError } from '../../errors.ts'
import { AT, DOCUMENT_COLUMNS, MISSING_TITLE, PLACES, type UltrDocument, type UltrSession } from './format.ts'

/** Lines that are put together before they are handed on. */
export const WRITE_LINES = 4096

/**
 * Writes a session file, gzip'd, in one piece or not at all; {@link readSessions} gives the sessions back. A place that no document has is written
 * as one without text (title 21429), and so is the page of a session without documents. Columns that no field stands for are 0, the unused ones a dash.
 * @throws DataError naming session, document, field and value of one that the format has no room for: places that do not rise from 1 to
 * 30, a title that means there is no document.
 *
 * @example
 * ```ts
 * import { readSessions, writeSessions } from 'kernelgrad/ultr'
 *
 * await writeSessions('part-copy.gz', readSessions('part-00001.gz'))
 * ```
 */
export async function writeSessions(
  path: string,
  sessions: Iterable<UltrSession> | AsyncIterable<UltrSession>,
): Promise<void> {
  if (typeof path !== 'string')
    throw new ArgumentError(`writeSessions: path is ${shown(path)}, expected a path`)
  const encoder = new TextEncoder()
  async function* bytes() {
    let lines: string[] = []
    let number = 0
    for await (const session of sessions) {
      lines.push(...linesOf(session, `${path}: session ${number++}`))
      if (lines.length < WRITE_LINES) continue
      yield encoder.encode(lines.join(''))
      lines = []
    }
    if (number === 0) throw new DataError(`${path}: no sessions to write`)
    yield encoder.encode(lines.join(''))
  }
  await writeFileAtomic(path, async file => {
    for await (const piece of gzipStream(bytes())) await file.write(piece)
  })
}

function linesOf({ qid, query, reformulation, documents }: UltrSession, where: string): string[] {
  expectField(where, 'qid', qid, typeof qid === 'bigint' && qid >= 0n && qid < 2n ** 63n, 'a bigint')
  const texts = [tokenText(where, 'query', query, 1), tokenText(where, 'reformulation', reformulation)]
  if (!Array.isArray(documents))
    throw new DataError(`${where}: documents is ${shown(documents)}, expected an array`)
  const lines = [`${qid}\t${texts.join('\t')}\n`]
  if (!documents.length) lines.push(documentLine(where, { ...NO_DOCUMENT, position: 1 }))
  let place = 0
  for (const [i, document] of documents.entries()) {
    const at = `${where}, document ${i}`
    const { position } = document
    const rises = Number.isInteger(position) && position > place && position <= PLACES
    expectField(
      at,
      'position',
      position,
      rises,
      `a whole number from ${place + 1} to ${PLACES}: places rise within a session`,
    )
    while (++place < position) lines.push(documentLine(at, { ...NO_DOCUMENT, position: place }))
    const special = String(document.title) === String(MISSING_TITLE)
    if (special) throw new DataError(`${at}: title is [${MISSING_TITLE}], which says that there is no text`)
    lines.push(documentLine(at, document))
  }
  return lines
}

const NO_DOCUMENT: Omit<UltrDocument, 'position'> = {
  url: '-',
  title: [...MISSING_TITLE],
  abstract: [],
  media: 0,
  click: 0,
  skip: 0,
  dwell: 0,
  serpHeight: 0,
}

const BLANK: string[] = DOCUMENT_COLUMNS.map(([, kind]) => (kind === 'unused' ? '-' : '0'))

function documentLine(where: string, document: UltrDocument): string {
  const { position, url, title, abstract, media, click, skip, dwell, serpHeight } = document
  const isUrl = typeof url === 'string' && !/[\t\n\r]/.test(url)
  expectField(where, 'url', url, isUrl, 'a text without tabs and line ends')
  expectField(
    where,
    'media',
    media,
    Number.isInteger(media) && media >= 0 && media < 1e9,
    'a whole number below 10^9',
  )
  expectField(where, 'click', click, click === 0 || click === 1, '0 or 1')
  expectField(where, 'skip', skip, skip === 0 || skip === 1, '0 or 1')
  expectField(where, 'dwell', dwell, Number.isFinite(dwell) && dwell >= 0, 'seconds, at least 0')
  expectField(where, 'serpHeight', serpHeight, Number.isFinite(serpHeight), 'a finite number')
  const fields = [...BLANK]
  fields[AT.position] = String(position)
  fields[AT.url] = url
  fields[AT.title] = tokenText(where, 'title', title)
  fields[AT.abstract] = tokenText(where, 'abstract', abstract)
  fields[AT.media] = String(media)
  fields[AT.click] = String(click)
  fields[AT.skip] = String(skip)
  fields[AT.dwell] = String(dwell)
  fields[AT.serpHeight] = String(serpHeight)
  return `${fields.join('\t')}\n`
}

export function tokenText(where: string, name: string, tokens: readonly number[], least = 0): string {
  if (!Array.isArray(tokens)) throw new DataError(`${where}: ${name} is ${shown(tokens)}, expected token ids`)
  if (tokens.length < least)
    throw new DataError(`${where}: ${name} has ${tokens.length} tokens, expected at least ${least}`)
  const bad = tokens.find(token => !(Number.isInteger(token) && token >= 0 && token < 1e9))
  if (bad !== undefined)
    throw new DataError(
      `${where}: ${name} has token ${shown(bad)}, expected whole numbers of at most 9 digits`,
    )
  return tokens.join('\x01')
}

export function expectField(where: string, name: string, value: unknown, fits: boolean, says: string): void {
  if (!fits) throw new DataError(`${where}: ${name} is ${shown(value)}, expected ${says}`)
}
