// A table of one's own in the page, from the file to an answer: roles found, mended and changed, trained, scored by typed words, and the
// model taken to Node, which answers the same. In a real Chromium.
// Waits for CI: it trains in a browser
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { openGpu, predict } from 'kernelgrad'
import { parquetBytes } from 'kernelgrad/data'
import { Preparation, prepareTable } from 'kernelgrad/prepare'
import { loadModel } from 'kernelgrad/train'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { PreviewServer } from 'vite'
import { clickRows, csvOf } from '../prepare/tables.ts'
import { launchChromium } from '../support/chromium.ts'
import { servePage } from '../support/served-page.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-table-'))
const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: the page in a browser: ${browser}`)
const browserTest = typeof browser === 'string' ? test.skip : test

let server: PreviewServer
let page: Page
const complaints: string[] = []

test.before(async () => {
  if (typeof browser === 'string') return
  const served = await servePage(folder)
  server = served.server
  page = await (await browser.newContext({ viewport: { width: 390, height: 844 } })).newPage()
  page.on('console', message => complaints.push(message.text()))
  page.on('pageerror', error => complaints.push(String(error)))
  await page.goto(served.url)
  await page.waitForFunction(() => document.getElementById('sample')?.checkVisibility())
})
test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  await server?.close()
  rmSync(folder, { recursive: true })
})

const says = (pattern: RegExp) => page.locator('#status').filter({ hasText: pattern }).waitFor()
const choose = (name: string, content: string | Uint8Array, input = '#file-input') =>
  page.setInputFiles(input, { name, mimeType: '', buffer: Buffer.from(content as string) })
const roles = () =>
  page.$$eval('#roles select', all =>
    Object.fromEntries(all.map(s => [(s as HTMLSelectElement).name, (s as HTMLSelectElement).value])),
  )
const setRole = (column: string, role: string) => page.selectOption(`#roles select[name="${column}"]`, role)
/** What beside a column is said of it. */
const told = async (column: string) =>
  (await page.textContent(`#roles tr:has(select[name="${column}"]) td:last-child`))!
/** What has the strong colour, and whether all fits into the window. */
async function next(): Promise<string> {
  const { main, wide } = await page.evaluate(() => ({
    main: [...document.querySelectorAll('button.main, select.main')].filter(e => e.checkVisibility()),
    wide: document.documentElement.scrollWidth > innerWidth,
  }))
  assert.not(wide, 'nothing is wider than a phone')
  assert.is(main.length, 1, 'one thing to press next')
  return page.$eval(
    '.main:is(button, select)',
    element => `${element.id}${(element as HTMLButtonElement).disabled ? ' (off)' : ''}`,
  )
}

/** Starts a run of some steps and waits for its end. */
async function train(steps: number): Promise<void> {
  await page.fill('#steps', String(steps))
  await page.click('#start')
  await says(new RegExp(`^Done: ${steps} steps`))
  assert.is(await next(), 'score')
}

async function score(
  fields: Record<string, string>,
): Promise<{ scores: Record<string, number>; says: string }> {
  for (const [name, value] of Object.entries(fields)) await page.fill(`#fields input[name="${name}"]`, value)
  await page.$eval('#scored', line => {
    line.textContent = ''
  })
  await page.click('#score')
  await page.locator('#scored', { hasText: '%' }).waitFor()
  const scores = JSON.parse((await page.getAttribute('#scored', 'data-scores'))!)
  return { scores, says: (await page.textContent('#scored'))! }
}

async function download(button: string, links: string, to: string): Promise<string> {
  await page.$eval(links, place => place.replaceChildren())
  await page.click(button)
  await page.locator(`${links} a`).waitFor()
  const coming = page.waitForEvent('download')
  await page.click(`${links} a`)
  const file = await coming
  await file.saveAs(join(folder, to))
  return file.suggestedFilename()
}

const rows = clickRows(240, 7)

