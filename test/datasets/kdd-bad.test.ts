// Raw files that cannot be: each refusal names file, line, column and value, and leaves the output folder alone.
// Waits for CI: it starts DuckDB dozens of times
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkRawFile } from '../../src/datasets/kdd/check.ts'
import { preprocessKdd } from '../../src/datasets/kdd/index.ts'
import { QUERIES } from '../../src/datasets/kdd/raw-files.ts'
import { DataError } from '../../src/errors.ts'
import { writeOddRaw } from './kdd-oracle.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-kdd-bad-'))
test.after(() => rmSync(root, { recursive: true }))
const good = join(root, 'good')
writeOddRaw(good, 4, 400)

/** A change to one raw file: its text, or one field of one line (counted from 1). */
type Change = (lines: string[]) => string[]
const field =
  (line: number, column: number, value: string): Change =>
  lines =>
    lines.map((text, i) => (i === line - 1 ? text.split('\t').with(column, value).join('\t') : text))
const line =
  (number: number, change: (text: string) => string): Change =>
  lines =>
    lines.map((text, i) => (i === number - 1 ? change(text) : text))

const cases: Record<string, [file: string, change: Change | undefined, says: RegExp]> = {
  'a missing file': [
    'userid_profile.txt',
    undefined,
    /^cannot read .*userid_profile\.txt: no such file or folder$/,
  ],
  'an empty file': ['training.txt', () => [], /training\.txt has no rows$/],
  'a column too few': [
    'training.txt',
    line(7, text => text.slice(0, text.lastIndexOf('\t'))),
    /training\.txt: line 7 has 11 tab-separated columns, expected 12 \(click, impression, .*user_id\): '\d+\t/,
  ],
  'a column too many': [
    'queryid_tokensid.txt',
    line(110, text => `${text}\t`),
    /queryid_tokensid\.txt: line 110 has 3 tab-separated columns, expected 2 \(query_id, tokens\)/,
  ],
  'a word': [
    'training.txt',
    field(12, 9, 'abc'),
    /training\.txt: line 12, column title_id: value 'abc', expected a whole number below 2\^63$/,
  ],
  'a fraction': [
    'training.txt',
    field(1, 5, '1.5'),
    /line 1, column depth: value '1\.5', expected .* or nothing$/,
  ],
  'a negative number': [
    'userid_profile.txt',
    field(3, 1, '-1'),
    /line 3, column gender: value '-1', expected/,
  ],
  'an underscore': ['training.txt', field(2, 0, '1_0'), /line 2, column click: value '1_0'/],
  'a space': ['training.txt', field(2, 3, ' 5'), /line 2, column ad_id: value ' 5'/],
  'nothing where a number must be': [
    'training.txt',
    field(400, 7, ''),
    /line 400, column query_id: value ''/,
  ],
  'a number past 2^63': [
    'training.txt',
    field(9, 11, '9223372036854775808'),
    /line 9, column user_id: value '9223372036854775808', expected a whole number below 2\^63, or nothing$/,
  ],
  'a hash past 2^64': [
    'training.txt',
    field(9, 2, '18446744073709551616'),
    /line 9, column display_url: value '18446744073709551616', expected a whole number below 2\^64$/,
  ],
  'a bar at the end': [
    'titleid_tokensid.txt',
    field(5, 1, '12|7|'),
    /titleid_tokensid\.txt: line 5, column tokens: value '12\|7\|', expected token numbers joined by '\|'$/,
  ],
  'two bars': ['titleid_tokensid.txt', field(5, 1, '12||7'), /line 5, column tokens: value '12\|\|7'/],
  'no tokens': ['titleid_tokensid.txt', field(5, 1, ''), /line 5, column tokens: value ''/],
  'a bar in a number': ['titleid_tokensid.txt', field(6, 0, '1|2'), /line 6, column title_id: value '1\|2'/],
  'a carriage return within a line': [
    'training.txt',
    field(3, 0, '1\r'),
    /line 3, column click: value '1\\r'/,
  ],
  'a byte order mark': ['training.txt', field(1, 0, '\uFEFF1'), /line 1, column click: value '\uFEFF1'/],
  'an id on two lines': [
    'titleid_tokensid.txt',
    lines => lines.with(29, lines[3]!.replace('\t', '\t9|')),
    /titleid_tokensid\.txt: lines 4 and 30 have the same title_id 24, expected one line each$/,
  ],
  'a user on two lines': [
    'userid_profile.txt',
    lines => [...lines.filter(Boolean), lines[0]!, ''],
    /userid_profile\.txt: lines 1 and 51 have the same user_id 3, expected one line each$/,
  ],
  'no title known': [
    'titleid_tokensid.txt',
    lines => lines.map(text => text.replace(/^\d+/, id => String(Number(id) + 1))),
    /titleid_tokensid\.txt has none of the texts that training\.txt names, such as title_id \d+$/,
  ],
  'no row with both texts': [
    'training.txt',
    lines =>
      lines.filter(Boolean).map((text, i) =>
        text
          .split('\t')
          .with(i % 2 ? 7 : 9, '1')
          .join('\t'),
      ),
    /^no row of .*training\.txt has both its title_id in titleid_tokensid\.txt and its query_id in queryid_tokensid\.txt$/,
  ],
  'no click': [
    'training.txt',
    lines => lines.map(text => text.replace(/^\d+/, '0')),
    /^0 of \d+ rows have a click, expected at least 2 rows with and 2 without for a split by label$/,
  ],
  'no token often enough': [
    'titleid_tokensid.txt',
    lines => lines.map((text, i) => text.replace(/\t.*/, `\t${i}`)),
    /titleid_tokensid\.txt and queryid_tokensid\.txt: none of the tokens of 200 texts is in at least 10 and at most half/,
  ],
}

