// A browser's file system: checkpoints through workers that end at any moment. No device is needed.
// Waits for CI: it ends workers of a browser
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sha256 } from '../../src/data/sha256.ts'
import { uniform } from '../../src/testing/index.ts'
import { bundleForBrowser } from '../support/bundle.ts'
import { launchChromium } from '../support/chromium.ts'
import { generator } from '../support/gpu.ts'
import type { Attempted } from '../support/held-files.ts'
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
  held: fileURLToPath(new URL('../support/held-files.js', import.meta.url)),
  'held-worker': fileURLToPath(new URL('../support/held-worker.js', import.meta.url)),
})
const served = await serve(path => (path === '/' ? '<!doctype html><title>files</title>' : scripts.get(path)))
test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  served.close()
})

const KILLS = 40
const KEPT = 2

inBrowser(`${KILLS} workers ended in the middle leave every checkpoint whole, and lose none`, async () => {
  if (typeof browser === 'string') return
  const page = await browser.newPage()
  await page.goto(served.url)
  /** Lets a worker save up to one of its file operations, and gives what it told. */
  const killAt = (stopAt: number, after: boolean) =>
    page.evaluate(
      orders =>
        new Promise<string>(resolve => {
          const worker = new Worker('/saver.js', { type: 'module' })
          let told = ''
          worker.onerror = ({ message }) => resolve(`failed: ${message}`)
          worker.onmessage = ({ data }) => {
            if (data !== 'stopped') told += data
            if (data !== 'stopped' && !told.includes('failed')) return
            worker.terminate()
            resolve(told)
          }
          worker.postMessage(orders)
        }),
      { output: 'saves/run', kept: KEPT, stopAt, after },
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
  let [saved, half, before] = [0, 0, 0]
  for (let kill = 0; kill < KILLS; kill++) {
    // The first two save in peace, so that there is something to lose.
    const told = await killAt(kill < 2 ? 900 : 1 + Math.floor(random() * 450), kill % 2 === 1)
    assert.not.match(told, 'failed')
    // One that was ended while it still looked at what is there told nothing.
    const found = /^found (.*)$/m.exec(told)?.[1]?.split(',').filter(Boolean).map(Number)
    if (!found) before++
    else {
      assert.ok((found.at(-1) ?? 0) >= saved, `step ${saved} was saved, found ${found}`)
      if (saved >= KEPT) assert.ok(found.length >= KEPT, 'an older one is there too')
    }
    saved = Math.max(saved, ...[...told.matchAll(/^saved (\d+)$/gm)].map(([, step]) => Number(step)))
    const left = (await names()).filter(name => name.endsWith('.tmp'))
    if (left.some(name => name.startsWith('checkpoint-'))) half++
    assert.ok(left.length <= 2, left.join())
  }
  // The test means something only if workers were ended at all of these moments.
  assert.ok(half > KILLS / 4, `${half} of ${KILLS} left something half written`)
  assert.ok(before > 1, `${before} of ${KILLS} were ended before they saved`)
  assert.ok(saved > KEPT, `${saved} steps saved`)
  await page.close()
})

/** Does an operation on a file that a worker holds, in another worker or in the page; the holder stays or is ended meanwhile. */
const meetHeld = (page: Page, operation: string, where: 'worker' | 'page', stays: boolean) =>
  page.evaluate<Attempted>(
    `import('/held.js').then(held => held.meetHeld(${JSON.stringify({ operation, where, stays })}))`,
  )

inBrowser('a file that an ending worker still holds is waited for, whatever is done with it', async () => {
  if (typeof browser === 'string') return
  const page = await browser.newPage()
  await page.goto(served.url)
  const operations: string[] = await page.evaluate(`import('/held.js').then(held => held.prepareHeld())`)
  assert.is(operations.length, 10)
  for (const where of ['worker', 'page'] as const)
    for (const operation of operations) {
      const { error, pauses } = await meetHeld(page, operation, where, false)
      assert.is(error, 'none', `${operation} in a ${where}`)
      assert.is(pauses[0], 5, `${operation} in a ${where} meets the holder`)
    }
  await page.close()
})

inBrowser('a folder has one writer: another is told so, and has it once the first has ended', async () => {
  if (typeof browser === 'string') return
  const page = await browser.newPage()
  await page.goto(served.url)
  const met = await page.evaluate(`import('/held.js').then(held => held.meetLock())`)
  assert.equal(met, {
    refused:
      'FolderInUseError: held is in use: another tab or worker of this site writes into it; wait until it has ended, or name another folder',
    taken: 2,
  })
  await page.close()
})

inBrowser('a file that is held for good is reported, after seconds of pauses that grow', async () => {
  if (typeof browser === 'string') return
  const page = await browser.newPage()
  await page.goto(served.url)
  for (const [operation, said] of [
    ['create', /^NoModificationAllowedError/],
    ['remove its folder', /^NoModificationAllowedError/],
    [
      'writeFileAtomic',
      /^DataError: cannot write held\/folder\/file: it is in use, in another tab or worker$/,
    ],
    ['writeFolder', /^CheckpointError: cannot write held\/folder: it is in use, in another tab or worker$/],
  ] as const) {
    const { error, pauses } = await meetHeld(page, operation, 'worker', true)
    assert.match(error, said)
    assert.ok(
      pauses.every((pause, i) => i === 0 || pause >= pauses[i - 1]!),
      pauses.join(),
    )
    const seconds = pauses.reduce((sum, pause) => sum + pause, 0) / 1000
    assert.ok(seconds >= 10 && seconds < 12, `${operation}: ${seconds} s of pauses`)
  }
  await page.close()
})

inBrowser('a page without a worker writes, replaces, reads and removes', async () => {
  if (typeof browser === 'string') return
  const page = await browser.newPage()
  await page.goto(served.url)
  const seen = await page.evaluate(`import('/page.js').then(({ useFiles }) => useFiles())`)
  assert.equal(seen, {
    joined: ['a/b/c', '/a/c', 'a', 'b.txt', ''],
    stat: [
      { size: 7, isFolder: false, dated: true },
      { size: 0, isFolder: true, dated: false },
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
