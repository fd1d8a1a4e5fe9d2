// Attention against the oracle, forward and backward.
// Runs again with the forms for GPUs of: nvidia
import { existsSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { View } from '../../src/gpu/index.ts'
import { attention, attentionBackward } from '../../src/kernels/attention.ts'
import type { Storage } from '../../src/kernels/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded, HALF_ROUNDING, packHalves, unpackHalves } from '../../src/testing/index.ts'
import { generator, openTestGpu, seeded } from '../support/gpu.ts'
import { readSafetensors } from '../support/read-safetensors.ts'

const gpu = await openTestGpu()

interface Case {
  /** Tokens of each row. */
  rows: number[]
  A: number
  D: number
  scale?: number
  p?: number
  /** Keys kept, by packed index; all unless given. */
  key?: (t: number, row: number) => boolean
  /** Size of q and k, and of v and dout. */
  scores?: number
  values?: number
  /** As halves too: qkv, dout and results. */
  half?: boolean
}

/** Cumulative lengths and row of each token. */
function pack(rows: number[]) {
  const cuSeqlens = new Uint32Array(rows.length + 1)
  rows.forEach((length, b) => {
    cuSeqlens[b + 1] = cuSeqlens[b]! + length
  })
  return { cuSeqlens, rowIds: Uint32Array.from(rows.flatMap((length, b) => Array(length).fill(b))) }
}

interface Inputs {
  qkv: Float32Array<ArrayBuffer>
  keyMask: Uint32Array<ArrayBuffer>
  cuSeqlens: Uint32Array<ArrayBuffer>
  dout: Float32Array<ArrayBuffer>
  T: number
  A: number
  D: number
  scale?: number | undefined
  p?: number | undefined
  rng?: { seed: number; layer: number; step: number }
}

async function run({ qkv, keyMask, cuSeqlens, dout, ...sizes }: Inputs, storage: Storage = 'f32') {
  const { T, A, D } = sizes
  const half = storage === 'f16'
  const floats = (values: Float32Array<ArrayBuffer>) => gpu.from(half ? packHalves(values) : values)
  const inputs = {
    qkv: floats(qkv),
    keyMask: gpu.from(keyMask),
    cuSeqlens: gpu.from(cuSeqlens),
  }
  const gradients = floats(dout)
  const made = {
    out: guarded(gpu, (T * A * D) / (half ? 2 : 1)),
    lse: guarded(gpu, T * A),
    dqkv: guarded(gpu, (T * 3 * A * D) / (half ? 2 : 1)),
  }
  const outputs = { out: made.out.view, lse: made.lse.view }
  const dqkvView = made.dqkv.view
  const longest = largest(cuSeqlens.subarray(1).map((end, b) => end - cuSeqlens[b]!))
  attention(gpu, { ...inputs, ...outputs, ...sizes, storage, longest })
  const options = { ...inputs, ...outputs, ...sizes, storage, longest }
  attentionBackward(gpu, { ...options, dout: gradients, dqkv: dqkvView })
  const read = async (view: View) =>
    half && view !== outputs.lse ? unpackHalves(await gpu.readUints(view)) : gpu.readFloats(view)
  const [out, lse, dqkv] = await Promise.all([outputs.out, outputs.lse, dqkvView].map(read))
  for (const { checkNeighbours } of Object.values(made)) await checkNeighbours()
  for (const view of [...Object.values(inputs), gradients]) gpu.release(view)
  return { out: out!, lse: lse!, dqkv: dqkv! }
}

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0)

const RNG = { seed: 0xabcdef01, layer: 3, step: 0x80000005 }

async function check(label: string, spec: Case): Promise<void> {
  const { rows, A, D, scale, p, key = () => true, scores = 1, values = 1, half = false } = spec
  const { cuSeqlens, rowIds } = pack(rows)
  const T = rowIds.length
  const qkv = seeded(T * 3 * A * D, T + D).map(
    (value, i) => value * (Math.floor(i / (A * D)) % 3 === 2 ? values : scores),
  )
  const dout = seeded(T * A * D, T + D + 1, values)
  const keyMask = Uint32Array.from({ length: T }, (_, t) => Number(key(t, rowIds[t]!)))
  const inputs = { qkv, keyMask, cuSeqlens, dout, T, A, D, scale, p, rng: RNG }
  const got = await run(inputs)
  const { out, lse } = reference.attention(inputs)
  expectClose(got.out, out, 1e-5, { label: `${label} out` })
  expectClose(got.lse, lse, 1e-5, { label: `${label} lse` })
  // The backward pass takes exp(score - lse) of float32 numbers: its error is their spacing, whatever the kernel.
  const spacing = 2 ** -23 * largest(lse)
  const dqkv = reference.attentionBackward({ ...inputs, out, lse })
  expectClose(got.dqkv, dqkv, Math.max(1e-5, spacing), { label: `${label} dqkv` })
  if (half) await checkHalves(label, inputs)
}

