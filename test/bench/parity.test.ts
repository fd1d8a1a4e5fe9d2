// Waits for CI: it trains every frozen case
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PARITY } from '../../bench/parity/command.ts'
import { captured } from '../cli/capture.ts'

const parity = (...args: string[]) => captured([PARITY], ['parity', ...args])
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-parity-'))
const CASES = ['adamw', 'metrics', 'nomlp', 'optim', 'textonly', 'tiny', 'tiny_empty_row', 'trainer']
/** Cases that stand in a folder of their family. */
const FAMILIES = ['distill/student', 'twin/cosine']

test('every small case agrees with PyTorch within its bound', async () => {
  for (const name of [...CASES, ...FAMILIES])
    cpSync(`test/golden/${name}`, join(folder, 'all', name), { recursive: true })
  const { code, out } = await parity(join(folder, 'all'))
  assert.is(code, 0, out)
  for (const name of [...CASES, ...FAMILIES]) assert.match(out, new RegExp(`^${name}/`, 'm'))
  assert.match(out.trimEnd().split('\n').at(-1)!, /^parity: 54 of 54 within their bounds$/)
})

test('a wrong value is found, named and fails', async () => {
  const path = join(folder, 'wrong')
  cpSync('test/golden/nomlp', path, { recursive: true })
  const record = JSON.parse(readFileSync(join(path, 'case.json'), 'utf8'))
  record.losses[3] *= 1.001
  writeFileSync(join(path, 'case.json'), JSON.stringify(record))
  const { code, out } = await parity(path)
  assert.is(code, 1)
  assert.match(out, /losses +1\.0e-3 +1e-4 +FAIL +step 4/)
})

test('a folder without cases is refused', async () => {
  for (const [path, message] of [
    [join(folder, 'nothing'), /cannot read .*nothing/],
    ['src', /src holds no case folder/],
  ] as const) {
    const { code, err } = await parity(path)
    assert.is(code, 1)
    assert.match(err, message)
  }
})

test.after(() => rmSync(folder, { recursive: true }))
test.run()
