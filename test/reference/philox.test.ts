import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { philox4x32, uniform } from '../../src/reference/index.ts'

// Random123, tests/kat_vectors: counter, key, result of philox4x32 with 10 rounds.
const VECTORS = [
  ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
  ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
  ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
]

for (const [counter, key, expected] of VECTORS) {
  test(`philox4x32 of counter ${counter}, key ${key}`, () => {
    const words = (hex: string) => hex.split(' ').map(word => Number.parseInt(word, 16))
    assert.equal([...philox4x32(words(counter!), words(key!))], words(expected!))
  })
}

test('uniform covers [0, 1) and is exact in float32', () => {
  assert.is(uniform(0), 0)
  assert.is(uniform(2 ** 31), 0.5)
  assert.is(uniform(2 ** 32 - 1), 1 - 2 ** -24)
  assert.is(uniform(0x12345678), Math.fround(uniform(0x12345678)))
})

test.run()
