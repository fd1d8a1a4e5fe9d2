// What a browser keeps in the site's own database, over an IndexedDB in memory.
import 'fake-indexeddb/auto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** The module as a page of its own loads it, which has read nothing yet. */
const page = (name: string): Promise<typeof import('../../src/gpu/cache-browser.ts')> =>
  import(`../../src/gpu/cache-browser.js?${name}`)

test('what one visit keeps, the next one reads', async () => {
  const first = await page('first')
  await first.prepareCache()
  assert.is(first.readCache('a.json'), undefined)
  assert.is(await first.writeCache('a.json', 'one'), 'IndexedDB kernelgrad/cache/a.json')
  await first.writeCache('b.json', 'two')
  await first.writeCache('a.json', 'three')
  assert.is(first.readCache('a.json'), 'three')
  const second = await page('second')
  assert.is(second.readCache('a.json'), undefined, 'nothing is read yet')
  await second.prepareCache()
  assert.equal([second.readCache('a.json'), second.readCache('b.json')], ['three', 'two'])
})

test('where a browser keeps nothing, the page has it, and whoever writes is told why', async () => {
  const { indexedDB } = globalThis
  for (const [name, without, why] of [
    ['none', undefined, /cannot be kept in this browser: there is no IndexedDB here/],
    [
      'denied',
      {
        open() {
          throw new Error('denied by the visitor')
        },
      },
      /cannot be kept in this browser: denied by the visitor/,
    ],
  ] as const) {
    Object.assign(globalThis, { indexedDB: without })
    const visit = await page(name)
    await visit.prepareCache()
    assert.is(visit.readCache('a.json'), undefined)
    const error = await visit.writeCache('a.json', 'one').catch((error: Error) => error)
    assert.match((error as Error).message, why)
    assert.is(visit.readCache('a.json'), 'one')
  }
  Object.assign(globalThis, { indexedDB })
})

test.run()