/** The same with inputs rounded to halves: a result is off by its own rounding, a gradient by the one of `out`, of which delta is made, too. */
async function checkHalves(label: string, { qkv, dout, ...sizes }: Inputs): Promise<void> {
  const inputs = { ...sizes, qkv: reference.roundF16(qkv), dout: reference.roundF16(dout) }
  const got = await run({ ...sizes, qkv, dout }, 'f16')
  const { out, lse } = reference.attention(inputs)
  expectClose(got.out, out, HALF_ROUNDING + 1e-5, { label: `${label}, halves: out` })
  expectClose(got.lse, lse, 1e-5, { label: `${label}, halves: lse` })
  const rounded = reference.roundF16(out)
  const dqkv = reference.attentionBackward({ ...inputs, out: rounded, lse })
  expectClose(got.dqkv, dqkv, 2 * HALF_ROUNDING, { label: `${label}, halves: dqkv` })
}

const holes = generator(11)
const CASES: Record<string, Case> = {
  'one token': { rows: [1], A: 1, D: 1 },
  'rows of 1 to 9 tokens': { rows: [5, 1, 9, 4], A: 3, D: 8 },
  'D 7, read as scalars': { rows: [6, 13], A: 2, D: 7 },
  'D 33': { rows: [17], A: 1, D: 33 },
  'D 64, 12 heads': { rows: [11, 22], A: 12, D: 64 },
  'D 130': { rows: [5, 8], A: 1, D: 130 },
  'D 128': { rows: [9, 10], A: 2, D: 128 },
  'rows with no token': { rows: [0, 3, 0, 0, 5, 0], A: 2, D: 4 },
  'a row of 512 tokens': { rows: [512], A: 1, D: 16 },
  'rows of 127 and 129 tokens, D 20, dropout and holes': {
    rows: [127, 1, 129],
    A: 2,
    D: 20,
    p: 0.2,
    key: t => t % 7 !== 3,
    half: true,
  },
  'rows of 24 tokens and less, D 64, dropout': { rows: [24, 2, 5, 17], A: 2, D: 64, p: 0.3, half: true },
  'long rows, D 64, one without a key': { rows: [66, 40], A: 3, D: 64, key: (_, row) => row === 0 },
  'holes in the mask': { rows: [31, 14], A: 2, D: 16, key: () => holes() < 0.6 },
  'a row without any key': { rows: [4, 6, 3], A: 2, D: 8, key: (_, row) => row !== 1 },
  'no key at all': { rows: [4, 2], A: 2, D: 8, key: () => false },
  'a scale of its own': { rows: [8, 3], A: 2, D: 8, scale: 0.7 },
  'values of 1e4': { rows: [8, 3], A: 2, D: 8, values: 1e4 },
  'scores of 1e4': { rows: [8, 3], A: 2, D: 8, scores: 100 },
  'values of 1e-8': { rows: [8, 3], A: 2, D: 8, scores: 1e-8, values: 1e-8 },
  dropout: { rows: [23, 1, 9, 6], A: 3, D: 16, p: 0.1, key: t => t % 5 !== 2 },
  'dropout, D 6': { rows: [7, 10], A: 2, D: 6, p: 0.6 },
}
// Kernels of their own for the forms by tiles, each with long code.
const SLOW: Record<string, Case> = {
  'a row of 600 tokens, D 64, dropout': { rows: [600], A: 1, D: 64, p: 0.1, half: true },
  'D 128, long rows': { rows: [129, 65], A: 1, D: 128, half: true },
  'D 96, dropout': { rows: [70, 3], A: 3, D: 96, p: 0.4 },
  'D 36': { rows: [33, 1, 8], A: 2, D: 36 },
  'D 31, a long row': { rows: [129], A: 1, D: 31, p: 0.5 },
}
if (process.env.CI) Object.assign(CASES, SLOW)
else for (const name in SLOW) console.log(`skip: attention: ${name}: compiles for long; set CI=1`)
for (const [name, spec] of Object.entries(CASES)) {
  test(`attention and its gradient agree with the oracle: ${name}`, () => check(name, spec))
}

