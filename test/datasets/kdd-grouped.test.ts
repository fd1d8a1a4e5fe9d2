// Raw track-2 rows preprocessed into lists: the lists that kddLists makes of the same rows, side by side, each query on one side.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { randomStream, readColumns } from '../../src/data/index.ts'
import { type KddListKey, type KddRow, kddLists, preprocessKdd } from '../../src/datasets/kdd/index.ts'
import { ConfigError } from '../../src/errors.ts'
import { writeOddRaw } from './kdd-oracle.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-kdd-lists-'))
test.after(() => rmSync(root, { recursive: true }))
const raw = join(root, 'raw')
writeOddRaw(raw, 4, 400)
const linesOf = (name: string) =>
  readFileSync(join(raw, name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => line.split('\t'))
const random = randomStream(5, 0)
const queries = linesOf('queryid_tokensid.txt')
  .slice(0, 12)
  .map(([id]) => id!)
const [title] = linesOf('titleid_tokensid.txt')[0]!
/** Few queries, users and ads, so that they meet; some rows have no depth or no user. */
const rows = linesOf('training.txt').map(fields => {
  const of = { query: queries[random.below(12)]!, user: random.below(6), depth: 1 + random.below(3) }
  const click = random.below(3)
  const [clicks, shown, ad] = [click, click + 1 + random.below(4), random.below(9)]
  const depth = random.below(20) ? String(of.depth) : ''
  const user = random.below(20) ? String(of.user) : ''
  return [
    clicks,
    shown,
    fields[2],
    ad,
    fields[4],
    depth,
    1 + random.below(4),
    of.query,
    fields[8],
    title,
    fields[10],
    user,
  ].map(String)
})
writeFileSync(join(raw, 'training.txt'), rows.map(row => `${row.join('\t')}\n`).join(''))
const kddRows = rows.map(
  ([click, impression, , ad_id, , depth, position, query_id, , , , user_id]): KddRow => ({
    ...{
      click: Number(click),
      impression: Number(impression),
      ad_id: Number(ad_id),
      depth: Number(depth || 0),
    },
    // Who is not known is nobody, as user 0 is.
    ...{ position: Number(position), query_id: Number(query_id), user_id: Number(user_id || 0) },
  }),
)

const NAMES = ['list', 'click', 'impression', 'ad_id', 'position', 'query_id', 'label']
for (const key of ['display', 'query_user', 'query'] as KddListKey[])
  test(`lists by '${key}' are those of kddLists, and a query's stand on one side`, async () => {
    const {
      train,
      test: held,
      features,
    } = await preprocessKdd({ input: raw, output: join(root, key), lists: key, testShare: 0.25 })
    const sides = await Promise.all(
      [train, held].map(path => readColumns(path, key === 'display' ? [...NAMES, 'place'] : NAMES)),
    )
    const found = sides.map(columns =>
      Array.from(columns.list!, (_, i) =>
        Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, Number(values[i])])),
      ),
    )
    const expected = kddLists(kddRows, key).sort((a, b) => first(a) - first(b))
    const wanted = expected.flatMap(list =>
      list.map(({ row, click, impression }) => {
        const { ad_id, position, query_id } = kddRows[row]!
        const place = key === 'display' ? { place: position - 1 } : {}
        return {
          list: first(list),
          click,
          impression,
          ad_id,
          position,
          query_id,
          label: Number(click > 0),
          ...place,
        }
      }),
    )
    const tested = new Set(found[1]!.map(row => row.query_id))
    assert.ok(tested.size > 0 && tested.size < 12)
    assert.equal(
      found[0],
      wanted.filter(row => !tested.has(row.query_id)),
    )
    assert.equal(
      found[1],
      wanted.filter(row => tested.has(row.query_id)),
    )
    assert.ok(
      wanted.length > 20 && found[1]!.length >= 0.25 * wanted.length,
      `${found[1]!.length} of ${wanted.length}`,
    )
    assert.equal(
      [features.rows.train, features.rows.test],
      found.map(side => side.length),
    )
  })
const first = (list: { row: number }[]) => Math.min(...list.map(({ row }) => row))

test('a key that is none is refused before anything is read', async () => {
  try {
    await preprocessKdd({ input: raw, output: join(root, 'none'), lists: 'page' as never })
    assert.unreachable()
  } catch (error) {
    assert.instance(error, ConfigError)
    assert.match((error as Error).message, /lists is 'page', expected 'display'/)
  }
})

test.run()
