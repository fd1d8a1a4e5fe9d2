// The page with another model in architecture.ts, as its comment tells: one file changed, and DCN-v2 trains on the sample, is stopped, found
// again after a reload, goes on and scores a row typed in.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { build } from 'vite'
import { launchChromium } from '../support/chromium.ts'
import { serve } from '../support/serve.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-page-model-'))

/** In a user's copy of the page, in place of its own. */
const ARCHITECTURE = `
import { createModel, type Model, registerModel } from 'kernelgrad'
import DcnV2 from './dcn.js'
import type { Rows } from './rows.ts'

registerModel(DcnV2)
export function makeModel({ features }: Rows): Model {
  const named = (wanted: string) => Object.entries(features).filter(([, { dtype }]) => dtype === wanted)
  return createModel({
    architecture: 'DcnV2',
    categorical: Object.fromEntries(named('categorical').map(([name, { vocab_size }]) => [name, vocab_size])),
    numerical: named('numerical').map(([name]) => name),
  })
}
`

const NAME = 'another model in architecture.ts trains, goes on and scores'
const browser = process.env.CI ? await launchChromium() : 'it takes half a minute; set CI=1 to run it'
if (typeof browser === 'string') {
  console.log(`skip: the page with another model: ${browser}`)
  test.skip(NAME, () => {})
} else
  test(NAME, async () => {
    const root = join(folder, 'page')
    cpSync('examples/browser', root, { recursive: true })
    cpSync('examples/custom-model/dcn.js', join(root, 'dcn.js'))
    writeFileSync(join(root, 'architecture.ts'), ARCHITECTURE)
    mkdirSync(join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    for (const name of ['kernelgrad', 'chart.js', 'valibot', 'vite'])
      symlinkSync(
        resolve(name === 'kernelgrad' ? '.' : `node_modules/${name}`),
        join(folder, 'node_modules', name),
        'junction',
      )
    const outDir = join(folder, 'built')
    await build({ configFile: join(root, 'vite.config.ts'), build: { outDir }, logLevel: 'error' })
    const served = await serve(path => {
      const file = join(outDir, path === '/' ? 'index.html' : path)
      return existsSync(file) ? readFileSync(file) : undefined
    })
    try {
      const page = await (await browser.newContext()).newPage()
      const complaints: string[] = []
      page.on('console', message => complaints.push(message.text()))
      page.on('pageerror', error => complaints.push(String(error)))
      const says = (pattern: RegExp) => page.locator('#status').filter({ hasText: pattern }).waitFor()
      const text = async (id: string) => (await page.textContent(`#${id}`))!
      await page.goto(served.url)
      await page.click('#sample')
      await says(/^sample is open/)
      await page.fill('#steps', '5000')
      await page.click('#start')
      await page.locator('#step', { hasText: /^([3-9]|\d{2,}) of 5,000/ }).waitFor()
      // Tables of the sample's 4 columns by 8, two cross layers over 4 * 8 + 1 values, 32 hidden, 2 classes.
      const rows = [3, 6, 200, 1000].reduce((sum, n) => sum + n)
      const parameters = 8 * rows + 2 * (33 * 33 + 33) + (33 * 32 + 32) + (65 * 2 + 2)
      assert.match(await text('facts'), `sample, ${parameters.toLocaleString('en-US')} parameters`)
      await page.click('#stop')
      await says(/^Stopped at step \d+ of 5000/)
      const step = Number.parseInt(await text('step'), 10)
      await page.reload()
      await page.locator('#stored', { hasText: `sample is saved here at step ${step} of 5000` }).waitFor()
      await page.click('#resume')
      await says(new RegExp(`^Training goes on from step ${step}\\.`))
      await page.click('#stop')
      await says(/^Stopped/)
      await page.click('text=Example 3')
      await page.click('#score')
      await page.locator('#scored', { hasText: /^Click probability \d/ }).waitFor()
      const { probability } = JSON.parse((await page.getAttribute('#scored', 'data-scores'))!)
      assert.ok(probability > 0 && probability < 1)
      assert.equal(complaints, [])
    } finally {
      served.close()
    }
  })

test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  rmSync(folder, { recursive: true })
})
test.run()
