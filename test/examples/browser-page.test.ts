// The page that trains in the browser, from the first click to the files that Node loads: in a real Chromium, on its WebGPU.
// Waits for CI: it trains in a browser
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openGpu } from 'kernelgrad'
import { parquetBytes } from 'kernelgrad/data'
import { loadModel } from 'kernelgrad/train'
import type { BrowserContext, Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { PreviewServer } from 'vite'
import { scoreRow } from '../../examples/browser/model.ts'
import { launchChromium } from '../support/chromium.ts'
import { servePage } from '../support/served-page.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-page-'))
const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: the page in a browser: ${browser}`)
const browserTest = typeof browser === 'string' ? test.skip : test

let server: PreviewServer
let url: string
let context: BrowserContext
let page: Page
/** Whatever the console had to say. */
const complaints: string[] = []

test.before(async () => {
  if (typeof browser === 'string') return
  ;({ server, url } = await servePage(folder))
  context = await browser.newContext({ viewport: { width: 1100, height: 900 } })
  await context.addInitScript(watch)
  page = await newPage(context)
})
test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  await server?.close()
  rmSync(folder, { recursive: true })
})

async function newPage(of: BrowserContext): Promise<Page> {
  const page = await of.newPage()
  page.on('console', message => complaints.push(message.text()))
  page.on('pageerror', error => complaints.push(String(error)))
  return page
}

const text = async (id: string) => (await page.textContent(`#${id}`))!
const says = (pattern: RegExp) => page.locator('#status').filter({ hasText: pattern }).waitFor()
const reaches = (step: number) =>
  page.waitForFunction(s => Number.parseInt(document.getElementById('step')!.textContent!, 10) >= s, step)

/** What the page's own thread has done since it was loaded. */
interface Seen {
  /** Adapters it asked for: the device belongs in the worker. */
  adapters: number
  /** What the worker told it, in order. */
  messages: { type: string; step?: number; state?: string; characters: number }[]
  /** Most changes of the document in one turn since the first step. */
  changes: number
  /** Drawings of a chart, and the most strokes and texts in one. */
  drawings: number
  strokes: number
}

/** Runs in the page before its own scripts. */
function watch(): void {
  const seen: Seen = { adapters: 0, messages: [], changes: 0, drawings: 0, strokes: 0 }
  Object.assign(window, { seen })
  const counted = (prototype: object, name: string, count: () => void) => {
    const methods = prototype as Record<string, (...all: unknown[]) => unknown>
    const method = methods[name]!
    methods[name] = function (...all) {
      count()
      return method.apply(this, all)
    }
  }
  counted(GPU.prototype, 'requestAdapter', () => seen.adapters++)
  let strokes = 0
  counted(CanvasRenderingContext2D.prototype, 'clearRect', () => {
    seen.drawings++
    strokes = 0
  })
  for (const name of ['lineTo', 'bezierCurveTo', 'arc', 'fillText', 'stroke'])
    counted(CanvasRenderingContext2D.prototype, name, () => {
      seen.strokes = Math.max(seen.strokes, ++strokes)
    })
  window.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options)
      this.addEventListener('message', ({ data }) => {
        const { type, step, state } = data
        seen.messages.push({ type, step, state, characters: JSON.stringify(data).length })
      })
    }
  }
  new MutationObserver(list => {
    const begun = seen.messages.some(({ type }) => type === 'progress')
    if (begun) seen.changes = Math.max(seen.changes, list.length)
  }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
}
const doneSoFar = () => page.evaluate(() => (window as unknown as { seen: Seen }).seen)

/** Clicks a button as soon as an element says what a pattern says: the run goes on meanwhile. */
const clickWhen = (id: string, pattern: RegExp, button: string) =>
  page.evaluate(
    ([id, source, button]) => {
      const element = document.getElementById(id!)!
      const observer = new MutationObserver(() => {
        if (!new RegExp(source!).test(element.textContent!)) return
        observer.disconnect()
        document.getElementById(button!)!.click()
      })
      observer.observe(element, { childList: true, subtree: true, characterData: true })
    },
    [id, pattern.source, button],
  )

