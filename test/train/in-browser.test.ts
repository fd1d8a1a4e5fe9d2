// The same build in a real browser: it trains in a worker on the browser's own SwiftShader, its checkpoints lie in the site's
// private file system, and both runs and models go on where they came from or elsewhere.
// Waits for CI: it trains in a browser

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadDataset } from '../../src/data/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { readOptions } from '../../src/models/index.ts'
import { damageOf } from '../../src/train/checkpoint-folder.ts'
import { loadModel, predict } from '../../src/train/index.ts'
import { type Job, type Outcome, run } from '../support/browser-run.ts'
import { bundleForBrowser } from '../support/bundle.ts'
import { launchChromium } from '../support/chromium.ts'
import { serve } from '../support/serve.ts'

const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: training in a browser: ${browser}`)
const inBrowser = typeof browser === 'string' ? test.skip : test

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-in-browser-'))
const scripts = await bundleForBrowser({
  worker: fileURLToPath(new URL('../support/browser-worker.js', import.meta.url)),
})
const served = await serve(path => (path === '/' ? '<!doctype html><title>run</title>' : scripts.get(path)))
let page: Page
test.before(async () => {
  if (typeof browser === 'string') return
  page = await browser.newPage()
  page.on('pageerror', error => console.error(error))
  await page.goto(served.url)
})
test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  served.close()
  rmSync(folder, { recursive: true })
})

/** Does a job in a worker of the page. */
async function inWorker(job: Job): Promise<Outcome> {
  const reply = await page.evaluate(
    job =>
      new Promise<{ outcome?: Outcome; error?: string }>(resolve => {
        const worker = new Worker('/worker.js', { type: 'module' })
        worker.onmessage = ({ data }) => {
          worker.terminate()
          resolve(data)
        }
        worker.onerror = ({ message }) => resolve({ error: `the worker failed: ${message}` })
        worker.postMessage(job)
      }),
    job,
  )
  if (!reply.outcome) throw new Error(reply.error)
  return reply.outcome
}

/** The bytes of a file, and the names in a folder, of the site's file system. */
const bytesOf = async (path: string) =>
  Buffer.from(
    await page.evaluate(async path => {
      const parts = path.split('/')
      let at = await navigator.storage.getDirectory()
      for (const part of parts.slice(0, -1)) at = await at.getDirectoryHandle(part)
      const file = await (await at.getFileHandle(parts.at(-1)!)).getFile()
      let text = ''
      for (const byte of new Uint8Array(await file.arrayBuffer())) text += String.fromCharCode(byte)
      return btoa(text)
    }, path),
    'base64',
  )
const namesIn = (path: string) =>
  page.evaluate(async path => {
    let at = await navigator.storage.getDirectory()
    for (const part of path.split('/')) at = await at.getDirectoryHandle(part)
    const names: string[] = []
    for await (const name of at.keys()) names.push(name)
    return names.sort()
  }, path)

/** Copies a folder of the site's to this machine. */
async function download(path: string): Promise<string> {
  const target = join(folder, 'downloaded', path)
  mkdirSync(target, { recursive: true })
  for (const name of await namesIn(path)) writeFileSync(join(target, name), await bytesOf(`${path}/${name}`))
  return target
}

const floats = (base64: string) => new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer)
const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  assert.is(a.length, b.length)
  let largest = 0
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!))
  return largest
}

let whole: Outcome
inBrowser('a run in a worker gives the losses of the same run in Node', async () => {
  whole = await inWorker({ folder: 'whole' })
  const node = await run({ folder, adapter: 'embedded' })
  for (const file of ['train.parquet', 'test.parquet'])
    assert.equal(await bytesOf(`whole/data/${file}`), readFileSync(join(folder, 'data', file)), file)
  assert.is(whole.losses.length, 12)
  assert.is(whole.evalLosses.length, 2)
  // The same SwiftShader executes both, compiled by two versions of Dawn: sums round differently in their last bits. A wrong
  // step would show: the rates of this run move a weight by 0.02 to 0.06.
  assert.ok(largestDifference(whole.losses, node.losses) < 1e-6)
  assert.ok(largestDifference(whole.evalLosses, node.evalLosses) < 1e-6)
  for (const [name, values] of Object.entries(whole.weights)) {
    const largest = largestDifference(floats(values), floats(node.weights[name]!))
    assert.ok(largest < 5e-6, `${name}: ${largest}`)
  }
})

inBrowser('after a reload, a run goes on from its checkpoint, to the same bits', async () => {
  const first = await inWorker({ folder: 'parts', stopAfter: 8 })
  assert.is(first.steps, 8)
  assert.equal(await namesIn('parts/run'), ['checkpoint-6', 'checkpoint-8'])
  await page.reload()
  const second = await inWorker({ folder: 'parts', resume: true })
  assert.is(second.startStep, 8)
  assert.is(second.steps, 12)
  assert.equal(second.weights, whole.weights)
  assert.equal(second.losses, whole.losses)
  assert.is(second.probabilities, whole.probabilities)
  assert.equal(await namesIn('parts/run'), ['checkpoint-12', 'checkpoint-8'])
})

inBrowser('a model from the browser, opened in Node, says the same', async () => {
  const model = await download('whole/model')
  for (const path of [model, await download('whole/run/checkpoint-12')])
    assert.is(await damageOf(path), undefined)
  const gpu = await openGpu({ adapter: 'embedded' })
  const opened = await loadModel(gpu, model)
  const rows = await loadDataset(join(folder, 'data/test.parquet'), readOptions(opened))
  assert.ok(largestDifference(await predict(opened, rows), floats(whole.probabilities)) < 1e-7)
  opened.free()
  gpu.close()
})

test.run()
