// Lists of rows: grouped wherever the rows stand, and no longer than they may be.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Columns, createLoader, shuffledOrder } from '../../src/data/index.ts'
import { batchCount, batchStarts, unitsOf } from '../../src/data/lists.ts'
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
  const at = (where: object) => () => unitsOf({ ...columns, ...where }, inputs({ longest: longest - 1 }))
  assert.throws(
    at({ file: 'clicks.parquet' }),
    new RegExp(`, first in clicks\\.parquet: row ${100 + row!}, has`),
  )
  const files = [
    { name: 'a.parquet', rowStart: 0, rows: row! },
    { name: 'b.parquet', rowStart: row!, rows: ROWS - row! },
  ]
  assert.throws(at({ files }), /, first in b\.parquet: row 0, has/)
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

test('batches by rows split no list, differ by less than one, and are as many in any order', async () => {
  const units = unitsOf(columns, inputs())
  for (const batchRows of [longest, longest + 3, 40, ROWS, 1000]) {
    const counts = new Set<number>()
    for (let epoch = 0; epoch < 20; epoch++) {
      const order = shuffledOrder(units.count, 3, epoch)
      const starts = batchStarts(units, order, { batchSize: 1, batchRows })
      counts.add(starts.length - 1)
      assert.equal([starts[0], starts.at(-1)], [0, units.count])
      for (let b = 0; b + 1 < starts.length; b++) {
        const { length } = units.rowsOf(order.subarray(starts[b], starts[b + 1]))
        assert.ok(length > 0 && length < ROWS / (starts.length - 1) + longest, `${length}`)
      }
    }
    assert.equal([...counts], [batchCount(units, { batchSize: 1, batchRows })])
  }
  const own = inputs({ longest: 3, longer: 'cut' })
  const loader = createLoader(columns, own, { batchSize: 1, batchRows: 6, worker: false })
  const sizes: number[] = []
  const order = shuffledOrder(units.count, 1, 0)
  for await (const { size } of loader.batches(order)) sizes.push(size)
  assert.is(
    sizes.reduce((a, b) => a + b),
    groups.reduce((sum, rows) => sum + Math.min(rows.length, 3), 0),
  )
  assert.ok(Math.max(...sizes) < 9 && sizes.length > 5, String(sizes))
  assert.throws(
    () => createLoader(columns, inputs(), { batchSize: 1, batchRows: longest - 1 }),
    new RegExp(`do not hold the longest list, which has ${longest}, expected as many or more`),
  )
  assert.throws(
    () =>
      createLoader(columns, { x: { kind: 'ids', columns: { list: 1e6 } } }, { batchSize: 1, batchRows: 9 }),
    /batches of 9 rows .* no lists are read/,
  )
  assert.throws(() => createLoader(columns, inputs(), { batchSize: 1, batchRows: 0 }), /batchRows is 0/)
})

test('more lists than a Map holds are found', () => {
  if (process.env.CI !== 'true') {
    console.log('skip: 17 million lists: it takes seconds and a gibibyte; set CI=true to run it')
    return
  }
  const length = 2 ** 24 + 1000
  const ids = {
    list: Uint32Array.from({ length }, (_, row) => Math.imul(row >>> 1, 0x9e3779b1)),
    half: Uint32Array.from({ length }, (_, row) => row & 1),
  }
  const both: Inputs = { lists: { kind: 'list', columns: ['list', 'half'] } }
  const units = unitsOf({ length, rowStart: 0, lists: {}, ids, floats: {} }, both)
  assert.is(units.count, length)
  assert.equal([...units.rowsOf(Uint32Array.of(length - 1))], [length - 1])
})

test.run()
