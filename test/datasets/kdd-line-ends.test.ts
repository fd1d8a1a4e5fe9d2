// Raw files whose lines end as they like give the very files that plain ones give, or are refused by file and line.
// Waits for CI: it starts DuckDB dozens of times
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { preprocessKdd } from '../../src/datasets/kdd/index.ts'
import { DataError } from '../../src/errors.ts'
import { generator } from '../support/gpu.ts'
import { writeOddRaw } from './kdd-oracle.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-kdd-ends-'))
test.after(() => rmSync(root, { recursive: true }))
const good = join(root, 'good')
writeOddRaw(good, 4, 400)
const names = readdirSync(good)
const ROWS = 300
const results = ['train.parquet', 'test.parquet', 'features.json']

/** Copies of the raw files, each changed. */
function raw(name: string, change: (lines: string[], file: string) => string): string {
  const folder = join(root, name)
  mkdirSync(folder)
  for (const file of names) {
    const lines = readFileSync(join(good, file), 'utf8').split('\n').filter(Boolean)
    writeFileSync(join(folder, file), change(lines, file))
  }
  return folder
}

const next = generator(7)
const drawn = (...ends: string[]) => ends[Math.floor(next() * ends.length)]!
const odd: Record<string, (lines: string[], file: string) => string> = {
  CRLF: lines => lines.map(line => `${line}\r\n`).join(''),
  'LF and CRLF, drawn line by line': lines => lines.map(line => line + drawn('\n', '\r\n')).join(''),
  'blank lines among them': lines =>
    lines.map(line => line + drawn('\n', '\r\n\r\n', '\n\n', '\n\r\n')).join(''),
  'one CRLF at the very end': lines => `${lines.join('\n')}\r\n`,
  'one LF at the very end': lines => `${lines.join('\r\n')}\n`,
  'no end of the last line': lines => lines.join('\r\n'),
  'a bare return behind the last line': lines => `${lines.join('\n')}\r`,
  'anything behind the rows that are wanted': (lines, file) =>
    file === 'training.txt'
      ? `${lines.slice(0, ROWS).join('\n')}\n\0\xff,"\r${'x'.repeat(3_000_000)}\r\n`
      : lines.join('\n'),
}

const options = { rows: ROWS, seed: 3 }
const expected = new Map<string, Buffer>()
test('plain files', async () => {
  const output = join(root, 'plain-out')
  await preprocessKdd({ input: good, output, ...options })
  for (const name of results) expected.set(name, readFileSync(join(output, name)))
})

for (const [name, change] of Object.entries(odd)) {
  test(`raw files with ${name}`, async () => {
    const output = join(root, `${name}-out`)
    await preprocessKdd({ input: raw(name, change), output, ...options })
    assert.equal(readdirSync(output).sort(), [...results].sort(), 'nothing else is left')
    for (const file of results)
      assert.ok(readFileSync(join(output, file)).equals(expected.get(file)!), `${file} is another`)
  })
}

const bad: Record<string, [change: (lines: string[]) => string, says: RegExp]> = {
  'returns alone': [
    lines => lines.join('\r'),
    /: line 1 has \d+ tab-separated columns, .*; a carriage return without a newline behind it ends no line$/,
  ],
  'one return within a line': [
    lines => lines.join('\n').replace('\n', '\r'),
    /: line 1 .*; a carriage return without a newline behind it ends no line$/,
  ],
  'two returns before a newline': [
    lines => lines.join('\r\r\n'),
    /: line 1, column .* a carriage return without/,
  ],
  'a zero byte': [
    lines => lines.join('\n').replace('\n', '\0\n'),
    /: line 1, column \w+: value '\d+(\|\d+)*\\u0000'/,
  ],
  'bytes that are no UTF-8': [
    lines => lines.join('\n').replace('\n', '\u00ff\n'),
    /: line 1, column \w+: value /,
  ],
  'a line without end': [
    lines => `${lines.join('\n')}${'7'.repeat(1 << 20)}`,
    /: line \d+ is longer than 1048576 bytes$/,
  ],
}
for (const [name, [change, says]] of Object.entries(bad)) {
  test(`refused: ${name}`, async () => {
    for (const file of names) {
      const input = raw(`${name} ${file}`, (lines, other) =>
        other === file ? change(lines) : lines.join('\n'),
      )
      let failed: unknown
      await preprocessKdd({ input, output: join(input, 'out') }).catch(error => {
        failed = error
      })
      assert.instance(failed, DataError, file)
      assert.match((failed as Error).message, says)
      assert.ok((failed as Error).message.includes(file), file)
    }
  })
}

test.run()
