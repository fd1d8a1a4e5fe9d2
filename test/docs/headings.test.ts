// Headings of the site: what is wrong with a page is told, and pages are put in order.
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

interface Headings {
  levelsOf(html: string): number[]
  headingFault(html: string): string | undefined
  orderedHeadings(html: string): string
}
const { levelsOf, headingFault, orderedHeadings }: Headings = await import(
  pathToFileURL(resolve('docs/headings.mjs')).href
)

test('two titles, none, and levels left out are named', () => {
  assert.match(headingFault('<h1>a</h1><h1>a</h1>')!, /^2 headings of the first level/)
  assert.match(headingFault('<h2>a</h2>')!, /^0 headings/)
  assert.match(headingFault('<h1>a</h1><h2>b</h2><h4>c</h4>')!, /heading 3 is of level 4, behind 2/)
  assert.is(headingFault('<h1>a</h1><h2>b</h2><h3>c</h3><h2>d</h2>'), undefined)
})

test('a title said twice goes, levels close up and keep their looks, panels begin anew', () => {
  const page =
    '<h1 class="t">Room <code>x</code></h1><h1>Room x</h1><h4 id="p">Parameters</h4><h5 class="y">One</h5><h3><svg></svg>Settings</h3><h3>On This Page</h3>'
  const out = orderedHeadings(page)
  assert.equal(levelsOf(out), [1, 2, 3, 2, 2])
  assert.is(headingFault(out), undefined)
  assert.ok(out.includes('<h2 id="p" class="looks-h4">Parameters</h2><h3 class="looks-h5 y">One</h3>'))
  assert.is(orderedHeadings('<h1>a</h1><h2>b</h2>'), '<h1>a</h1><h2>b</h2>')
  assert.match(headingFault(orderedHeadings('<h1>a</h1><h1>b</h1>'))!, /2 headings/)
})

test.run()
