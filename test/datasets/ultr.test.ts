// Baidu-ULTR's files: read and written as frozen, damaged ones refused by name, and turned into Parquet.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readColumns } from '../../src/data/index.ts'
import {
  joinTexts,
  preprocessUltr,
  readAnnotated,
  readSessions,
  type UltrAnnotated,
  type UltrSession,
  ultrWorld,
  writeAnnotated,
  writeSessions,
  writeUltrWorld,
} from '../../src/datasets/ultr/index.ts'
import { DataError } from '../../src/errors.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-ultr-'))
test.after(() => rmSync(root, { recursive: true }))

const golden = 'test/golden/ultr/files'
const frozen = JSON.parse(readFileSync(join(golden, 'case.json'), 'utf8'))
const part = join(golden, 'part-00001.gz')
const annotated = join(golden, 'annotation_data.txt')

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}
const plain = ({ qid, documents, ...rest }: UltrSession) => ({
  qid: Number(qid),
  ...rest,
  documents: documents.map(({ serpHeight, ...own }) => ({ ...own, serp_height: serpHeight })),
})

test('session and annotated files say what is frozen', async () => {
  assert.equal((await all(readSessions(part))).map(plain), frozen.sessions)
  const judged = await all(readAnnotated(annotated))
  assert.equal(
    judged.map(row => ({ ...row, qid: Number(row.qid) })),
    frozen.annotated,
  )
  const joined = frozen.sessions.slice(0, 2).flatMap((session: UltrSession) =>
    session.documents.slice(0, 2).map(document => {
      const { ids, segments } = joinTexts({ ...document, query: session.query }, { longest: 24 })
      return [ids, segments]
    }),
  )
  assert.equal(joined, frozen.joined)
})

test('files come back as they were written, in pieces and without gzip too', async () => {
  const sessions = await all(readSessions(part))
  const copy = join(root, 'part-copy.gz')
  await writeSessions(copy, readSessions(part))
  assert.equal(await all(readSessions(copy)), sessions)
  // The same lines as text, with Windows' line ends, a blank line and no end of the last one; and as two members of gzip.
  const text = gunzipSync(readFileSync(part)).toString()
  writeFileSync(join(root, 'plain'), `\r\n${text.trimEnd().replaceAll('\n', '\r\n')}`)
  assert.equal(await all(readSessions(join(root, 'plain'))), sessions)
  const half = text.indexOf('\n', text.length / 2) + 1
  writeFileSync(
    join(root, 'two.gz'),
    Buffer.concat([gzipSync(text.slice(0, half)), gzipSync(text.slice(half))]),
  )
  assert.equal(await all(readSessions(join(root, 'two.gz'))), sessions)
  await writeAnnotated(join(root, 'judged.txt'), await all(readAnnotated(annotated)))
  assert.equal(readFileSync(join(root, 'judged.txt'), 'utf8'), readFileSync(annotated, 'utf8'))
  // Lines that lie across the pieces that a file is read in.
  const world = ultrWorld({ sessions: 1_200, queries: 50, judged: 0, seed: 3 })
  await writeSessions(join(root, 'large.gz'), world.sessions)
  assert.equal(await all(readSessions(join(root, 'large.gz'))), world.sessions)
})

const lines = gunzipSync(readFileSync(part)).toString().trimEnd().split('\n')
type Change = (lines: string[]) => string[]
const field =
  (line: number, column: number, value: string): Change =>
  all =>
    all.map((text, i) => (i === line - 1 ? text.split('\t').with(column, value).join('\t') : text))
const OTHERS_TITLE = frozen.special.others_searched_title.join('\x01')

