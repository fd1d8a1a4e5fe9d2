// Every relative link of the site leads to a file that is there, and every page has one heading of the first level, and none left out below.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { headingFault } from './headings.mjs'

let [links, bad] = [0, 0]
for (const name of readdirSync('site', { recursive: true })) {
  if (!name.endsWith('.html')) continue
  const page = join('site', name)
  const html = readFileSync(page, 'utf8')
  const fault = headingFault(html)
  if (fault) {
    console.error(`${page}: ${fault}`)
    bad++
  }
  for (const [, href] of html.matchAll(/href="([^"#]+)[^"]*"/g)) {
    if (/^[a-z]+:/.test(href)) continue
    links++
    if (existsSync(join(dirname(page), decodeURI(href)))) continue
    console.error(`${page}: link ${href} leads nowhere`)
    bad++
  }
}
if (bad) process.exit(1)
console.log(`site: docs/site/index.html (${links} links checked)`)
