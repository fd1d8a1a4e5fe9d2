/** Baidu-ULTR's annotated file, in and out: documents that experts judged. */
import { shown } from '../../check.ts'
import { writeFileAtomic } from '../../data/files.ts'
import { ArgumentError, DataError } from '../../errors.ts'
import { ANNOTATED_COLUMNS, MOST_BUCKET, MOST_LABEL, type UltrAnnotated } from './format.ts'
import { eachLine, type ReadUltrOptions } from './lines.ts'
import { qidAt, refuse, refuseColumns, tokensAt, wholeAt } from './parse.ts'
import { checkReading } from './sessions.ts'
import { expectField, tokenText, WRITE_LINES } from './write.ts'

/**
 * Reads an annotated file, plain or gzip'd, holding a piece of it at a time. The query tells lists apart: its number does not, as 8% of them stand for
 * several queries.
 * @throws DataError naming file, line, column and value of the first that cannot be, as `readSessions`.
 */
export async function* readAnnotated(
  path: string,
  options: ReadUltrOptions = {},
): AsyncGenerator<UltrAnnotated, undefined> {
  checkReading('readAnnotated', path, options)
  const lists = new Map<string, number>()
  const done: UltrAnnotated[] = []
  const read = eachLine(
    path,
    line => {
      const row = { path, line, names: ANNOTATED_COLUMNS }
      if (line.columns !== ANNOTATED_COLUMNS.length)
        refuseColumns(row, `${ANNOTATED_COLUMNS.length} (${ANNOTATED_COLUMNS.join(', ')})`)
      const query = tokensAt(row, 1)
      if (!query.length) refuse(row, 1, 'token ids')
      const key = query.join(' ')
      const list = lists.get(key) ?? lists.size
      if (list === lists.size) lists.set(key, list)
      done.push({
        qid: qidAt(row, 0),
        query,
        title: tokensAt(row, 2),
        abstract: tokensAt(row, 3),
        label: wholeAt(row, 4, 0, MOST_LABEL),
        bucket: wholeAt(row, 5, 0, MOST_BUCKET),
        list,
      })
    },
    options,
  )
  for await (const _ of read) yield* done.splice(0)
  if (!lists.size) throw new DataError(`${path} has no lines, expected judged documents`)
}

/**
 * Writes an annotated file, in one piece or not at all. `list` is not written: queries tell lists apart.
 * @throws DataError naming row, field and value of one that the format has no room for.
 */
export async function writeAnnotated(
  path: string,
  rows: Iterable<Omit<UltrAnnotated, 'list'>>,
): Promise<void> {
  if (typeof path !== 'string')
    throw new ArgumentError(`writeAnnotated: path is ${shown(path)}, expected a path`)
  await writeFileAtomic(path, async file => {
    let lines: string[] = []
    let number = 0
    for (const { qid, query, title, abstract, label, bucket } of rows) {
      const where = `${path}: row ${number++}`
      expectField(where, 'qid', qid, typeof qid === 'bigint' && qid >= 0n && qid < 2n ** 63n, 'a bigint')
      expectField(where, 'label', label, isWhole(label, MOST_LABEL), `0 to ${MOST_LABEL}`)
      expectField(where, 'bucket', bucket, isWhole(bucket, MOST_BUCKET), `0 to ${MOST_BUCKET}`)
      const texts = [
        tokenText(where, 'query', query, 1),
        tokenText(where, 'title', title),
        tokenText(where, 'abstract', abstract),
      ]
      lines.push(`${[qid, ...texts, label, bucket].join('\t')}\n`)
      if (lines.length < WRITE_LINES) continue
      await file.write(lines.join(''))
      lines = []
    }
    await file.write(lines.join(''))
  })
}

const isWhole = (value: number, most: number) => Number.isInteger(value) && value >= 0 && value <= most
