import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Chunk, rebatch } from '../../src/data/index.ts'

/** Rows `first` to `first + length - 1` of a table in which every value tells its row. */
function chunk(first: number, length: number, labelled = true): Chunk {
  const rows = Uint32Array.from({ length }, (_, i) => first + i)
  const lists = [...rows].map(row => Array.from({ length: row % 4 }, (_, k) => 100 * row + k))
  const offsets = new Uint32Array(length + 1)
  for (const [i, list] of lists.entries()) offsets[i + 1] = offsets[i]! + list.length
  return {
    file: 'x',
    length,
    rowStart: first,
    lists: { text: { values: Uint32Array.from(lists.flat()), offsets } },
    ids: { code: rows.map(row => 7 * row), ...(labelled ? { label: rows.map(row => row % 2) } : {}) },
    floats: { depth: Float32Array.from(rows, row => row / 4) },
    extra: { user: [...rows].map(row => `u${row}`) },
  }
}

async function rebatched(sizes: number[], batchSize: number, labelled = true): Promise<Chunk[]> {
  async function* chunks() {
    let first = 0
    for (const size of sizes) {
      yield chunk(first, size, labelled)
      first += size
    }
  }
  const out: Chunk[] = []
  for await (const piece of rebatch(chunks(), batchSize)) out.push(piece)
  return out
}

test('pieces hold whole batches and the same rows, whatever the row groups', async () => {
  const wanted: [number[], number, number[]][] = [
    [[20, 20, 20, 10], 7, [14, 21, 21, 14]],
    [[20, 20, 20, 10], 32, [32, 32, 6]],
    [[1, 1, 1, 1, 1], 3, [3, 2]],
    [[64, 64], 32, [64, 64]],
    [[5], 8, [5]],
    [[], 8, []],
  ]
  for (const [sizes, batchSize, pieces] of wanted) {
    const got = await rebatched(sizes, batchSize)
    assert.equal(
      got.map(({ length }) => length),
      pieces,
    )
    let first = 0
    for (const piece of got) {
      assert.equal(piece, chunk(first, piece.length))
      first += piece.length
    }
    assert.is(
      first,
      sizes.reduce((a, b) => a + b, 0),
    )
  }
})

test('rows without labels stay without', async () => {
  for (const piece of await rebatched([5, 5], 4, false)) assert.is(piece.ids.label, undefined)
})

test.run()
