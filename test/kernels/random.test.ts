import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { normalFill, uniformFill } from '../../src/kernels/random.ts'
import { philox4x32, uniform } from '../../src/reference/index.ts'
import { assertClose } from '../support/close.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const POISON = 0x7fc0dead

const words = (i: number, seed: number, stream: number) => philox4x32([i >>> 2, 0, 0, 2], [seed, stream])

function uniformOracle(i: number, seed: number, stream: number): number {
  return uniform(words(i, seed, stream)[i & 3]!)
}

function normalOracle(i: number, seed: number, stream: number): number {
  const pair = words(i, seed, stream).subarray(i & 2)
  const radius = Math.sqrt(-2 * Math.log(uniform(pair[0]!) + 2 ** -24))
  const angle = 2 * Math.PI * uniform(pair[1]!)
  return radius * (i & 1 ? Math.sin(angle) : Math.cos(angle))
}

for (const [n, offset] of [
  [1, 0],
  [7, 4],
  [1030, 1 << 20],
] as const) {
  test(`fills follow the stream from its offset and stop at n: n ${n}, offset ${offset}`, async () => {
    const [seed, stream] = [0xfeedface, 5]
    const [u, g] = [gpu.acquire((n + 9) * 4), gpu.acquire((n + 9) * 4)]
    uniformFill(gpu, { out: u, n, low: -3, high: 5, seed, stream, offset })
    normalFill(gpu, { out: g, n, mean: 1, std: 2, seed, stream, offset })
    // WGSL allows sin and cos an error of 2^-11, and SwiftShader takes a tenth of it.
    for (const [view, oracle, bound] of [
      [u, (i: number) => -3 + 8 * uniformOracle(i, seed, stream), 1e-6],
      [g, (i: number) => 1 + 2 * normalOracle(i, seed, stream), 2 ** -10],
    ] as const) {
      const got = await gpu.readFloats(view)
      assertClose(
        got.subarray(0, n),
        Array.from({ length: n }, (_, i) => oracle(offset + i)),
        bound,
      )
      assert.ok(
        new Uint32Array(got.buffer).subarray(n).every(word => word === POISON),
        'wrote past n',
      )
    }
  })
}

test('normal numbers have the moments of a normal distribution', async () => {
  const n = 100_000
  const out = gpu.acquire(n * 4)
  normalFill(gpu, { out, n, mean: 0, std: 0.02, seed: 3, stream: 9 })
  const values = await gpu.readFloats({ ...out, size: n * 4 })
  const moment = (power: number) => values.reduce((sum, value) => sum + (value / 0.02) ** power, 0) / n
  for (const [power, expected] of [
    [1, 0],
    [2, 1],
    [3, 0],
    [4, 3],
  ] as const)
    assertClose([moment(power)], [expected], 0.1, { absolute: true, label: `moment ${power}` })
})

test('an offset that is no multiple of 4 is an error', () => {
  assert.throws(
    () => uniformFill(gpu, { out: gpu.acquire(4), n: 1, low: 0, high: 1, seed: 0, stream: 0, offset: 2 }),
    /offset in a random stream is 2/,
  )
})

test.after(() => gpu.close())
test.run()