/** Asks for the typed row's score. */
async function score(): Promise<string> {
  await page.$eval('#scored', line => {
    line.textContent = ''
  })
  await page.click('#score')
  await page.locator('#scored', { hasText: /^Click probability \d/ }).waitFor()
  return text('scored')
}

/** How many colours each chart has. */
const colors = () =>
  page.evaluate(() =>
    [...document.querySelectorAll('canvas')].map(canvas => {
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
      return new Set(new Uint32Array(data.buffer)).size
    }),
  )

browserTest(
  'by keyboard: the sample trains, pauses, and every control is reached with a visible focus',
  async () => {
    await page.goto(url)
    await page.waitForFunction(() => document.getElementById('sample')?.checkVisibility())
    const focused = () => page.evaluate(() => document.activeElement!.id || document.activeElement!.className)
    const seen: string[] = []
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press('Tab')
      seen.push(await focused())
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)
      assert.is(outline, 'solid', `focus on ${seen.at(-1)} is seen`)
    }
    assert.equal(seen, ['skip', 'choose-file', 'sample'])
    await page.keyboard.press('Enter')
    await says(/^sample is open: 8,000 rows/)
    assert.is(await focused(), 'start')
    await page.keyboard.press('Shift+Tab')
    assert.is(await focused(), 'steps')
    await page.keyboard.press('Control+a')
    await page.keyboard.type('24')
    // After the first evaluation, which is at step 5.
    await clickWhen('step', /^([6-9]|[12]\d) of/, 'pause')
    await page.keyboard.press('Enter')
    await says(/^Paused at step \d+\. The run is saved/)
    assert.is(await focused(), 'pause')
    const { step, rate, loss } = {
      step: await text('step'),
      rate: await text('rate'),
      loss: await text('loss'),
    }
    assert.match(step, /^\d+ of 24$/)
    assert.ok(Number(loss) > 0.2 && Number(loss) < 1.5, `loss ${loss}`)
    assert.ok(rate === '–' || Number(rate) > 0, `rate ${rate}`)
    // Drawn a while after the last value came.
    await page.waitForFunction(() => /; PR AUC/.test(document.getElementById('chart-auc')!.ariaLabel!))
    await page.waitForFunction(() => /; evaluation/.test(document.getElementById('chart-loss')!.ariaLabel!))
    for (const amount of await colors()) assert.ok(amount > 20, `${amount} colours in a chart`)
    const said = await page.getAttribute('#chart-auc', 'aria-label')
    assert.match(said!, /^ROC AUC 0\.\d+ at step \d+, 0\.\d+ at step \d+; PR AUC/)
    await score()
    await score()
    assert.is(await text('step'), step, 'no step is taken in a pause')
    const paused = await doneSoFar()
    await clickWhen('step', new RegExp(`^(?!${Number.parseInt(step, 10)} )\\d`), 'pause')
    await page.focus('#pause')
    await page.keyboard.press('Enter')
    await page.waitForFunction(
      ({ length }) =>
        (window as unknown as { seen: Seen }).seen.messages
          .slice(length)
          .some(({ state }) => state === 'paused'),
      paused.messages,
    )
    const { messages, adapters, changes, drawings, strokes } = await doneSoFar()
    const between = messages.slice(
      messages.findIndex(({ state }) => state === 'paused'),
      paused.messages.length,
    )
    assert.equal(new Set(between.map(({ type }) => type)), new Set(['state', 'scored']))

    // The page only shows, however long a run: the device is the worker's, a step tells little, and what a message makes
    // the page do has a bound.
    const steps = Number.parseInt(await text('step'), 10)
    const count = (...types: string[]) => messages.filter(({ type }) => types.includes(type)).length
    assert.is(adapters, 0)
    assert.ok(
      steps >= 5 && count('progress') <= steps && count('log') <= 1.5 * steps,
      JSON.stringify(messages),
    )
    const longest = Math.max(
      ...messages.filter(({ type }) => type !== 'opened' && type !== 'ready').map(m => m.characters),
    )
    assert.ok(longest < 1000, `a message of ${longest} characters`)
    assert.ok(changes > 0 && changes < 50, `${changes} changes of the document in one turn`)
    // Two charts, each drawn when it is made, shown and sized, and at most once for a message.
    assert.ok(drawings > 2 && drawings <= 8 + 2 * count('log', 'history', 'state'), `${drawings} drawings`)
    assert.ok(strokes < 300, `${strokes} strokes in one drawing`)
  },
)

