import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { embedding, embeddingBackward } from '../../src/reference/index.ts'
import { checkGradient, close, dot, random } from './compare.ts'
import { golden } from './golden.ts'

const ops = golden('ops')

/** A dense [V, H] gradient from those of some rows. */
function scatter(rows: number[], grads: Float64Array, V: number, H: number): Float64Array {
  const dense = new Float64Array(V * H)
  rows.forEach((row, u) => {
    dense.set(grads.subarray(u * H, u * H + H), row * H)
  })
  return dense
}

ops.test('embedding agrees with PyTorch, its padding row left out of the groups', () => {
  const [V, H] = ops.shape('embedding.table') as [number, number]
  const ids = ops.read('embedding.ids')
  assert.equal([...ids], [3, 3, 49, 0, 7, 3, 49])
  const y = embedding({ table: ops.read('embedding.table'), ids, H })
  assert.equal([...y], [...ops.read('embedding.y')])
  const rows = [0, 3, 7]
  const given = { dy: ops.read('embedding.dy'), rows, offsets: [0, 1, 4, 5], positions: [3, 0, 1, 5, 4], H }
  close(scatter(rows, embeddingBackward(given), V, H), ops.read('embedding.dtable'), 2e-7, 'dtable')
})

test('backward against differences, words and positions', () => {
  const [V, P, H] = [4, 3, 5]
  const [table, positionTable, dy] = [random(V * H), random(P * H), random(4 * H)]
  const [ids, positionIds] = [
    [2, 0, 2, 3],
    [0, 1, 2, 1],
  ]
  const loss = (table: Float64Array, positionTable: Float64Array) =>
    dot(embedding({ table, ids: ids!, H, position: { table: positionTable, ids: positionIds! } }), dy)
  const words = { dy, rows: [0, 2, 3], offsets: [0, 1, 3, 4], positions: [1, 0, 2, 3], H }
  const dtable = scatter(words.rows, embeddingBackward(words), V, H)
  checkGradient('dtable', table => loss(table, positionTable), table, dtable)
  const places = { dy, rows: [0, 1, 2], offsets: [0, 1, 3, 4], positions: [0, 1, 3, 2], H }
  checkGradient('dposition', table2 => loss(table, table2), positionTable, embeddingBackward(places))
})

test.run()
