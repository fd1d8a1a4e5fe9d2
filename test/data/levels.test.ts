import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { levelWidth, readHybrid } from '../../src/data/levels.ts'
import { randomStream } from '../../src/data/shuffle.ts'

/** Bits of one bit-packed run, least significant first. */
function packed(values: number[], width: number): number[] {
  const groups = Math.ceil(values.length / 8)
  const bytes = new Array<number>(groups * width).fill(0)
  for (const [i, value] of values.entries())
    for (let bit = 0; bit < width; bit++) {
      const at = i * width + bit
      if (Math.floor(value / 2 ** bit) % 2) bytes[at >> 3]! |= 1 << (at & 7)
    }
  return [(groups << 1) | 1, ...bytes]
}

test('every bit width, packed and repeated', () => {
  const random = randomStream(4)
  for (let width = 0; width <= 32; width++) {
    const draw = () => Math.floor(random.uniform() * 2 ** width)
    const first = Array.from({ length: 16 }, draw)
    const repeated = draw()
    const last = Array.from({ length: 5 }, draw)
    const run = [
      6 << 1,
      ...Array.from({ length: (width + 7) >> 3 }, (_, i) => Math.floor(repeated / 256 ** i) & 255),
    ]
    const bytes = Uint8Array.from([...packed(first, width), ...run, ...packed(last, width)])
    const expected = [...first, ...new Array(6).fill(repeated), ...last]
    assert.equal([...readHybrid(bytes, width, new Uint32Array(27))], expected, `width ${width}`)
  }
})

test('damaged runs end, and take no memory', () => {
  const read = (...bytes: number[]) => readHybrid(Uint8Array.from(bytes), 3, new Uint32Array(10))
  assert.equal([...read(0xfe, 0xff, 0xff, 0xff, 0x0f, 5)], new Array(10).fill(5), 'a run of 2^31 is cut')
  assert.throws(() => read(), 'ends early')
  assert.throws(() => read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 'ends early')
  assert.throws(() => read(0), 'empty run')
  assert.throws(() => read(1), 'empty run')
  assert.throws(() => read(3, 1), 'ends early')
  assert.throws(() => read(8), 'ends early')
})

test('level widths', () => {
  assert.equal([0, 1, 2, 3, 4].map(levelWidth), [0, 1, 2, 2, 3])
})

test.run()
