// The page in a real browser: what a phone and a desktop show, by day and by night.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeReportPage } from '../../../src/train/index.ts'
import { launchChromium } from '../../support/chromium.ts'
import { sampleReport } from '../../support/sample-report.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-browser-'))
const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: reports in a browser: ${browser}`)
test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  rmSync(folder, { recursive: true })
})

interface Seen {
  page: Page
  /** Whatever the console or the network had to say. */
  complaints: string[]
}

async function open(file: string, width: number, colorScheme: 'light' | 'dark'): Promise<Seen> {
  const page = await (browser as Browser).newPage({ viewport: { width, height: 800 }, colorScheme })
  const complaints: string[] = []
  page.on('console', message => {
    // Of this test's own reading of the canvases.
    if (!message.text().includes('willReadFrequently')) complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('request', request => {
    if (!request.url().startsWith('file:')) complaints.push(request.url())
  })
  await page.goto(pathToFileURL(file).href)
  return { page, complaints }
}

/** Share of each visible canvas's pixels that are painted, and how many colours they have, by id. */
const painted = (page: Page) =>
  page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll('canvas')]
        .filter(canvas => canvas.checkVisibility())
        .map(canvas => {
          const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
          const pixels = new Uint32Array(data.buffer)
          return [
            canvas.id,
            { share: pixels.filter(Boolean).length / pixels.length, colors: new Set(pixels).size },
          ]
        }),
    ),
  )

const one = join(folder, 'one.html')
const three = join(folder, 'three.html')
const CURVES = ['roc', 'pr', 'reliability', 'histogram-0'].map(name => `chart-${name}`)
const LINES = ['loss', 'eval_roc_auc', 'eval_pr_auc', 'eval_log_loss', 'grad_norm', 'learning_rate']

const browserTest = typeof browser === 'string' ? test.skip : test

test.before(async () => {
  await writeReportPage(one, [sampleReport('a_rather_long_name_of_a_run_without_any_space_in_it', 0.8)])
  const names = ['text only', 'text + tabular', 'frozen <encoder>']
  await writeReportPage(
    three,
    names.map((name, i) => sampleReport(name, 0.3 + 0.3 * i)),
  )
})

for (const [file, width, scheme] of [
  [one, 360, 'light'],
  [one, 1280, 'dark'],
  [three, 360, 'dark'],
  [three, 1280, 'light'],
] as const) {
  browserTest(`${file === one ? 'one run' : 'three runs'} at ${width} px, ${scheme}`, async () => {
    const { page, complaints } = await open(file, width, scheme)
    const charts = await painted(page)
    for (const id of [...CURVES, ...LINES.map(name => `chart-${name}`), 'chart-time'])
      assert.ok(id in charts, `${id} is there`)
    assert.is(Object.keys(charts).filter(id => id.startsWith('chart-histogram')).length, file === one ? 1 : 3)
    for (const [id, { share, colors }] of Object.entries(charts))
      assert.ok(share > 0.02 && colors > 20, `${id}: ${share} painted, ${colors} colours`)
    const size = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
    assert.equal(size, [width, width], 'nothing to scroll sideways')
    const wide = await page.evaluate(() =>
      [...document.querySelectorAll('.scroll, table, canvas, .card, td, th')]
        // What is wide scrolls in a box of its own.
        .filter(e => e.matches('.scroll') || !e.closest('.scroll'))
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth)
        .map(e => e.outerHTML.slice(0, 80)),
    )
    assert.equal(
      wide.filter(html => !html.includes('columnheader')),
      [],
    )
    const [back, front] = await page.evaluate(() => {
      const { backgroundColor, color } = getComputedStyle(document.body)
      return [backgroundColor, color].map(text =>
        text.match(/\d+/g)!.reduce((sum, part) => sum + Number(part), 0),
      )
    })
    assert.ok(scheme === 'dark' ? back! < 150 && front! > 600 : back! > 700 && front! < 150)
    assert.equal(complaints, [])
    await page.close()
  })
}

browserTest('charts follow the keyboard, and say what they show', async () => {
  const { page, complaints } = await open(one, 1280, 'light')
  await page.focus('#chart-roc')
  const said = () => page.textContent('#said')
  await page.keyboard.press('ArrowRight')
  const first = await said()
  assert.match(first!, /^False positive rate: 0, a_rather_long.*: 0$/)
  for (let i = 0; i < 30; i++) await page.keyboard.press('ArrowRight')
  assert.match((await said())!, /^False positive rate: 0\.\d+, a_rather_long.*: 0\.\d+$/)
  await page.keyboard.press('ArrowDown')
  assert.match((await said())!, /chance/)
  // Every chart can be reached, each with a name and a description.
  const charts = await page.$$eval('canvas', all =>
    all.map(canvas =>
      [
        canvas.tabIndex,
        ...canvas
          .getAttribute('aria-labelledby')!
          .split(' ')
          .map(id => document.getElementById(id)!.textContent),
      ].join('|'),
    ),
  )
  for (const chart of charts) assert.match(chart, /^0\|.{4,}\|.{10,}/)
  assert.equal(complaints, [])
  await page.close()
})

browserTest('a slider says what comes of a threshold', async () => {
  const { page, complaints } = await open(one, 390, 'light')
  const cells = () =>
    page.$$eval('[data-threshold] [data-cell]', all =>
      Object.fromEntries(
        all.map(cell => [cell.getAttribute('data-cell'), Number(cell.textContent!.replaceAll(',', ''))]),
      ),
    )
  const before = (await cells()) as Record<'tp' | 'fp' | 'fn' | 'tn', number>
  const report = sampleReport('a_rather_long_name_of_a_run_without_any_space_in_it', 0.8)
  const { thresholds, histogram } = report.curves!
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  const at = await page.$eval('input[type=range]', input => Number((input as HTMLInputElement).value))
  const table = (i: number) => ({
    tp: thresholds!.clicks[i],
    fn: sum(histogram.clicks) - thresholds!.clicks[i]!,
    fp: thresholds!.others[i],
    tn: sum(histogram.others) - thresholds!.others[i]!,
  })
  assert.equal(before, table(at))
  await page.focus('input[type=range]')
  await page.keyboard.press('ArrowRight')
  assert.equal(await cells(), table(at + 1))
  assert.is(await page.textContent('[data-threshold] output'), thresholds!.score[at + 1]!.toPrecision(4))
  await page.keyboard.press('End')
  assert.equal({ ...(await cells()) }, { ...table(thresholds!.score.length - 1), fn: 0, tn: 0 })
  assert.equal(complaints, [])
  await page.close()
})

browserTest('runs can be hidden and shown, and the colours follow the reader', async () => {
  const { page, complaints } = await open(three, 1280, 'light')
  const all = await painted(page)
  await page.getByRole('checkbox', { name: 'text + tabular' }).uncheck()
  const fewer = await painted(page)
  assert.not.ok('chart-histogram-1' in fewer)
  assert.ok(fewer['chart-roc']!.share < all['chart-roc']!.share)
  await page.getByRole('checkbox', { name: 'text + tabular' }).check()
  assert.equal(await painted(page), all)
  /** The first chart as an image, once the page has been told of the setting, which it is between two frames. */
  const image = async (colorScheme: 'light' | 'dark') => {
    await page.emulateMedia({ colorScheme })
    return page.evaluate(async () => {
      for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame)
      return document.querySelector('canvas')!.toDataURL()
    })
  }
  const light = await image('light')
  assert.is.not(await image('dark'), light)
  assert.is(await image('light'), light)
  assert.equal(complaints, [])
  await page.close()
})

test.run()
