import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { f16Bits, f16Value, roundF16 } from '../../src/reference/index.ts'

test('every binary16 survives, and what lies between two goes to the nearer one', () => {
  for (let bits = 0; bits < 0x7c00; bits++) {
    assert.is(f16Bits(f16Value(bits)), bits)
    assert.is(f16Bits(-f16Value(bits)), bits | 0x8000)
    if (bits === 0x7bff) continue
    const [low, high] = [f16Value(bits), f16Value(bits + 1)]
    assert.is(f16Bits(low + (high - low) * 0.499), bits)
    assert.is(f16Bits(low + (high - low) * 0.501), bits + 1)
    assert.is(f16Bits((low + high) / 2) % 2, 0, 'ties go to even')
  }
})

test('known values of IEEE 754 binary16', () => {
  assert.equal(
    [...roundF16([1 / 3, 65504, 65519.999, 65520, 2 ** -24, 2 ** -26])],
    [0.333251953125, 65504, 65504, Number.POSITIVE_INFINITY, 2 ** -24, 0],
  )
  assert.is(f16Bits(1 / 3), 0x3555)
  assert.is(f16Bits(-2), 0xc000)
  assert.ok(Number.isNaN(f16Value(f16Bits(Number.NaN))))
})

test.run()
