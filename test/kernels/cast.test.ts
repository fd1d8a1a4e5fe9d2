import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cast, castBlocks } from '../../src/kernels/cast.ts'
import * as reference from '../../src/reference/index.ts'
import { guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'

const gpu = await openTestGpu()

/** Packs values as the device does, by the oracle's bits. */
function packed(values: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(
    { length: values.length / 2 },
    (_, i) => reference.f16Bits(values[2 * i]!) | (reference.f16Bits(values[2 * i + 1]!) << 16),
  )
}

async function toF16(values: Float32Array<ArrayBuffer>): Promise<Uint32Array> {
  const out = guarded(gpu, values.length / 2)
  const x = gpu.from(values)
  cast(gpu, { x, y: out.view, n: values.length, to: 'f16' })
  const bits = await gpu.readUints(out.view)
  await out.checkNeighbours()
  gpu.release(x)
  return bits
}

for (const [n, scale] of [
  [4, 1],
  [1020, 1e4],
  [4100, 1e-4],
  [4096 * 5 + 12, 65504],
  [300, 1e-7],
] as const) {
  test(`float32 to f16 is the nearest half, bit for bit: n ${n}, values to ${scale}`, async () => {
    const x = seeded(n, n, scale)
    assert.equal(await toF16(x), packed(x))
  })
}

test('ties go to even, the range ends in infinity, NaN stays NaN, signs are kept', async () => {
  const ties = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25, -(2048 + 1), -(2048 + 3)]
  const edges = [
    65504,
    65519.9,
    65520,
    -65520,
    1e9,
    -1e30,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ]
  const small = [0, -0, 2 ** -24, -(2 ** -14), 2 ** -14 - 2 ** -24, 1e-30]
  const x = Float32Array.from([...ties, ...edges, ...small])
  assert.equal(await toF16(x), packed(x))
  const [nan] = await toF16(Float32Array.of(Number.NaN, 1, 2, 3))
  assert.ok(Number.isNaN(reference.f16Value(nan! & 0xffff)))
})

test('every half becomes the float32 of its value', async () => {
  const words = Uint32Array.from({ length: 32768 }, (_, i) => 2 * i + ((2 * i + 1) << 16))
  const out = guarded(gpu, 65536)
  cast(gpu, { x: gpu.from(words), y: out.view, n: 65536, to: 'f32' })
  const values = await gpu.readFloats(out.view)
  await out.checkNeighbours()
  const wrong = values.findIndex((value, bits) => !Object.is(value, reference.f16Value(bits)))
  assert.is(wrong, -1, `bits ${wrong}: got ${values[wrong]}, expected ${reference.f16Value(wrong)}`)
})

test('there and back again is the oracle’s rounding', async () => {
  const n = 5004
  const exponents = seededInts(n, 3, 20)
  const x = seeded(n, 9, 300).map((v, i) => v * 2 ** -exponents[i]!)
  const [half, back] = [gpu.acquire(n * 2), guarded(gpu, n)]
  cast(gpu, { x: gpu.from(x), y: half, n, to: 'f16' })
  cast(gpu, { x: half, y: back.view, n, to: 'f32' })
  assert.equal(await gpu.readFloats(back.view), Float32Array.from(reference.roundF16(x)))
  await back.checkNeighbours()
})

test('blocks of 64 values go to places of their own, and nothing else is touched', async () => {
  const places = [3, 0, 6, 5, 9]
  const x = seeded(5 * 64, 8, 100)
  const out = guarded(gpu, 10 * 32)
  const before = new Uint32Array(10 * 32).fill(0x12345678)
  gpu.upload(out.view, before)
  castBlocks(gpu, { x: gpu.from(x), places: gpu.from(Uint32Array.from(places)), y: out.view, n: 5 })
  const expected = before.slice()
  for (const [b, place] of places.entries())
    expected.set(packed(x.subarray(b * 64, (b + 1) * 64)), place * 32)
  assert.equal(await gpu.readUints(out.view), expected)
  await out.checkNeighbours()
})

test('a count that is no multiple of four is refused', () => {
  const view = gpu.acquire(64)
  assert.throws(() => cast(gpu, { x: view, y: gpu.acquire(64), n: 6, to: 'f16' }), /multiples of 4.*6/)
})

test.after(() => gpu.close())
test.run()
