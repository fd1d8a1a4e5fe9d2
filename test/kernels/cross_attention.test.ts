import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/autograd/index.ts'
import { scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { crossAttention, crossAttentionBackward } from '../../src/kernels/cross_attention.ts'
import * as reference from '../../src/reference/index.ts'
import { cuSeqlens, expectClose, gradcheck, guarded, mask } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

const CASES: [queries: number[], keys: number[], A: number, D: number][] = [
  [[1], [1], 1, 1],
  [[5, 0, 3, 1], [2, 4, 0, 7], 2, 3],
  [[13, 1], [9, 11], 3, 8],
  [Array(40).fill(2), Array(40).fill(3), 2, 4],
  [[70, 3], [37, 99], 2, 20],
]
for (const [queryLengths, keyLengths, A, D] of CASES) {
  for (const causal of [false, true]) {
    for (const masked of [false, true]) {
      test(`attention of rows of ${queryLengths.slice(0, 4)} to rows of ${keyLengths.slice(0, 4)}, ${A} heads of ${D}${causal ? ', causal' : ''}${masked ? ', masked' : ''}`, async () => {
        const [queryStarts, keyStarts] = [cuSeqlens(queryLengths), cuSeqlens(keyLengths)]
        const [Tq, Tk] = [queryStarts.at(-1)!, keyStarts.at(-1)!]
        const keyMask = masked ? mask(Tk, 3) : undefined
        const [q, k, v] = [seeded(Tq * A * D, 1, 2), seeded(Tk * A * D, 2, 2), seeded(Tk * A * D, 3)]
        const dout = seeded(Tq * A * D, 4)
        const [query, key] = [Tq * A * D, Tk * A * D].map(n => () => guarded(gpu, n))
        const made = { out: query!(), lse: guarded(gpu, Tq * A), dq: query!(), dk: key!(), dv: key!() }
        const index = gpu.from(Uint32Array.of(...queryStarts, ...keyStarts, ...(keyMask ?? [])))
        const inputs = { q: gpu.from(q), k: gpu.from(k), v: gpu.from(v), index }
        const views = { ...inputs, out: made.out.view, lse: made.lse.view }
        const sizes = { B: queryLengths.length, Tq, Tk, A, D, causal, masked }
        crossAttention(gpu, { ...views, ...sizes })
        const grads = { dq: made.dq.view, dk: made.dk.view, dv: made.dv.view }
        crossAttentionBackward(gpu, { ...views, ...sizes, dout: gpu.from(dout), ...grads })
        const given = { q, k, v, queryStarts, keyStarts, A, D, causal, keyMask }
        const expected = reference.crossAttention(given)
        const expectedGrads = reference.crossAttentionBackward({ ...given, ...expected, dout })
        for (const name of ['out', 'lse'] as const)
          expectClose(await gpu.readFloats(made[name].view), expected[name], 2e-6, { label: name })
        for (const name of ['dq', 'dk', 'dv'] as const)
          expectClose(await gpu.readFloats(made[name].view), expectedGrads[name], 1e-5, { label: name })
        for (const { checkNeighbours } of Object.values(made)) await checkNeighbours()
      })
    }
  }
}

test('a gradient that is not asked for changes no other', async () => {
  const [T, A, D] = [9, 2, 8]
  const index = gpu.from(Uint32Array.of(0, 4, T, 0, 4, T))
  const [q, k, v, dout] = [1, 2, 3, 4].map(seed => gpu.from(seeded(T * A * D, seed)))
  const views = { q: q!, k: k!, v: v!, index, out: gpu.acquire(T * A * D * 4), lse: gpu.acquire(T * A * 4) }
  const sizes = { B: 2, Tq: T, Tk: T, A, D }
  crossAttention(gpu, { ...views, ...sizes })
  const taken = (...names: string[]) => {
    const grads = Object.fromEntries(names.map(name => [name, gpu.acquire(T * A * D * 4)]))
    crossAttentionBackward(gpu, { ...views, ...sizes, dout: dout!, ...grads })
    return Promise.all(Object.values(grads).map(view => gpu.readFloats({ ...view, size: T * A * D * 4 })))
  }
  const all = await taken('dq', 'dk', 'dv')
  const apart = [await taken('dq'), await taken('dk'), await taken('dv')].flat()
  assert.equal(apart, all)
})

test('gradients of queries, keys and values agree with differences', async () => {
  const [queryStarts, keyStarts] = [Uint32Array.of(0, 3, 3, 7), Uint32Array.of(0, 5, 7, 9)]
  const keyMask = Uint32Array.of(1, 0, 1, 1, 1, 1, 1, 1, 1)
  const heads = 2
  const checks = [false, true].flatMap(causal =>
    [3, 4].map(async D => {
      const H = heads * D
      const input = (seed: number, T: number) => ({ data: seeded(T * H, seed), shape: [T, H] })
      await gradcheck(
        gpu,
        (q, k, v) =>
          kg.crossAttention(q!, k!, v!, {
            queries: { cuSeqlens: tensor(gpu, queryStarts) },
            keys: { cuSeqlens: tensor(gpu, keyStarts), keyMask: tensor(gpu, keyMask) },
            heads,
            causal,
          }),
        (q, k, v) =>
          reference.crossAttention({
            q: q!,
            k: k!,
            v: v!,
            queryStarts,
            keyStarts,
            A: heads,
            D,
            causal,
            keyMask,
          }).out,
        [input(1, 7), input(2, 9), input(3, 9)],
      )
    }),
  )
  await Promise.all(checks)
})

test('self-attention to the tokens before: as attention where there is one token, and gradients', async () => {
  const starts = Uint32Array.of(0, 4, 5, 9)
  const part = (qkv: ArrayLike<number>, which: number) =>
    Float64Array.from({ length: 9 * 8 }, (_, i) => qkv[Math.floor(i / 8) * 24 + which * 8 + (i % 8)]!)
  const rows = () => ({ cuSeqlens: tensor(gpu, starts) })
  await gradcheck(
    gpu,
    qkv => kg.causalAttention(qkv!, rows(), 2),
    qkv =>
      reference.crossAttention({
        q: part(qkv!, 0),
        k: part(qkv!, 1),
        v: part(qkv!, 2),
        queryStarts: starts,
        keyStarts: starts,
        A: 2,
        D: 4,
        causal: true,
      }).out,
    [{ data: seeded(9 * 24, 4), shape: [9, 24] }],
  )
  const half = scope(() =>
    kg.causalAttention(kg.cast(tensor(gpu, seeded(9 * 24, 4), [9, 24]), 'f16'), rows(), 2),
  )
  assert.is(half.dtype, 'f16')
  half.dispose()
})

test('shapes that do not fit are refused by name', () => {
  const x = (...shape: number[]): Tensor =>
    tensor(gpu, new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const rows = (...starts: number[]) => ({ cuSeqlens: tensor(gpu, Uint32Array.from(starts)) })
  const options = { queries: rows(0, 2), keys: rows(0, 3), heads: 2 }
  assert.throws(
    () => kg.crossAttention(x(2, 4), x(3, 4), x(3, 6), options),
    /v has shape \[3,6\], expected \[3,4\]/,
  )
  assert.throws(
    () => kg.crossAttention(x(2, 4), x(3, 4), x(3, 4), { ...options, heads: 3 }),
    /4 hidden units do not split into 3 heads/,
  )
  assert.throws(
    () => kg.crossAttention(x(2, 4), x(3, 4), x(3, 4), { ...options, keys: rows(0, 1, 3) }),
    /keys.cuSeqlens has shape \[3\], expected \[2\]/,
  )
  assert.throws(
    () => kg.causalAttention(x(2, 4), rows(0, 2), 2),
    /qkv has shape \[2, 4\], expected \[T, 3 H\]/,
  )
})

test.after(() => gpu.close())
test.run()
