import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { clipCoefficient, columnSum, fill, sum, sumOfSquares } from '../../src/reference/index.ts'
import { checkGradient, random } from './compare.ts'

test('sums worked out by hand', () => {
  assert.is(sum([1, 2, 3.5]), 6.5)
  assert.is(sum([]), 0)
  assert.is(sumOfSquares([[3, 4], [12]]), 169)
  assert.equal([...columnSum({ x: [1, 2, 3, 4, 5, 6], rows: 2, C: 3 })], [5, 7, 9])
})

test('clipping never enlarges, and brings a larger norm down to the maximum', () => {
  assert.is(clipCoefficient(0.5, 1), 1)
  assert.is(clipCoefficient(0, 1), 1)
  assert.is(clipCoefficient(4, 1), 1 / 4.000001)
})

test('the gradient of a sum is one everywhere', () => {
  checkGradient('dx', sum, random(9), fill(9, 1))
})

test.run()