let count = 0
for (const [name, [file, change, says]] of Object.entries(cases)) {
  test(`raw files: ${name}`, async () => {
    const input = join(root, String(count++))
    cpSync(good, input, { recursive: true })
    const path = join(input, file)
    if (change) writeFileSync(path, change(readFileSync(path, 'utf8').split('\n')).join('\n'))
    else rmSync(path)
    if (name === 'no token often enough')
      writeFileSync(
        join(input, QUERIES.name),
        Array.from({ length: 110 }, (_, i) => `${i * 7 + 3}\t${i}\n`).join(''),
      )
    const output = join(input, 'out')
    let failed: unknown
    await preprocessKdd({ input, output }).catch(error => {
      failed = error
    })
    assert.instance(failed, DataError)
    assert.match((failed as Error).message, says)
    assert.not(
      readdirSync(input).includes('out') && readdirSync(output).length > 0,
      'something was left behind',
    )
  })
}

test('a file that gzip packed, whole or cut short, is told as one', async () => {
  const packed = gzipSync(readFileSync(join(good, 'training.txt')))
  for (const [name, bytes] of Object.entries({ whole: packed, cut: packed.subarray(0, 300) })) {
    const input = join(root, `packed-${name}`)
    cpSync(good, input, { recursive: true })
    writeFileSync(join(input, 'training.txt'), bytes)
    const failed = await preprocessKdd({ input, output: join(input, 'out') }).catch(error => error)
    assert.instance(failed, DataError)
    assert.match(failed.message, /training\.txt: line 1: the file is packed by gzip, expected its text/)
    assert.equal(readdirSync(input).includes('out') ? readdirSync(join(input, 'out')) : [], [])
  }
})

test('lines are found across the edges of what is read at once', async () => {
  const path = join(root, 'long.txt')
  // Several buffers of lines of uneven length; the fault stands in the last line, which has no newline.
  const lines = Array.from({ length: 700_000 }, (_, i) => `${i}\t${'7|'.repeat(i % 9)}${i}`)
  writeFileSync(path, `${lines.join('\n')}\n`)
  assert.equal(await checkRawFile(path, QUERIES), { rows: 700_000, plain: true })
  assert.equal(await checkRawFile(path, QUERIES, { rows: 650_001 }), { rows: 650_001, plain: false })
  writeFileSync(path, `${lines.join('\n')}\n\n1\t2|`)
  assert.is((await checkRawFile(path, QUERIES, { rows: 700_000 })).rows, 700_000)
  let failed: unknown
  await checkRawFile(path, QUERIES).catch(error => {
    failed = error
  })
  assert.match((failed as Error).message, /long\.txt: line 700002, column tokens: value '2\|'/)
  writeFileSync(path, `1\t${'1|'.repeat(700_000)}1\n`)
  await checkRawFile(path, QUERIES).catch(error => {
    failed = error
  })
  assert.match((failed as Error).message, /long\.txt: line 1 is longer than 1048576 bytes/)
})

test('an output that is in the way is refused before the work', async () => {
  for (const [output, says] of [
    [join(good, 'training.txt'), /^cannot write into .*training\.txt: /],
    [join(root, 'taken'), /^cannot write into .*taken: train\.parquet is a folder$/],
  ] as const) {
    if (output.endsWith('taken')) cpSync(good, join(output, 'train.parquet'), { recursive: true })
    let failed: unknown
    await preprocessKdd({ input: good, output }).catch(error => {
      failed = error
    })
    assert.instance(failed, DataError)
    assert.match((failed as Error).message, says)
  }
})

test('without DuckDB the command that installs it is named', () => {
  const hook = `export function resolve(name, context, next) {
    if (name === '@duckdb/node-api') throw Object.assign(new Error("Cannot find package '@duckdb/node-api'"), { code: 'ERR_MODULE_NOT_FOUND' })
    return next(name, context)
  }`
  const url = (text: string) => `data:text/javascript,${encodeURIComponent(text)}`
  const register = `import { register } from 'node:module'; register(${JSON.stringify(url(hook))})`
  const args = [
    '--import',
    url(register),
    'bin/kernelgrad.js',
    'preprocess',
    good,
    '--out',
    join(root, 'none'),
  ]
  // Later versions of Node remark on how this test hides the package.
  const env = { ...process.env, NODE_NO_WARNINGS: '1' }
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  assert.is(
    stderr,
    "error: preprocessing needs DuckDB, which cannot be loaded (Cannot find package '@duckdb/node-api'); " +
      'install it with: npm install @duckdb/node-api\n',
  )
  assert.is(status, 1)
  assert.equal(readdirSync(join(root, 'none')), [])
})

test.run()
