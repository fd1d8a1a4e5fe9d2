// A browser's file system: checkpoints through workers that end at any moment. No device is needed.
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sha256 } from '../../src/data/sha256.ts'
import { uniform } from '../../src/testing/index.ts'
import { bundleForBrowser } from '../support/bundle.ts'
import { launchChromium } from '../support/chromium.ts'
import { generator } from '../support/gpu.ts'
import { serve } from '../support/serve.ts'

test('SHA-256 in pieces is that of Node', () => {
  const bytes = new Uint8Array(uniform(500, 3).buffer)
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1999]) {
    const data = bytes.subarray(0, length)
    const expected = createHash('sha256').update(data).digest('hex')
    for (const piece of [1, 7, 64, 100, 2000]) {
      const hash = sha256()
      for (let at = 0; at < length; at += piece) hash.update(data.subarray(at, Math.min(at + piece, length)))
      assert.is(hash.digest('hex'), expected, `${length} bytes, ${piece} at once`)
    }
  }
})

const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: files in a browser: ${browser}`)
const inBrowser = typeof browser === 'string' ? test.skip : test
const scripts = await bundleForBrowser({
  saver: fileURLToPath(new URL('../support/save-worker.js', import.meta.url)),
  page: fileURLToPath(new URL('../support/files-page.js', import.meta.url)),
})
const served = await serve(path => (path === '/' ? '<!doctype html><title>files</title>' : scripts.get(path)))
test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  served.close()
})

const KILLS = 40
const KEPT = 2

inBrowser(
  `${KILLS} workers ended at random moments leave every checkpoint whole, and lose none`,
  async () => {
    if (typeof browser === 'string') return
    const page = await browser.newPage()
    await page.goto(served.url)
    /** Lets a worker save for a while, from its first save on, and gives what it told. */
    const killAfter = (milliseconds: number) =>
      page.evaluate(
        ({ milliseconds, kept }) =>
          new Promise<string>(resolve => {
            const worker = new Worker('/saver.js', { type: 'module' })
            let told = ''
            let waiting = true
            const end = () => {
              worker.terminate()
              resolve(told)
            }
            worker.onerror = ({ message }) => resolve(`failed: ${message}`)
            worker.onmessage = ({ data }) => {
              told += data
              if (told.includes('failed')) end()
              else if (waiting && told.includes('saving')) {
                waiting = false
                setTimeout(end, milliseconds)
              }
            }
            worker.postMessage({ output: 'saves/run', kept })
          }),
        { milliseconds, kept: KEPT },
      )
    const names = () =>
      page.evaluate(async () => {
        const root = await navigator.storage.getDirectory()
        const run = await (await root.getDirectoryHandle('saves')).getDirectoryHandle('run')
        const all: string[] = []
        for await (const name of run.keys()) all.push(name)
        return all
      })
    const random = generator(1)
    let [saved, half] = [0, 0]
    for (let kill = 0; kill < KILLS; kill++) {
      const told = await killAfter(random() * 120)
      assert.not.match(told, 'failed')
      const found = /^found (.*)$/m.exec(told)![1]!.split(',').filter(Boolean).map(Number)
      assert.ok((found.at(-1) ?? 0) >= saved, `step ${saved} was saved, found ${found}`)
      if (saved >= KEPT) assert.ok(found.length >= KEPT, 'an older one is there too')
      saved = Math.max(saved, ...[...told.matchAll(/^saved (\d+)$/gm)].map(([, step]) => Number(step)))
      const left = await names()
      if (left.some(name => name.endsWith('.tmp'))) half++
      assert.ok(left.filter(name => name.endsWith('.tmp')).length <= 1, left.join())
    }
    // The test means something only if workers were ended while they saved, and saved between.
    assert.ok(half > KILLS / 4, `${half} of ${KILLS} left something half written`)
    assert.ok(saved > KEPT, `${saved} steps saved`)
    await page.close()
  },
)

inBrowser('a page without a worker writes, replaces, reads and removes', async () => {
  if (typeof browser === 'string') return
  const page = await browser.newPage()
  await page.goto(served.url)
  const seen = await page.evaluate(`import('/page.js').then(({ useFiles }) => useFiles())`)
  assert.equal(seen, {
    joined: ['a/b/c', '/a/c', 'a', 'b.txt', ''],
    stat: [
      { size: 7, isFolder: false },
      { size: 0, isFolder: true },
    ],
    text: 'second\n',
    names: ['b.txt', 'sub'],
    missing: 'ConfigError: cannot read a/none.json: no such file or folder',
    folder:
      'ConfigError: cannot read a/sub: it, or a part of its path, is a file where a folder is expected, or a folder for a file',
    below:
      'DataError: cannot write a/b.txt/c: it, or a part of its path, is a file where a folder is expected, or a folder for a file',
    failed: 'Error: power cut',
    after: ['sub'],
  })
  await page.close()
})

test.run()
