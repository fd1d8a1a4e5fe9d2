// The loader's worker in a real browser: a page that is isolated, so that it has shared memory, and unbundled.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { launchChromium } from '../support/chromium.ts'

const PAGE = `<!doctype html>
<script type="importmap">{ "imports": { "#threads": "/src/data/threads-browser.js" } }</script>`
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

const server = createServer(async (request, response) => {
  const script = request.url!.endsWith('.js')
  // Seen from dist/test/data.
  const body = script ? await readFile(fileURLToPath(new URL(`../..${request.url}`, import.meta.url))) : PAGE
  response.writeHead(200, { ...ISOLATED, 'Content-Type': script ? 'text/javascript' : 'text/html' })
  response.end(body)
})
await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: the loader in a browser: ${browser}`)
test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  server.close()
})
const inBrowser = typeof browser === 'string' ? test.skip : test

inBrowser('a worker gives the batches of the page’s own thread, and its errors', async () => {
  if (typeof browser === 'string') return
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  const seen = await page.evaluate(async () => {
    // Seen from the page, which stands at the root.
    const { createLoader } = await import('../../src/data/loader.ts')
    const shared = (n: number, at: (i: number) => number) => {
      const array = new Uint32Array(new SharedArrayBuffer(4 * n))
      for (let i = 0; i < n; i++) array[i] = at(i)
      return array
    }
    const n = 500
    const columns = {
      length: n,
      rowStart: 0,
      lists: { title: { values: shared(3 * n, i => (i * 7919) % 50), offsets: shared(n + 1, i => 3 * i) } },
      ids: { gender: shared(n, i => i % 7), label: shared(n, i => i % 2) },
      floats: {},
    }
    const text = { kind: 'text', columns: [{ name: 'title', dtype: 'token_id' }], rows: 50 } as const
    const inputs = {
      text: { ...text, columns: [...text.columns], padTokenId: 0, maxPositions: 512 },
      categorical: { kind: 'ids' as const, columns: { gender: 7 } },
      labels: { kind: 'classes' as const, column: 'label', classes: 2 },
    }
    const order = shared(n, i => (i * 37) % n)
    const batches: string[] = []
    for (const worker of [false, true]) {
      const loader = createLoader(columns, inputs, { batchSize: 64, worker })
      const all: unknown[] = []
      for await (const batch of loader.batches(order)) all.push(batch)
      batches.push(JSON.stringify(all))
      await loader.close()
    }
    columns.ids.gender[5] = 9
    const loader = createLoader(columns, inputs, { batchSize: 64, worker: true })
    let error = 'none'
    try {
      for await (const _ of loader.batches(order));
    } catch (thrown) {
      error = String(thrown)
    }
    await loader.close()
    return { same: batches[0] === batches[1], rows: batches[0]!.match(/"size":\d+/g), error }
  })
  assert.equal(seen.rows, [...Array(7).fill('"size":64'), '"size":52'])
  assert.ok(seen.same)
  assert.is(seen.error, 'DataError: feature gender, row 5: value 9, expected 0 to 6')
})

test.run()
