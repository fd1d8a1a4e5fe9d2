// Lists of rows: grouped wherever the rows stand, and no longer than they may be.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Columns, createLoader, shuffledOrder } from '../../src/data/index.ts'
import { unitsOf } from '../../src/data/lists.ts'
import { DataError } from '../../src/errors.ts'
import { checkInputs, type Inputs, type ListInput } from '../../src/inputs.ts'

/** Lists of 1 to 7 rows whose rows stand anywhere. */
const ROWS = 97
const list = Uint32Array.from(shuffledOrder(ROWS, 5, 0), x => Math.floor(Math.sqrt(3 * x)))
const columns: Columns = { length: ROWS, rowStart: 100, lists: {}, ids: { list }, floats: {} }
const inputs = (own: Partial<ListInput> = {}): Inputs => ({
  lists: { kind: 'list', columns: ['list'], ...own },
})
const groups = Array.from(new Set(list), id => Array.from(list.keys()).filter(row => list[row] === id))
const longest = Math.max(...groups.map(rows => rows.length))

test('rows of a list are found wherever they stand, in their order', () => {
  const units = unitsOf(columns, inputs({ longest }))
  assert.equal([units.count, units.rows], [groups.length, ROWS])
  for (const [i, rows] of groups.entries()) assert.equal([...units.rowsOf(Uint32Array.of(i))], rows)
})

test('a longer list is refused by its key, row, length and limit', () => {
  const first = groups.findIndex(rows => rows.length > longest - 1)
  const [row] = groups[first]!
  assert.throws(
    () => unitsOf(columns, inputs({ longest: longest - 1 })),
    (error: Error) =>
      error instanceof DataError &&
      error.message.startsWith(
        `the list of list ${list[row!]}, first in row ${100 + row!}, has ${longest} rows, expected at most ${longest - 1};`,
      ),
  )
  assert.throws(
    () => createLoader(columns, inputs({ longest: 1 }), { batchSize: 2, worker: false }),
    /rows, expected at most 1; longer: 'cut' trains on its first rows/,
  )
})

test('cut, a list has its first rows where it is trained on, and all where it is scored', async () => {
  for (const most of [1, 3, longest]) {
    const own = inputs({ longest: most, longer: 'cut' })
    const units = unitsOf(columns, own)
    const kept = groups.map(rows => rows.slice(0, most))
    assert.is(units.rows, kept.flat().length)
    const order = shuffledOrder(units.count, 2, 1)
    assert.equal([...units.rowsOf(order)], Array.from(order, i => kept[i]!).flat())
    assert.is(unitsOf(columns, own, { whole: true }).rows, ROWS)
    const loader = createLoader(columns, own, { batchSize: 4, worker: false })
    const seen: number[] = []
    for await (const batch of loader.batches(order)) seen.push(...batch.rows.map(row => row - 100))
    assert.equal(seen, Array.from(order, i => kept[i]!).flat())
  }
})

test('a cap that cannot be is refused', () => {
  for (const [own, says] of [
    [{ longest: 0 }, /input 'lists' has longest 0, expected the most rows of a list/],
    [{ longest: 1.5 }, /has longest 1\.5/],
    [{ longest: '3' as never }, /has longest '3'/],
    [{ longest: 3, longer: 'drop' as never }, /has longer 'drop', expected 'refuse' or 'cut'/],
    [{ longer: 'cut' }, /has longer 'cut' and no longest/],
  ] as [Partial<ListInput>, RegExp][])
    assert.throws(() => checkInputs('test', inputs(own)), says)
})

test.run()
