// Matrix products and attention over halves, against the oracle on inputs rounded to halves. The small tiles run every way of
// storing in every layout; of the larger ones each runs one layout, so that every layout is met, and all where CI is set.
// Waits for CI: its tiles compile for half a minute
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { attention, attentionBackward } from '../../src/kernels/attention.ts'
import { type MatmulLayout, matmul, matmulForms } from '../../src/kernels/matmul.ts'
import { tilesOf, unusable } from '../../src/kernels/matmul-forms.ts'
import { NOTHING, tileKernel } from '../../src/kernels/matmul-kernels.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { HALF_ROUNDING, halfBlock, halves } from '../support/half.ts'

const gpu = await openTestGpu()
const usable = Object.keys(matmulForms).filter(name => unusable(gpu, matmulForms[name]!) === undefined)

/** Float32 or halves, by turns: which of a, b and c. */
const STORED = [
  { a: 'f16', b: 'f16', c: 'f16' },
  { a: 'f16', b: 'f16', c: 'f32' },
  { a: 'f32', b: 'f16', c: 'f16' },
  { a: 'f16', b: 'f32', c: 'f32' },
] as const

interface Case {
  M: number
  N: number
  K: number
  layout: MatmulLayout
  stored: (typeof STORED)[number]
  form?: string
  splits?: number
  scale?: number
}

async function check({ M, N, K, layout, stored, form, splits, scale = 1 }: Case): Promise<void> {
  const label = `${layout} ${M}x${N}x${K} ${form ?? ''} ${Object.values(stored)}`
  const operand = (data: Float32Array<ArrayBuffer>, storage: 'f16' | 'f32') =>
    storage === 'f16' ? halves(gpu, data) : { view: gpu.from(data), values: Float64Array.from(data) }
  const [a, b] = [operand(seeded(M * K, 1, scale), stored.a), operand(seeded(K * N, 2), stored.b)]
  const bias = seeded(N, 3, scale)
  const biasView = gpu.from(bias)
  const half = stored.c === 'f16'
  const floats = guarded(gpu, M * N)
  const c = half
    ? halfBlock(gpu, M * N)
    : {
        view: floats.view,
        read: async () => {
          await floats.checkNeighbours()
          return Float64Array.from(await gpu.readFloats(floats.view))
        },
      }
  const options = { a: a.view, b: b.view, c: c.view, bias: biasView, M, N, K, layout, form, splits, stored }
  const once = reference.matmul({ a: a.values, b: b.values, M, N, K, layout })
  const expected = once.map((value, i) => value + bias[i % N]!)
  const bound = 3e-7 * Math.sqrt(K) + 1e-6 + (half ? HALF_ROUNDING : 0)
  matmul(gpu, options)
  const first = await c.read()
  expectClose(first, expected, bound, { label })
  matmul(gpu, { ...options, accumulate: true })
  expectClose(
    await c.read(),
    expected.map((value, i) => value + first[i]!),
    bound,
    { label: `${label} accumulate` },
  )
  if (layout === 'TN') {
    const sums = guarded(gpu, M)
    matmul(gpu, { ...options, bias: undefined, sums: sums.view })
    const expected = reference.columnSum({ x: a.values, rows: K, C: M })
    expectClose(await gpu.readFloats(sums.view), expected, bound, { label: `${label} sums` })
    expectClose(await c.read(), once, bound, { label: `${label} beside sums` })
    await sums.checkNeighbours()
  }
  for (const view of [a.view, b.view, biasView]) gpu.release(view)
}

/** What linear layers do, forward, for dx and for dW; every way of storing is left to the forms that compile fast. */
const USED = { NT: [STORED[0]], NN: [STORED[0]], TN: [STORED[1]] }

const everything = Boolean(process.env.CI)
if (!everything)
  console.log(
    'skip: large matmul tiles over halves in every layout: they compile for a minute; set CI=1 to run them',
  )

for (const [i, form] of usable.entries()) {
  const small = form === '4x4' || form === '1x4'
  test(`matmul ${form} over halves agrees with the oracle in every layout`, async () => {
    for (const [j, layout] of (['NN', 'NT', 'TN'] as const).entries()) {
      if (!small && !everything && i % 3 !== j) continue
      for (const stored of small ? STORED : USED[layout]) {
        for (const [M, N, K] of [
          [4, 4, 4],
          [36, 20, 12],
          [68, 132, 44],
        ] as const)
          await check({ M, N, K, layout, stored, form })
        if (layout === 'NT') await check({ M: 37, N: 44, K: 8, layout, stored, form })
        if (layout === 'TN') await check({ M: 12, N: 8, K: 33, layout, stored, form })
      }
    }
  })
}