browserTest('a bad file is told by its line, and what was open stays; a label is asked for', async () => {
  assert.is(await next(), 'choose-file')
  await choose('bad.csv', 'a,b\n1,2\n1,2,3\n')
  await says(/^bad\.csv, line 3: 3 fields, expected 2/)
  assert.is(await next(), 'choose-file')
  await choose('notes.txt', 'a,b\n')
  await says(/^notes\.txt: what it is shows by no ending, expected csv, tsv/)
  await choose(
    'mine.tsv',
    csvOf(
      rows.map(({ clicked, ...row }) => ({ ...row, came_back: clicked })),
      { delimiter: '\t' },
    ),
  )
  await says(/^mine\.tsv is open: 240 rows\. Which column is to be predicted\?/)
  assert.is(await next(), 'label')
  assert.is(await page.isDisabled('#start'), true)
  await page.selectOption('#label', 'city')
  await page.locator('#label-fault', { hasText: /row \d+, column 'city': no label/ }).waitFor()
  assert.is(await next(), 'label')
  await choose('cut.csv.gz', gzipSync(csvOf(rows)).subarray(0, 900))
  await says(/^cannot read cut\.csv\.gz: /)
  assert.match((await page.textContent('#file'))!, /^mine\.tsv: 240 rows/)
  await page.selectOption('#label', 'came_back')
  await says(/^mine\.tsv: every column has a role/)
  assert.is(await page.textContent('#label-fault'), '')
  assert.is(await next(), 'start')
})

browserTest('columns that have no role say why, at their row, and are mended there', async () => {
  const day = (i: number) => `${1 + (i % 12)}/${1 + ((7 * i) % 12)}/2024`
  const odd = rows.map((row, i) => ({ ...row, price: i === 100 ? 'n.b.' : row.price, visited: day(i) }))
  await choose('odd.csv', csvOf(odd))
  await says(/^Columns 'price', 'visited' need a role of your choice/)
  assert.match(
    await told('price'),
    /^row 100: value "n\.b\.", where 99% of the values are numbers; correct it, name it below/,
  )
  assert.match(
    await told('visited'),
    /^it has dates that may be day or month first; say which: 'date, day first' or/,
  )
  assert.match(await next(), /^role-\d+$/)
  assert.is(await page.evaluate(() => document.activeElement!.getAttribute('name')), 'price')
  await setRole('visited', 'date:dmy')
  await says(/^Column 'price' needs a role/)
  await page.fill('#missing', ' n.b. , -')
  await page.locator('#missing').blur()
  await says(/^odd\.csv: every column has a role/)
  const found = { row_id: 'ignore', city: 'category', age: 'number', price: 'number', visited: 'date:dmy' }
  assert.equal(await roles(), { ...found, member: 'category', title: 'text', site: 'ignore' })
  // What cannot be is said, and the choice stays in sight.
  await setRole('city', 'number')
  await says(/^Column 'city' needs a role/)
  assert.match(
    await told('city'),
    /^row \d+: value ".+", which the role number cannot take: expected a finite number/,
  )
  assert.is((await roles()).city, 'number')
  assert.is(await page.isDisabled('#start'), true)
  await setRole('city', 'category:hash')
  await says(/^odd\.csv: every column has a role/)
  assert.is(await told('city'), 'string, 1000 buckets by hash')
})