const bad: Record<string, [Change, RegExp]> = {
  'a document before its query': [
    all => all.slice(1),
    /: line 1: a document of 32 columns, '1\\x0996a3be.*', stands before any query, expected the session's line of 3 columns first$/,
  ],
  'a short line': [
    all => all.with(2, all[2]!.slice(0, all[2]!.lastIndexOf('\t'))),
    /: line 3 has 31 tab-separated columns, expected 3 \(qid, query, reformulation\) or 32 \(a document\): '2\\x09a2ef/,
  ],
  'a long line': [all => all.with(2, `${all[2]}\t-`), /: line 3 has 33 tab-separated columns/],
  'a very long line': [
    all => all.with(2, `${all[2]}${'\t-'.repeat(90)}`),
    /: line 3 has 122 tab-separated columns/,
  ],
  'a session line cut short': [all => all.with(0, '77\t5'), /: line 1 has 2 tab-separated columns/],
  'a session without documents': [
    all => ['5\t6\x017\t', ...all],
    /: line 1: the session of query 5 has no documents, expected their lines below it$/,
  ],
  'a last session without documents': [
    all => [...all, '5\t6\t'],
    new RegExp(`: line ${lines.length + 1}: the session of query 5 has no documents`),
  ],
  'a word for a click': [
    field(2, 5, 'yes'),
    /: line 2, column 5 \(click\): value 'yes', expected a whole number from 0 to 1$/,
  ],
  'two clicks': [field(2, 5, '2'), /line 2, column 5 \(click\): value '2'/],
  'a skip that is none': [field(4, 8, '-'), /line 4, column 8 \(skip\): value '-'/],
  'a word for seconds': [
    field(3, 16, '1,5'),
    /line 3, column 16 \(dwelling time\): value '1,5', expected a number$/,
  ],
  'negative seconds': [field(3, 16, '-2'), /column 16 \(dwelling time\): value '-2', expected seconds, at/],
  'nothing for a height': [field(3, 9, ''), /line 3, column 9 \(SERP height\): value '', expected a number$/],
  'no number in a column that no field comes of': [
    field(3, 24, 'NaN'),
    /line 3, column 24 \(displayed time bottom\): value 'NaN', expected a number, or a dash$/,
  ],
  'a medium that is no number': [field(2, 4, 'video'), /line 2, column 4 \(multimedia type\): value 'video'/],
  'place 0': [
    field(2, 0, '0'),
    /line 2, column 0 \(position\): value '0', expected a whole number from 1 to 30$/,
  ],
  'place 31': [field(9, 0, '31'), /line 9, column 0 \(position\): value '31', expected .* from 1 to 30$/],
  'a place that is no number': [field(2, 0, 'first'), /line 2, column 0 \(position\): value 'first'/],
  'a place twice': [
    field(4, 0, '2'),
    /line 4, column 0 \(position\): value '2', expected one above 2, the place of the line before/,
  ],
  'a lost session line': [
    all => all.filter((_, i) => i !== 9),
    /: line 10, column 0 \(position\): value '1', expected one above 8/,
  ],
  'a token that is none': [
    field(2, 2, '12\x01x\x013'),
    /line 2, column 2 \(title\): value '12\\x01x\\x013', expected token ids/,
  ],
  'an empty token': [field(2, 3, '12\x01\x013'), /line 2, column 3 \(abstract\): value '12\\x01\\x013'/],
  'a separator at the end': [field(1, 2, '12\x01'), /line 1, column 2 \(reformulation\): value '12\\x01'/],
  'a bad value in a line that is left out': [
    all => field(2, 16, 'long')(field(2, 2, OTHERS_TITLE)(all)),
    /line 2, column 16 \(dwelling time\): value 'long'/,
  ],
  'a query without tokens': [field(1, 1, ''), /line 1, column 1 \(query\): value '', expected token ids$/],
  'a query number that is none': [
    field(1, 0, '-5'),
    /line 1, column 0 \(qid\): value '-5', expected a whole number below 2\^63$/,
  ],
  'a query number that is too large': [field(1, 0, String(2n ** 63n)), /column 0 \(qid\): value '9223/],
  'another separator': [all => [all[0]!.replaceAll('\t', ' ')], /line 1 has 1 tab-separated columns/],
}
for (const [what, [change, says]] of Object.entries(bad))
  test(`a session file with ${what} is refused`, async () => {
    const path = join(root, 'bad.gz')
    writeFileSync(path, gzipSync(`${change(lines).join('\n')}\n`))
    await refused(all(readSessions(path)), says)
  })

async function refused(work: Promise<unknown>, says: RegExp): Promise<void> {
  const error = await work.then(
    () => assert.unreachable('it was taken'),
    error => error,
  )
  assert.instance(error, DataError)
  assert.match(error.message, says)
}

test('a file cut short anywhere is refused with its line, and so is one that is damaged or no gzip', async () => {
  const path = join(root, 'cut.gz')
  const bytes = readFileSync(part)
  for (const end of [3, 11, 300, 1500, bytes.length - 9, bytes.length - 4, bytes.length - 1]) {
    writeFileSync(path, bytes.subarray(0, end))
    await refused(all(readSessions(path)), /cut\.gz: line \d+: its gzip data is cut short; \d+ lines before/)
  }
  const wrong = Buffer.from(bytes)
  wrong[wrong.length - 6]! ^= 1
  writeFileSync(path, wrong)
  await refused(
    all(readSessions(path)),
    /cut\.gz: line \d+: its gzip data is damaged \(incorrect data check\)/,
  )
  writeFileSync(path, 'some text\n')
  await refused(all(readSessions(path)), /cut\.gz is no gzip file: it begins with bytes 115 111/)
  writeFileSync(path, gzipSync(''))
  await refused(all(readSessions(path)), /cut\.gz has no lines, expected sessions$/)
  writeFileSync(path, '')
  await refused(all(readSessions(path)), /cut\.gz is empty, expected lines$/)
  await refused(all(readSessions(join(root, 'none.gz'))), /^cannot read .*none\.gz: no such file or folder$/)
})

test('an annotated file that cannot be is refused', async () => {
  const text = readFileSync(annotated, 'utf8').trimEnd().split('\n')
  const cases: [Change, RegExp][] = [
    [field(2, 4, '5'), /: line 2, column 4 \(label\): value '5', expected a whole number from 0 to 4$/],
    [field(2, 4, '-1'), /: line 2, column 4 \(label\): value '-1'/],
    [field(3, 5, '10'), /: line 3, column 5 \(bucket\): value '10', expected a whole number from 0 to 9$/],
    [field(3, 1, ''), /: line 3, column 1 \(query\): value ''/],
    [rows => rows.with(1, rows[1]!.slice(0, -2)), /: line 2 has 5 tab-separated columns, expected 6 \(qid, /],
  ]
  for (const [change, says] of cases) {
    writeFileSync(join(root, 'bad.txt'), change(text).join('\n'))
    await refused(all(readAnnotated(join(root, 'bad.txt'))), says)
  }
})

test('what the format has no room for is not written', async () => {
  const [session] = (await all(readSessions(part))) as [UltrSession]
  const document = session.documents[0]!
  const path = join(root, 'unwritten.gz')
  const cases: [Partial<UltrSession>, RegExp][] = [
    [{ query: [] }, /session 0: query has 0 tokens, expected at least 1/],
    [{ query: [1.5] }, /session 0: query has token 1\.5/],
    [{ documents: [document, document] }, /document 1: position is 1, expected a whole number from 2 to 30/],
    [{ documents: [{ ...document, position: 31 }] }, /document 0: position is 31/],
    [{ documents: [{ ...document, click: 2 }] }, /document 0: click is 2, expected 0 or 1/],
    [{ documents: [{ ...document, dwell: -1 }] }, /document 0: dwell is -1, expected seconds/],
    [{ documents: [{ ...document, url: 'a\tb' }] }, /document 0: url is /],
    [{ documents: [{ ...document, title: [21429] }] }, /document 0: title is \[21429\]/],
  ]
  for (const [change, says] of cases) await refused(writeSessions(path, [{ ...session, ...change }]), says)
  assert.not(readdirSync(root).includes('unwritten.gz'))
  const [row] = (await all(readAnnotated(annotated))) as [UltrAnnotated]
  await refused(
    writeAnnotated(join(root, 'x.txt'), [{ ...row, label: 5 }]),
    /row 0: label is 5, expected 0 to/,
  )
})

test('a world has the truth that its files show, and the same seed gives it again', async () => {
  const folder = join(root, 'world')
  const world = await writeUltrWorld({ folder, sessions: 1_500, queries: 60, judged: 30, seed: 5 })
  assert.equal(readdirSync(folder), ['annotation_data.txt', 'part-00000.gz'])
  assert.equal(await all(readSessions(join(folder, 'part-00000.gz'))), world.sessions)
  assert.equal(await all(readAnnotated(join(folder, 'annotation_data.txt'))), world.annotated)
  assert.equal(ultrWorld({ sessions: 1_500, queries: 60, judged: 30, seed: 5 }), world)
  const documents = world.sessions.flatMap(session => session.documents)
  assert.is(documents.length, world.clickProbability.length)
  // Clicks are what the truth says, within four standard deviations; and they fall with the place.
  const expected = world.clickProbability.reduce((sum, p) => sum + p, 0)
  const variance = world.clickProbability.reduce((sum, p) => sum + p * (1 - p), 0)
  const clicks = documents.reduce((sum, { click }) => sum + click, 0)
  assert.ok(Math.abs(clicks - expected) < 4 * Math.sqrt(variance), `${clicks} clicks, ${expected} expected`)
  const rate = (place: number) => {
    const there = documents.filter(({ position }) => position === place)
    return there.reduce((sum, { click }) => sum + click, 0) / there.length
  }
  assert.ok(rate(1) > 1.5 * rate(3) && rate(3) > 1.5 * rate(10))
  assert.ok(documents.every(({ click, skip, dwell }) => (click ? skip === 0 && dwell > 0 : dwell === 0)))
  // The old ranker has little to do with relevance, so the first place is not the best document's.
  const grades = [0, 1, 2, 3, 4].map(label => world.annotated.filter(row => row.label === label).length)
  assert.ok(
    grades.every(count => count > 20),
    String(grades),
  )
  assert.throws(() => ultrWorld({ shown: 31 }), /shown is 31, expected a whole number from 1 to 30/)
  assert.throws(() => ultrWorld({ candidates: 5 }), /shown is 10, expected at most 5/)
  assert.throws(
    () => ultrWorld({ propensities: [1, 0.5] }),
    /propensities is \[1, 0\.5\], expected 10 numbers/,
  )
})

test('preprocessing gives a row a document, queries on one side, and says what it made', async () => {
  const input = join(root, 'world')
  const output = join(root, 'made')
  const made = await preprocessUltr({ input, output, seed: 1, testShare: 0.3 })
  const world = ultrWorld({ sessions: 1_500, queries: 60, judged: 30, seed: 5 })
  const names = 'list qid position query title abstract click label skip dwell media serp_height'.split(' ')
  const [train, heldOut] = [await readColumns(made.train, names), await readColumns(made.test, names)]
  assert.equal(
    [train.list!.length, heldOut.list!.length],
    [made.features.rows.train, made.features.rows.test],
  )
  assert.is(made.sessions.train + made.sessions.test, 1_500)
  // Every row, wherever it went.
  const seen = new Map<number, number>()
  for (const file of [train, heldOut])
    for (let row = 0; row < file.list!.length; row++) {
      const list = Number(file.list![row])
      const at = seen.get(list) ?? 0
      seen.set(list, at + 1)
      const session = world.sessions[list]!
      const document = session.documents[at]!
      const ids = (name: string) => Array.from(file[name]![row] as ArrayLike<bigint>, id => Number(id) - 10)
      assert.equal(
        [ids('query'), ids('title'), ids('abstract')],
        [session.query, document.title, document.abstract],
      )
      const number = (name: string) => Number(file[name]![row])
      assert.equal(
        ['qid', 'position', 'click', 'label', 'skip', 'dwell', 'media', 'serp_height'].map(number),
        [
          Number(session.qid),
          document.position - 1,
          document.click,
          document.click,
          document.skip,
          document.dwell,
          document.media,
          document.serpHeight,
        ],
      )
    }
  assert.is(seen.size, 1_500)
  const sides = [train, heldOut].map(file => new Set(file.qid!.map(Number)))
  assert.ok(sides[1]!.size > 5 && [...sides[1]!].every(qid => !sides[0]!.has(qid)))
  const judged = await readColumns(made.annotated!, ['list', 'label', 'bucket', 'frequency'])
  assert.equal(
    judged.label!.map(Number),
    world.annotated.map(row => row.label),
  )
  assert.equal(
    judged.list!.map(Number),
    world.annotated.map(row => row.list),
  )
  assert.equal(
    judged.frequency!.map(String),
    world.annotated.map(({ bucket }) => (bucket < 3 ? 'high' : bucket < 7 ? 'middle' : 'tail')),
  )
  assert.is(JSON.parse(readFileSync(made.featuresFile, 'utf8')).vocab_size, 22_000)
})

test('what fails in preprocessing leaves the older result as it was', async () => {
  const input = join(root, 'broken')
  const output = join(root, 'made')
  mkdirSync(input)
  const before = readdirSync(output).map(name => readFileSync(join(output, name)))
  await refused(preprocessUltr({ input, output }), /broken has no session files, expected part-\*\.gz$/)
  writeFileSync(join(input, 'part-00001.gz'), readFileSync(part))
  await refused(
    preprocessUltr({ input, output }),
    /annotated\.parquet is there, and .* has no annotated file/,
  )
  writeFileSync(join(input, 'annotation_data.txt'), readFileSync(annotated))
  writeFileSync(join(input, 'part-00002.gz'), readFileSync(part).subarray(0, 900))
  await refused(preprocessUltr({ input, output }), /part-00002\.gz: line \d+: its gzip data is cut short/)
  writeFileSync(join(input, 'part-00002.gz'), gzipSync(field(2, 2, '21990')(lines).join('\n')))
  await refused(
    preprocessUltr({ input, output }),
    /part-00002\.gz: session of query 990743011134, place 1, title: token 21990, expected one below 21990/,
  )
  assert.equal(
    readdirSync(output).map(name => readFileSync(join(output, name))),
    before,
  )
})

test.run()
