// Rows of KDD Cup 2012 as lists: what is frozen, in whatever order they stand, and what cannot be.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkListsCase } from '../../bench/parity/lists-case.ts'
import { shuffledOrder } from '../../src/data/index.ts'
import { type KddListKey, type KddRow, kddLists } from '../../src/datasets/kdd/index.ts'

const frozen = JSON.parse(readFileSync('test/golden/lists/case.json', 'utf8'))
const rows: KddRow[] = frozen.rows

test('pages, users and queries make the lists that are frozen', () => {
  const findings = checkListsCase('test/golden/lists', frozen)
  assert.equal(
    findings.map(({ error }) => error),
    [0, 0, 0],
  )
})

test('the order of the rows decides the order of lists, not what is in them', () => {
  const order = shuffledOrder(rows.length, 3, 0)
  const shuffled = Array.from(order, row => rows[row]!)
  const content = (key: KddListKey, given: KddRow[]) =>
    kddLists(given, key)
      .map(list => {
        const { query_id, user_id, depth } = given[list[0]!.row]!
        const ads = list.map(({ row, click, impression }) => [given[row]!.ad_id, click, impression].join(':'))
        const name = {
          display: [query_id, user_id, depth],
          query_user: [query_id, user_id],
          query: [query_id],
        }
        return `${name[key]} ${ads.sort().join(' ')}`
      })
      .sort()
  for (const key of ['display', 'query_user', 'query'] as const)
    assert.equal(content(key, shuffled), content(key, rows))
})

test('a page whose positions lie outside its depth is none, and rows that cannot be are refused', () => {
  const row = { click: 0, impression: 1, ad_id: 1, depth: 2, position: 3, query_id: 1, user_id: 1 }
  assert.equal(kddLists([row], 'display'), [])
  assert.equal(kddLists([{ ...row, position: 0 }], 'display'), [])
  assert.is(kddLists([{ ...row, position: 2 }], 'display').length, 1)
  assert.throws(() => kddLists([{ ...row, click: 2 }], 'query'), /row 0 has 2 clicks, expected at most 1/)
  assert.throws(() => kddLists([row, { ...row, ad_id: 1.5 }], 'query'), /row 1: ad_id is 1\.5/)
  assert.throws(() => kddLists([{ ...row, user_id: -1 }], 'query'), /row 0: user_id is -1/)
  assert.throws(() => kddLists([row], 'page' as never), /key is 'page', expected 'display' or/)
})

test.run()
