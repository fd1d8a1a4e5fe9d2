import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { normalFill, uniformFill } from '../../src/kernels/random.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, expectUntouched } from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

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
      [u, reference.uniformFill({ n, low: -3, high: 5, seed, stream, offset }), 1e-6],
      [g, reference.normalFill({ n, mean: 1, std: 2, seed, stream, offset }), 2 ** -10],
    ] as const) {
      const got = await gpu.readFloats(view)
      expectClose(got.subarray(0, n), oracle, bound)
      expectUntouched(got.subarray(n), 'past n')
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
    expectClose([moment(power)], [expected], 0.1, { absolute: true, label: `moment ${power}` })
})

// Groups of this stream with a v of 1 - 2^-24 (or of 1, the last two), whose logarithm may come out above 0.
for (const group of [8296390, 9979734, 26623077, 38970142, 10338914, 24785797]) {
  test(`a draw whose logarithm is about 0 is a number: group ${group}`, async () => {
    const [n, seed, stream, offset] = [4, 3, 9, group * 4]
    const out = gpu.acquire(n * 4)
    normalFill(gpu, { out, n, mean: 0, std: 1, seed, stream, offset })
    const oracle = reference.normalFill({ n, mean: 0, std: 1, seed, stream, offset })
    assert.ok(Math.min(...oracle.map(Math.abs)) < 4e-4)
    // WGSL allows the logarithm an error of 2^-21 near 1, and the radius is its root.
    expectClose(await gpu.readFloats({ ...out, size: n * 4 }), oracle, 2 ** -9.5, { absolute: true })
    gpu.release(out)
  })
}

test('normal numbers are taken from the whole circle', async () => {
  const n = 4096
  const out = gpu.acquire(n * 4)
  normalFill(gpu, { out, n, mean: 0, std: 1, seed: 5, stream: 2 })
  const values = await gpu.readFloats({ ...out, size: n * 4 })
  const quarters = [0, 0, 0, 0]
  for (let i = 0; i < n; i += 2) quarters[Number(values[i]! > 0) * 2 + Number(values[i + 1]! > 0)]!++
  for (const count of quarters) assert.ok(Math.abs(count - n / 8) < 100, `${quarters}`)
  expectClose(values, reference.normalFill({ n, mean: 0, std: 1, seed: 5, stream: 2 }), 2 ** -10)
  gpu.release(out)
})

test('an offset that is no multiple of 4 is an error', () => {
  assert.throws(
    () => uniformFill(gpu, { out: gpu.acquire(4), n: 1, low: 0, high: 1, seed: 0, stream: 0, offset: 2 }),
    /offset in a random stream is 2/,
  )
})

test.after(() => gpu.close())
test.run()