browserTest('a reload goes on from the saved step, and a lost device from the last checkpoint', async () => {
  const step = Number.parseInt(await text('step'), 10)
  await page.goto(`${url}?debug`)
  await page.locator('#stored').waitFor()
  assert.is(await text('stored-text'), `A run on sample is saved here at step ${step} of 24.`)
  const statuses = await page.evaluateHandle(() => {
    const all: string[] = []
    const status = document.getElementById('status')!
    new MutationObserver(() => all.push(status.textContent!)).observe(status, { childList: true })
    return all
  })
  await clickWhen('status', new RegExp(`^Training goes on from step ${step}\\.`), 'lose')
  await page.click('#resume')
  // The curves of the steps before are there again.
  await page.waitForFunction(() =>
    document.getElementById('chart-loss')!.ariaLabel!.includes('training loss'),
  )
  assert.match((await page.getAttribute('#chart-loss', 'aria-label'))!, /at step 1,/)
  await says(/^Done: 24 steps/)
  const scored = await score()
  // Lost again when nothing is trained: the saved model is opened on a new one, and scores the same.
  await page.click('#lose')
  assert.is(await score(), scored)
  const all = await statuses.evaluate(list => [...list])
  assert.ok(
    all.some(line =>
      /device was lost \(.+\)\. Going on from the checkpoint of step \d+ on a new device/.test(line),
    ),
    all.join(' | '),
  )
})

browserTest('a row typed in is scored as Node scores it with the downloaded files', async () => {
  await page.click('text=Example 3')
  await page.fill('#field-0', '3 7 600 41')
  await score()
  const scores = JSON.parse((await page.getAttribute('#scored', 'data-scores'))!)
  const typed = await page.$$eval('#fields input', inputs =>
    inputs.map(input => [
      (input as HTMLInputElement).name,
      (input as HTMLInputElement).value.split(' ').map(Number),
    ]),
  )
  await page.click('#files')
  for (const name of ['model.safetensors', 'config.json']) {
    const coming = page.waitForEvent('download')
    await page.click(`text=${name}`)
    await (await coming).saveAs(join(folder, 'model', name))
  }
  assert.is(JSON.parse(readFileSync(join(folder, 'model', 'config.json'), 'utf8')).num_labels, 2)
  const gpu = await openGpu()
  const model = await loadModel(gpu, join(folder, 'model'))
  const own = await scoreRow(model, Object.fromEntries(typed))
  // On the adapter that the browser has too, to the bit.
  const bound = gpu.adapter.line.includes('swiftshader') ? 0 : 1e-5
  gpu.close()
  assert.equal(Object.keys(scores), ['probability'])
  const { probability } = own as { probability: number }
  assert.ok(Math.abs(scores.probability - probability) <= bound, `${scores.probability}, not ${probability}`)
  assert.ok(Math.abs(probability - 0.5) > 1e-3, 'it is no constant')
})

browserTest('a bad token id is refused where it was typed', async () => {
  await page.fill('#field-0', '3 601')
  await page.click('#score')
  const fault = await page.$eval('#field-0', input => (input as HTMLInputElement).validationMessage)
  assert.is(fault, '601 is no token id from 0 to 600')
})

