import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { concat, concatBackward } from '../../src/reference/index.ts'
import { checkGradient, dot, random } from './compare.ts'

test('parts of different widths stand side by side', () => {
  const parts = [
    { x: [1, 2, 3, 4], width: 2 },
    { x: [5, 6], width: 1 },
  ]
  assert.equal([...concat({ parts, rows: 2 })], [1, 2, 5, 3, 4, 6])
})

test('backward against differences', () => {
  const [rows, widths] = [3, [4, 1, 2]]
  const parts = widths.map(width => ({ x: random(rows * width), width }))
  const dy = random(rows * 7)
  const dxs = concatBackward({ dy, widths, rows })
  assert.is(dxs.length, widths.length)
  parts.forEach((part, i) => {
    const loss = (x: Float64Array) => dot(concat({ parts: parts.with(i, { ...part, x }), rows }), dy)
    checkGradient(`part ${i}`, loss, part.x, dxs[i]!)
  })
})

test.run()
