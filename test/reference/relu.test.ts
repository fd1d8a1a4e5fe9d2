import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { relu, reluBackward } from '../../src/reference/index.ts'
import { checkGradient, dot, random } from './compare.ts'

test('negative values and zero give zero and pass no gradient', () => {
  const y = relu([-2, -0, 0, 3])
  assert.equal([...y], [0, 0, 0, 3])
  assert.equal([...reluBackward({ y, dy: [5, 6, 7, 8] })], [0, 0, 0, 8])
})

test('backward against differences, away from the kink', () => {
  const x = random(31).map(value => value + Math.sign(value) * 0.01)
  const dy = random(31)
  checkGradient('dx', x => dot(relu(x), dy), x, reluBackward({ y: relu(x), dy }))
})

test.run()