browserTest(
  'texts, words and dates train a model that answers in Node as here, with what was typed',
  async () => {
    await choose('clicks.csv', csvOf(rows))
    await says(/^clicks\.csv: every column has a role/)
    await train(12)
    assert.match((await page.textContent('#facts-rows'))!, /^216 rows are trained on; 24 are held out\./)
    for (const id of ['loss', 'eval-loss', 'auc', 'pr-auc'])
      assert.match((await page.textContent(`#${id}`))!, /^\d\.\d{3}$/, id)
    const typed = {
      city: 'Paris',
      age: '31',
      price: '',
      visited: '2024-05-01',
      member: 'TRUE',
      title: 'red shoes sale',
    }
    const here = await score(typed)
    assert.match(here.says, /^clicked is yes: \d+\.\d\d %$/)
    await score({ city: 'Atlantis' })
    assert.is(
      await page.textContent('#notes'),
      "'Atlantis' is no city that was trained on: it counts as unknown.",
    )
    await page.fill('#fields input[name=price]', 'cheap')
    await page.click('#score')
    await says(/^price: value 'cheap', expected a finite number/)
    assert.is(await page.getAttribute('#fields input[name=price]', 'aria-invalid'), 'true')
    assert.is(await page.evaluate(() => document.activeElement!.getAttribute('name')), 'price')
    await page.fill('#fields input[name=price]', '')

    assert.is(await download('#files', '#links', 'model.tar'), 'model.tar')
    execFileSync('tar', ['-xf', join(folder, 'model.tar'), '-C', folder])
    const preparation = await Preparation.read(join(folder, 'model'))
    // What was learned is what the command line learns of the same file.
    writeFileSync(join(folder, 'clicks.csv'), csvOf(rows))
    const output = join(folder, 'prepared')
    const { test: held } = await prepareTable({ input: join(folder, 'clicks.csv'), label: 'clicked', output })
    assert.ok(held)
    assert.equal(preparation.document, (await Preparation.read(output)).document)

    const gpu = await openGpu()
    const model = await loadModel(gpu, join(folder, 'model'))
    const bound = gpu.adapter.line.includes('swiftshader') ? 0 : 1e-5
    const close = (a: number, b: number) => assert.ok(Math.abs(a - b) <= bound, `${a}, not ${b}`)
    const [, there] = await predict(model, preparation.apply([{ ...typed, price: null }]))
    close(here.scores.probability!, there!)

    assert.is(await download('#predict', '#predicted', 'held.csv'), 'clicks-predictions.csv')
    const lines = (file: string) =>
      readFileSync(join(folder, file), 'utf8')
        .trim()
        .split('\n')
        .map(line => line.split(','))
    const [head, ...heldOut] = lines('held.csv')
    assert.equal([head, heldOut.length], [['row', 'clicked', 'probability'], 24])
    const own = heldOut.map(([row]) => rows[Number(row)]!)
    const scores = await predict(model, preparation.apply(own as unknown as Record<string, unknown>[]))
    for (const [i, [, clicked, probability]] of heldOut.entries()) {
      assert.is(clicked, own[i]!.clicked)
      close(Number(probability), scores[2 * i + 1]!)
    }
    // Another file, of another kind, without a label, with its columns in another order.
    await page.$eval('#predicted', place => place.replaceChildren())
    const other = rows
      .slice(0, 9)
      .map(({ title, city, age, price, visited, member }) => ({ title, city, age, price, visited, member }))
    await choose('new.ndjson', other.map(row => `${JSON.stringify(row)}\n`).join(''), '#predict-input')
    await says(/^9 rows are predicted/)
    const coming = page.waitForEvent('download')
    await page.click('#predicted a')
    await (await coming).saveAs(join(folder, 'new.csv'))
    const all = await predict(
      model,
      preparation.apply(rows.slice(0, 9) as unknown as Record<string, unknown>[]),
    )
    for (const [i, [row, probability]] of lines('new.csv').slice(1).entries()) {
      assert.is(row, String(i))
      close(Number(probability), all[2 * i + 1]!)
    }
    gpu.close()
    await choose('short.csv', 'city,title\nParis,red\n', '#predict-input')
    await says(/^short\.csv has no column 'age', which the model reads; it has city, title/)
    await choose(
      'wrong.csv',
      csvOf(other.map((row, i) => (i === 4 ? { ...row, age: 'old' } : row))),
      '#predict-input',
    )
    await says(/^wrong\.csv, row 4, column 'age': value 'old', expected a finite number/)
  },
)

browserTest(
  'a table without a text, in Parquet, of three classes and with weights; found again after a reload',
  async () => {
    const n = 150
    const of = (f: (i: number) => unknown) => Array.from({ length: n }, (_, i) => f(i))
    const bytes = await parquetBytes([
      { name: 'size', kind: 'double', data: of(i => (i % 9 ? (i * 7) % 31 : null)) },
      { name: 'colour', kind: 'string', data: of(i => ['red', 'green', 'blue', 'grey'][(i * i) % 4]) },
      { name: 'times', kind: 'double', data: of(i => 1 + (i % 2)) },
      { name: 'outcome', kind: 'string', data: of(i => ['low', 'mid', 'high'][(i * 7) % 3]) },
    ])
    await choose('three.parquet', new Uint8Array(bytes))
    await says(/^three\.parquet: every column has a role/)
    await setRole('times', 'weight')
    await says(/^three\.parquet: every column has a role/)
    await page.waitForFunction(() => !document.getElementById('roles')!.hasAttribute('aria-busy'))
    await train(8)
    assert.is(await page.textContent('#auc-name'), 'Accuracy')
    assert.match((await page.textContent('#auc'))!, /^[01]\.\d{3}$/)
    const { scores, says: words } = await score({ size: '12', colour: 'red' })
    assert.match(words, /^outcome is high: [\d.]+ %, outcome is low: [\d.]+ %, outcome is mid: [\d.]+ %$/)
    const sum = Object.values(scores).reduce((a, b) => a + b)
    assert.ok(Math.abs(sum - 1) < 1e-5, `${sum}`)
    await page.reload()
    await page
      .locator('#stored', { hasText: 'A model trained on three.parquet (8 steps) is saved here' })
      .waitFor()
    assert.is(await next(), 'resume')
    await page.click('#resume')
    await says(/^Done: 8 steps/)
    assert.equal((await score({ size: '12', colour: 'red' })).scores, scores)
    assert.equal(complaints, [])
  },
)

test.run()
