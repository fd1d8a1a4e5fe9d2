import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { columnSum, matmul } from '../../src/reference/index.ts'
import { checkGradient, dot, random } from './compare.ts'

test('a product worked out by hand, in each layout', () => {
  const expected = [58, 64, 139, 154]
  const shape = { M: 2, N: 2, K: 3 }
  const [a, aT] = [
    [1, 2, 3, 4, 5, 6],
    [1, 4, 2, 5, 3, 6],
  ]
  const [b, bT] = [
    [7, 8, 9, 10, 11, 12],
    [7, 9, 11, 8, 10, 12],
  ]
  assert.equal([...matmul({ a: a!, b: b!, ...shape, layout: 'NN' })], expected)
  assert.equal([...matmul({ a: a!, b: bT!, ...shape, layout: 'NT' })], expected)
  assert.equal([...matmul({ a: aT!, b: b!, ...shape, layout: 'TN' })], expected)
  const y = matmul({ a: a!, b: b!, bias: [100, 200], ...shape, layout: 'NN' })
  assert.equal([...y], [158, 264, 239, 354])
})

const [M, N, K] = [3, 5, 4]
const backward = {
  NN: (a: Float64Array, b: Float64Array, dy: Float64Array) => [
    matmul({ a: dy, b, M, N: K, K: N, layout: 'NT' }),
    matmul({ a, b: dy, M: K, N, K: M, layout: 'TN' }),
  ],
  NT: (a: Float64Array, b: Float64Array, dy: Float64Array) => [
    matmul({ a: dy, b, M, N: K, K: N, layout: 'NN' }),
    matmul({ a: dy, b: a, M: N, N: K, K: M, layout: 'TN' }),
  ],
  TN: (a: Float64Array, b: Float64Array, dy: Float64Array) => [
    matmul({ a: b, b: dy, M: K, N: M, K: N, layout: 'NT' }),
    matmul({ a, b: dy, M: K, N, K: M, layout: 'NN' }),
  ],
}

for (const layout of ['NN', 'NT', 'TN'] as const) {
  test(`${layout}: the documented backward products against differences`, () => {
    const [a, b, bias, dy] = [random(M * K), random(K * N), random(N), random(M * N)]
    const [da, db] = backward[layout](a, b, dy)
    const shape = { M, N, K, layout }
    checkGradient('da', a => dot(matmul({ a, b, bias, ...shape }), dy), a, da!)
    checkGradient('db', b => dot(matmul({ a, b, bias, ...shape }), dy), b, db!)
    const dbias = columnSum({ x: dy, rows: M, C: N })
    checkGradient('dbias', bias => dot(matmul({ a, b, bias, ...shape }), dy), bias, dbias)
  })
}

test.run()
