// What Node keeps in the user's cache folder.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readCache, writeCache } from '../../src/gpu/platform-node.ts'

const base = mkdtempSync(join(tmpdir(), 'kernelgrad-cache-'))
const before = process.env.XDG_CACHE_HOME
process.env.XDG_CACHE_HOME = base

test('a cache file is written whole, and a write that fails leaves nothing behind', async () => {
  const folder = join(base, 'kernelgrad')
  assert.is(await writeCache('a.json', 'text'), join(folder, 'a.json'))
  assert.is(readCache('a.json'), 'text')
  mkdirSync(join(folder, 'b.json')) // a file cannot take a folder's name
  const refused = await writeCache('b.json', 'text').catch((error: Error) => error.message)
  assert.match(refused, /EISDIR|EEXIST|ENOTEMPTY/)
  assert.equal(readdirSync(folder).sort(), ['a.json', 'b.json'])
  assert.is(readFileSync(join(folder, 'a.json'), 'utf8'), 'text')
})

test.after(() => {
  rmSync(base, { recursive: true })
  if (before === undefined) delete process.env.XDG_CACHE_HOME
  else process.env.XDG_CACHE_HOME = before
})
test.run()
