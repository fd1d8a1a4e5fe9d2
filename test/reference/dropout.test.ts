import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { dropout, dropoutBackward, dropoutThreshold, philox4x32 } from '../../src/reference/index.ts'
import { checkGradient, dot, random } from './compare.ts'

const rng = { seed: 0xfedcba98, layer: 3, step: 0x80000001 }

test('threshold is p as a 32-bit fraction', () => {
  assert.is(dropoutThreshold(0), 0)
  assert.is(dropoutThreshold(0.1), 429496730)
  assert.is(dropoutThreshold(1), 2 ** 32 - 1)
})

test('p = 0 is the identity', () => {
  const x = random(9)
  assert.equal(dropout({ x, p: 0, rng }), x)
})

test('element i is decided by word i mod 4 of the counter that holds it', () => {
  const y = dropout({ x: new Float64Array(403).fill(1), p: 0.25, rng })
  for (const i of [0, 1, 2, 3, 4, 7, 400, 402]) {
    const word = philox4x32([Math.floor(i / 4), 0, 0x80000001, 0], [0xfedcba98, 3])[i % 4]!
    assert.is(y[i], word >= 2 ** 30 ? 1 / 0.75 : 0, `element ${i}`)
  }
})

test('the share of dropped elements is p, and the mean is kept', () => {
  const n = 20_000
  const y = dropout({ x: new Float64Array(n).fill(1), p: 0.1, rng })
  const dropped = y.filter(value => value === 0).length
  // Six standard deviations of a binomial.
  assert.ok(Math.abs(dropped - 0.1 * n) < 6 * Math.sqrt(0.1 * 0.9 * n), `${dropped} of ${n}`)
})

for (const field of ['seed', 'layer', 'step'] as const) {
  test(`another ${field} gives another mask`, () => {
    const x = new Float64Array(64).fill(1)
    const other = dropout({ x, p: 0.5, rng: { ...rng, [field]: rng[field] + 1 } })
    assert.not.equal(dropout({ x, p: 0.5, rng }), other)
  })
}

test('backward against differences', () => {
  const [x, dy] = [random(33), random(33)]
  checkGradient('dx', x => dot(dropout({ x, p: 0.3, rng }), dy), x, dropoutBackward({ dy, p: 0.3, rng }))
})

test.run()
