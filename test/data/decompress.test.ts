// Every codec gives exactly the bytes that were packed, or an error: never fewer, filled up with zeros.
import { gzipSync } from 'node:zlib'
import type { CompressionCodec } from 'hyparquet'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decompress, prepareCodec } from '../../src/data/decompress.ts'
import * as browser from '../../src/data/inflate-browser.ts'
import * as node from '../../src/data/inflate-node.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import { COMPRESS } from '../fuzz/encoders.ts'

const random = randomStream(4)
const bytesOf = (length: number) => Uint8Array.from({ length }, () => random.below(4))
const concat = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap(part => [...part]))
await prepareCodec('ZSTD')

for (const codec of Object.keys(COMPRESS).filter(name => name !== 'UNCOMPRESSED') as CompressionCodec[]) {
  test(`${codec}: all of it, no more and no less`, () => {
    for (const length of [0, 1, 14, 15, 60, 61, 300, 5000]) {
      const plain = bytesOf(length)
      const packed = COMPRESS[codec]!(plain)
      assert.equal(decompress(codec, packed, length), plain, `${length} bytes`)
      for (const other of [length - 1, length + 1].filter(size => size > 0))
        assert.throws(() => decompress(codec, packed, other), `page claims ${other}`, `${length} as ${other}`)
      for (const cut of [1, 2, 5])
        if (length > 15)
          assert.throws(() => decompress(codec, packed.subarray(0, packed.length - cut), length))
    }
  })

  test(`${codec}: of nothing, whatever stands there`, () => {
    for (const packed of [new Uint8Array(0), Uint8Array.of(0), COMPRESS[codec]!(new Uint8Array(0))])
      assert.is(decompress(codec, packed, 0).length, 0)
  })

  test(`${codec}: a claim that cannot be is refused before memory is taken`, () => {
    const packed = COMPRESS[codec]!(bytesOf(20))
    const before = process.memoryUsage().arrayBuffers
    assert.throws(
      () => decompress(codec, packed.subarray(0, 20), 2 ** 31 - 1),
      /claims|more than the zstd decoder takes/,
    )
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 26)
  })
}

test('a damaged byte in gzip is found, in Node and in a browser', () => {
  const plain = bytesOf(500)
  const packed = new Uint8Array(gzipSync(plain))
  for (const { gunzip } of [node, browser]) {
    assert.equal(gunzip(packed, 500), plain)
    for (let at = 20; at < packed.length; at += 7) {
      const damaged = packed.slice()
      damaged[at]! ^= 16
      let found = false
      try {
        // Bits that fill up the last byte of the stream mean nothing.
        const out = gunzip(damaged, 500)
        found = out.length !== 500 || Buffer.from(out).equals(plain)
      } catch {
        found = true
      }
      assert.ok(found, `byte ${at}`)
    }
  }
})

test('gzip of several members, LZ4 of several blocks', () => {
  const [a, b] = [bytesOf(100), bytesOf(50)]
  const members = concat(gzipSync(a), gzipSync(b))
  for (const { gunzip } of [node, browser]) assert.equal(gunzip(members, 150), concat(a, b))
  assert.equal(decompress('LZ4', concat(COMPRESS.LZ4!(a), COMPRESS.LZ4!(b)), 150), concat(a, b))
  assert.equal(browser.unbrotli(COMPRESS.BROTLI!(a), 100), a)
})

test('copies that reach before the start, or past the end, are refused', () => {
  // Snappy: 8 bytes claimed, one literal, a copy of 7 from 2 back; LZ4: one literal, a match from 2 back.
  assert.throws(() => decompress('SNAPPY', Uint8Array.of(8, 0, 65, 0b01101, 2), 8), 'before its start')
  assert.throws(() => decompress('LZ4_RAW', Uint8Array.of(0x10, 65, 2, 0), 5), 'before its start')
  assert.throws(() => decompress('SNAPPY', Uint8Array.of(5, 0, 65, 0b01101, 1), 5), 'holds more bytes')
})

test.run()
