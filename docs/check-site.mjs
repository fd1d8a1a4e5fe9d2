// Every relative link of the site leads to a file that is there.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

let [links, bad] = [0, 0]
for (const name of readdirSync('site', { recursive: true })) {
  if (!name.endsWith('.html')) continue
  const page = join('site', name)
  for (const [, href] of readFileSync(page, 'utf8').matchAll(/href="([^"#]+)[^"]*"/g)) {
    if (/^[a-z]+:/.test(href)) continue
    links++
    if (existsSync(join(dirname(page), decodeURI(href)))) continue
    console.error(`${page}: link ${href} leads nowhere`)
    bad++
  }
}
if (bad) process.exit(1)
console.log(`site: docs/site/index.html (${links} links checked)`)