// Products and sums are float32 either way, so the tiles' storage must not show: the same bits.
const native = gpu.features.has('shader-f16')
if (!native) console.log('skip: tiles of halves in workgroup memory: this adapter lacks shader-f16')
for (const [layout, name] of Object.entries({ NT: '32x32', NN: '64x64', TN: '32x64' } as const)) {
  if (!native) break
  test(`workgroup ${name}: tiles of halves give the bits of tiles of float32, ${layout}`, async () => {
    const [M, N, K, splits] = [68, 72, 40, 1]
    const form = matmulForms[`workgroup ${name}`]!
    const [a, b] = [halves(gpu, seeded(M * K, 1, 300)), halves(gpu, seeded(K * N, 2, 300))]
    const results: Uint32Array[] = []
    for (const halfTiles of [true, false]) {
      const c = guarded(gpu, M * N)
      const sums = guarded(gpu, M)
      const fused = { ...NOTHING, SUMS: Number(layout === 'TN') }
      const shape = { M, N, K, layout: layout as MatmulLayout }
      const kernel = tileKernel(form, 'hardware', shape, fused, { a: 'f16', b: 'f16' }, halfTiles)
      assert.is(kernel.constants.HALVES, Number(halfTiles))
      const bound = [a.view, b.view, c.view, a.view, a.view, ...(fused.SUMS ? [sums.view] : [])]
      const off = { accumulate: 0, threshold: 0, scale: 1, seed: 0, layer: 0, step: 0 }
      gpu.launch(kernel, { M, N, K, splits, ...off }, bound, tilesOf(form, M, N))
      results.push(await gpu.readUints(c.view))
      if (fused.SUMS) results.push(await gpu.readUints(sums.view))
      await c.checkNeighbours()
      await sums.checkNeighbours()
    }
    const half = results.length / 2
    assert.equal(results.slice(0, half), results.slice(half))
    const product = reference.matmul({ a: a.values, b: b.values, M, N, K, layout: layout as MatmulLayout })
    const got = new Float32Array(results[0]!.buffer, results[0]!.byteOffset, M * N)
    // Sums beyond what a half holds: 300 x 300 x 40.
    expectClose(got, product, 3e-7 * Math.sqrt(K) + 1e-6, { label: name })
  })
}

test('matmul over halves in parts of K, and with sums near 65504', async () => {
  for (const stored of STORED) {
    await check({ M: 12, N: 8, K: 1032, layout: 'NT', stored, splits: 3 })
    await check({ M: 8, N: 12, K: 24, layout: 'NN', stored, scale: 1e3 })
  }
})

test('a product beyond 65504 is infinite as halves and finite as float32', async () => {
  const [a, b] = [halves(gpu, new Float32Array(16).fill(300)), halves(gpu, new Float32Array(16).fill(200))]
  const [wide, half] = [guarded(gpu, 16), halfBlock(gpu, 16)]
  const shape = { a: a.view, b: b.view, M: 4, N: 4, K: 4, layout: 'NT' } as const
  matmul(gpu, { ...shape, c: wide.view, stored: { a: 'f16', b: 'f16' } })
  matmul(gpu, { ...shape, c: half.view, stored: { a: 'f16', b: 'f16', c: 'f16' } })
  assert.equal(new Set(await gpu.readFloats(wide.view)), new Set([240000]))
  assert.equal(new Set(await half.read()), new Set([Number.POSITIVE_INFINITY]))
})

test('halves in rows that are no multiple of four are refused', () => {
  const view = gpu.acquire(4096)
  const shape = { a: view, b: view, c: view, M: 4, N: 4, K: 6, layout: 'NT' } as const
  assert.throws(() => matmul(gpu, { ...shape, stored: { b: 'f16' } }), /multiple of 4 values, got 6/)
})

for (const [lengths, A, D, p, scale] of [
  [[1], 1, 4, 0, 1],
  [[5, 0, 17, 3], 3, 12, 0, 1],
  [[24, 9, 31], 2, 64, 0.2, 1],
  [[6, 11], 2, 32, 0, 100],
] as const) {
  test(`attention over halves: rows ${lengths}, ${A} heads of ${D}, dropout ${p}, values to ${scale}`, async () => {
    const cuSeqlens = new Uint32Array(lengths.length + 1)
    lengths.forEach((length, b) => {
      cuSeqlens[b + 1] = cuSeqlens[b]! + length
    })
    const T = cuSeqlens.at(-1)!
    const keyMask = seededInts(T, 4, 5).map(v => Math.min(v, 1))
    const rng = { seed: 3, layer: 1, step: 4 }
    // Queries and keys of ordinary size; values may be large.
    const qkv = halves(
      gpu,
      seeded(T * 3 * A * D, 1).map((v, i) => (Math.floor(i / (A * D)) % 3 === 2 ? v * scale : v)),
    )
    const dout = halves(gpu, seeded(T * A * D, 2))
    const [out, dqkv, lse] = [halfBlock(gpu, T * A * D), halfBlock(gpu, T * 3 * A * D), guarded(gpu, T * A)]
    const options = {
      qkv: qkv.view,
      keyMask: gpu.from(keyMask),
      cuSeqlens: gpu.from(cuSeqlens),
      out: out.view,
      lse: lse.view,
      T,
      A,
      D,
      p,
      rng,
      storage: 'f16',
    } as const
    attention(gpu, options)
    attentionBackward(gpu, { ...options, dout: dout.view, dqkv: dqkv.view })
    const plain = { qkv: qkv.values, keyMask, cuSeqlens, T, A, D, p, rng }
    const expected = reference.attention(plain)
    expectClose(await out.read(), expected.out, HALF_ROUNDING + 4e-6, { label: 'out' })
    expectClose(await gpu.readFloats(lse.view), expected.lse, 4e-6, { label: 'lse' })
    // delta = dout·out reads the rounded out: so does the oracle's.
    const rounded = { ...plain, out: await out.read(), lse: expected.lse, dout: dout.values }
    expectClose(await dqkv.read(), reference.attentionBackward(rounded), HALF_ROUNDING + 1e-5, {
      label: 'dqkv',
    })
  })
}

test.after(() => gpu.close())
test.run()