browserTest('at 360 px nothing is cut off, light and dark', async () => {
  await page.setViewportSize({ width: 360, height: 740 })
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const found = await page.evaluate(() => ({
      width: document.documentElement.scrollWidth,
      wide: [...document.querySelectorAll('body *')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth)
        .map(e => e.outerHTML.slice(0, 80)),
      small: [...document.querySelectorAll('button, input, select')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44)
        .map(e => e.id),
      unnamed: [...document.querySelectorAll('input, select')]
        .filter(e => !(e as HTMLInputElement).labels?.length && !e.ariaLabel)
        .map(e => e.id),
      back: getComputedStyle(document.body).backgroundColor.match(/\d+/g)!.map(Number),
    }))
    const { width, wide, small, unnamed, back } = found
    assert.equal({ width, wide, small, unnamed }, { width: 360, wide: [], small: [], unnamed: [] })
    assert.ok(colorScheme === 'dark' ? back[0]! < 60 : back[0]! > 200)
  }
  await page.setViewportSize({ width: 1100, height: 900 })
})

browserTest(
  'a dropped file with columns of its own is asked about, trained on, stopped and kept',
  async () => {
    const rows = 40
    const column = (f: (i: number) => unknown) => Array.from({ length: rows }, (_, i) => f(i))
    const data = await parquetBytes([
      { name: 'words', kind: 'list<int64>', data: column(i => [i % 7, (3 * i) % 11]) },
      { name: 'price', kind: 'double', data: column(i => i / 7) },
      { name: 'place', kind: 'int64', data: column(i => i % 5) },
      { name: 'id', kind: 'int64', data: column(i => 10_000 + i) },
      { name: 'clicked', kind: 'int64', data: column(i => Number(i % 3 === 0)) },
      { name: 'note', kind: 'string', data: column(i => `row ${i}`) },
    ])
    const dropped = await page.evaluateHandle(
      bytes => {
        const transfer = new DataTransfer()
        transfer.items.add(new File([new Uint8Array(bytes)], 'own.parquet'))
        return transfer
      },
      [...new Uint8Array(data)],
    )
    await page.dispatchEvent('#drop', 'drop', { dataTransfer: dropped })
    await says(/^own\.parquet is open: 40 rows/)
    assert.ok(await page.locator('#columns').isVisible(), 'the columns are shown')
    const uses = await page.$$eval('#columns select', all => all.map(s => (s as HTMLSelectElement).value))
    assert.equal(uses, ['token_id', 'numerical', 'categorical', 'ignore', 'label', 'ignore'])
    assert.is(await page.inputValue('#pad'), '11')
    await page.selectOption('#columns select[name=clicked]', 'ignore')
    await page.click('#start')
    await says(/^0 columns are the label, expected one/)
    await page.selectOption('#columns select[name=clicked]', 'label')
    await page.fill('#steps', '5000')
    await page.click('#start')
    await says(/^Training/)
    await reaches(3)
    await page.click('#stop')
    await says(/^Stopped at step \d+ of 5000/)
    const step = Number.parseInt(await text('step'), 10)
    // The file itself is kept too: a reload needs no second drop.
    await page.reload()
    await page.locator('#stored', { hasText: `own.parquet is saved here at step ${step} of 5000` }).waitFor()
    await page.click('#resume')
    await says(new RegExp(`^Training goes on from step ${step}\\.`))
    await page.click('#stop')
    await says(/^Stopped/)
  },
)

browserTest('a file that is no Parquet says so, and a run is discarded', async () => {
  const bad = join(folder, 'bad.parquet')
  writeFileSync(bad, 'no Parquet file at all')
  await page.setInputFiles('#file-input', bad)
  await says(/^bad\.parquet is not a Parquet file: it does not start with PAR1/)
  await page.reload()
  await page.click('#discard')
  await says(/^The saved run is gone/)
  await page.reload()
  await page.locator('#sample').waitFor()
  assert.not(await page.locator('#stored').isVisible())
  assert.equal(complaints, [])
})

browserTest('a browser without WebGPU is told what to do', async () => {
  const bare = await context.newPage()
  await bare.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }))
  await bare.goto(url)
  const notice = (await bare.locator('#notice').textContent())!.replace(/\s+/g, ' ')
  assert.match(notice, /offers no WebGPU.*Chrome \(yours\).*chrome:\/\/flags.*Firefox.*about:config.*Safari/)
  assert.not(await bare.locator('#app').isVisible())
  await bare.close()
})

test.run()
