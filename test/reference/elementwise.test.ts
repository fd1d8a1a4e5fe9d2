import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { add, fill, scale } from '../../src/reference/index.ts'
import { checkGradient, dot, random } from './compare.ts'

test('values worked out by hand', () => {
  const a = [1, -2]
  assert.equal([...add(a, [10, 20])], [11, 18])
  assert.equal([...scale(a, -3)], [-3, 6])
  assert.equal([...fill(3, 2.5)], [2.5, 2.5, 2.5])
  assert.equal(a, [1, -2])
})

test('gradients against differences', () => {
  const [a, b, dy] = [random(7), random(7), random(7)]
  checkGradient('da', a => dot(add(a, b), dy), a, dy)
  checkGradient('db', b => dot(add(a, b), dy), b, dy)
  checkGradient('dx', x => dot(scale(x, -1.5), dy), a, scale(dy, -1.5))
})

test.run()
