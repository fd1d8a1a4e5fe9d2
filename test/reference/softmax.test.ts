import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { softmax, softmaxBackward, sum } from '../../src/reference/index.ts'
import { checkGradient, close, dot, random } from './compare.ts'

test('a row worked out by hand, and the same row moved by 1e4', () => {
  const x = [0, Math.log(2), Math.log(5)]
  close(softmax({ x, rows: 1, C: 3 }), [1 / 8, 2 / 8, 5 / 8], 1e-15, 'y')
  const far = x.map(value => value + 1e4)
  close(softmax({ x: far, rows: 1, C: 3 }), [1 / 8, 2 / 8, 5 / 8], 1e-11, 'y')
})

test('every row sums to one', () => {
  const y = softmax({ x: random(7 * 5).map(value => 300 * value), rows: 7, C: 5 })
  for (let r = 0; r < 7; r++) assert.ok(Math.abs(sum(y.subarray(r * 5, r * 5 + 5)) - 1) < 1e-14)
})

test('backward against differences', () => {
  const [rows, C] = [3, 5]
  const [x, dy] = [random(rows * C), random(rows * C)]
  const dx = softmaxBackward({ y: softmax({ x, rows, C }), dy, rows, C })
  checkGradient('dx', x => dot(softmax({ x, rows, C }), dy), x, dx)
})

test.run()