test('a row longer than the longest one is told by NaN, or right', async () => {
  const [rows, A, D] = [[300, 299], 2, 8]
  const { cuSeqlens } = pack(rows)
  const T = 599
  const qkv = seeded(T * 3 * A * D, 1)
  const out = gpu.acquire(T * A * D * 4)
  const views = { qkv: gpu.from(qkv), cuSeqlens: gpu.from(cuSeqlens), out, lse: gpu.acquire(T * A * 4) }
  const keyMask = new Uint32Array(T).fill(1)
  attention(gpu, { ...views, keyMask: gpu.from(keyMask), T, A, D, longest: 299 })
  const got = await gpu.readFloats(out)
  const expected = reference.attention({ qkv, keyMask, cuSeqlens, T, A, D }).out
  const cut = 300 * A * D
  expectClose(got.subarray(cut), expected.subarray(cut), 1e-5)
  if (!got.subarray(0, cut).every(Number.isNaN))
    expectClose(got.subarray(0, cut), expected.subarray(0, cut), 1e-5)
})

test('the dropout mask is the oracle’s, weight by weight', async () => {
  // With v the unit vectors, out is the row of dropped and scaled weights itself.
  const [length, D] = [27, 27]
  const { cuSeqlens } = pack([length])
  const qkv = new Float32Array(length * 3 * D)
  for (let t = 0; t < length; t++) qkv[(t * 3 + 2) * D + t] = 1
  const keyMask = new Uint32Array(length).fill(1)
  const dout = seeded(length * D, 1)
  const inputs = { qkv, keyMask, cuSeqlens, dout, T: length, A: 1, D, p: 0.5, rng: RNG }
  const { out } = await run(inputs)
  const kept = (values: ArrayLike<number>) => Array.from(values, value => value !== 0)
  assert.equal(kept(out), kept(reference.attention(inputs).out))
})

test('no tokens: nothing is launched', () => {
  const view = gpu.acquire(4)
  const { launches } = gpu.counts
  const views = { qkv: view, keyMask: view, cuSeqlens: view, out: view, lse: view }
  attention(gpu, { ...views, T: 0, A: 2, D: 4 })
  attentionBackward(gpu, { ...views, dout: view, dqkv: view, T: 0, A: 2, D: 4 })
  assert.is(gpu.counts.launches, launches)
  assert.throws(() => attention(gpu, { ...views, T: 1, A: 1, D: 0.5 }), /D is 0.5/)
})

const FROZEN = '../shared/golden/ops/ops.safetensors'
if (existsSync(FROZEN)) {
  const tensors = readSafetensors(FROZEN)
  const names = [...tensors.keys()].flatMap(name => /^(attention_.*)\.q$/.exec(name)?.[1] ?? [])
  for (const name of names) {
    test(`frozen values: ${name}`, async () => {
      const get = (part: string) => tensors.get(`${name}.${part}`)!.data as Float32Array<ArrayBuffer>
      const [T, A, D] = tensors.get(`${name}.q`)!.shape as [number, number, number]
      const cuSeqlens = Uint32Array.from(get('cu_seqlens'))
      const size = A * D
      const qkv = new Float32Array(T * 3 * size)
      ;['q', 'k', 'v'].forEach((part, at) => {
        for (let t = 0; t < T; t++) qkv.set(get(part).subarray(t * size, (t + 1) * size), (t * 3 + at) * size)
      })
      const keyMask = Uint32Array.from(get('key_mask'))
      const got = await run({ qkv, keyMask, cuSeqlens, dout: get('dy'), T, A, D })
      expectClose(got.out, get('y'), 1e-5, { label: 'out' })
      ;['dq', 'dk', 'dv'].forEach((part, at) => {
        const own = got.dqkv.filter((_, i) => Math.floor(i / size) % 3 === at)
        expectClose(own, get(part), 1e-5, { label: part })
      })
    })
  }
} else console.log(`skip: ${FROZEN} is absent`)

test.after(() => gpu.close())
test.run()
