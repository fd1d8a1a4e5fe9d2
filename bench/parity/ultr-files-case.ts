// Session files and an annotated file in Baidu-ULTR's layout, and what they say.
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { joinTexts, readAnnotated, readSessions } from '../../src/datasets/ultr/index.ts'
import { DataError } from '../../src/errors.ts'
import { Check, type Finding } from './report.ts'

interface Document {
  title: number[]
  abstract: number[]
}
type Session = Record<string, unknown> & { query: number[]; documents: Document[] }

export interface UltrFilesCase {
  special: { token_offset: number; pad: number; sep: number; cls: number; mask: number }
  sessions: Session[]
  annotated: Record<string, unknown>[]
  /** Ids and segments of the first two documents of the first two sessions. */
  joined: [number[], number[]][]
}

export const isUltrFiles = (frozen: Record<string, unknown>): boolean =>
  ['sessions', 'annotated', 'joined'].every(key => Array.isArray(frozen[key]))

export async function checkUltrFilesCase(folder: string, frozen: UltrFilesCase): Promise<Finding[]> {
  const name = basename(folder)
  const sessions: unknown[] = []
  const annotated: unknown[] = []
  for (const file of readdirSync(folder).sort()) {
    const path = join(folder, file)
    if (file.startsWith('part-'))
      for await (const { qid, documents, ...rest } of readSessions(path)) {
        const own = documents.map(({ serpHeight, ...fields }) => ({ ...fields, serp_height: serpHeight }))
        sessions.push({ qid: Number(qid), ...rest, documents: own })
      }
    else if (/annotat/.test(file))
      for await (const row of readAnnotated(path)) annotated.push({ ...row, qid: Number(row.qid) })
  }
  if (!sessions.length || !annotated.length)
    throw new DataError(
      `${folder} holds ${sessions.length} sessions and ${annotated.length} judged documents`,
    )
  const { token_offset: offset, ...special } = frozen.special
  const pairs = frozen.sessions
    .slice(0, 2)
    .flatMap(({ query, documents }) => documents.slice(0, 2).map(document => ({ ...document, query })))
  const joined = pairs.map((pair, i) => {
    const longest = frozen.joined[i]?.[0].length ?? 1
    const { ids, segments } = joinTexts(pair, { longest, ids: { ...special, offset } })
    return [ids, segments]
  })
  return [
    ...equal(`${name}/sessions`, sessions, frozen.sessions),
    ...equal(`${name}/annotated`, annotated, frozen.annotated),
    ...equal(`${name}/joined`, joined, frozen.joined),
  ]
}

/** Counts what differs, item by item. */
export function equal(file: string, got: unknown[], wanted: unknown[]): Finding[] {
  const check = new Check(file, 0)
  check.add(`${wanted.length} items`, Math.abs(got.length - wanted.length))
  for (const [i, item] of wanted.entries()) check.add(`item ${i}`, isDeepStrictEqual(got[i], item) ? 0 : 1)
  return check.done()
}
