// Every form of the matrix product against the oracle. The texts of loads and epilogues are shared by all forms: the small tiles,
// which compile fast, run each of their variants. The large ones prove their own loops in every layout, over ragged edges, with
// whole vectors and with single values by turns, and the fullest epilogue; all variants of each run where CI is set.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { View } from '../../src/gpu/index.ts'
import { dropout } from '../../src/kernels/dropout.ts'
import { add } from '../../src/kernels/elementwise.ts'
import { gelu } from '../../src/kernels/gelu.ts'
import { candidates, type MatmulLayout, matmul, matmulForms } from '../../src/kernels/matmul.ts'
import { unusable } from '../../src/kernels/matmul-forms.ts'
import { relu } from '../../src/kernels/relu.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const LAYOUTS: MatmulLayout[] = ['NN', 'NT', 'TN']
const PAD = 70 // elements after c that must stay as they are

interface Case {
  M: number
  N: number
  K: number
  layout: MatmulLayout
  scale?: number
  form?: string
  splits?: number
}

/** Runs a case plain, then with bias and accumulate on top of its own result; or one of both. */
async function check(
  { M, N, K, layout, scale = 1, form, splits }: Case,
  runs: 'both' | 'plain' | 'added' = 'both',
): Promise<void> {
  const label = `${layout} ${M}x${N}x${K} ${form ?? ''} splits ${splits ?? ''}`
  const [aData, bData, biasData] = [seeded(M * K, 1, scale), seeded(K * N, 2), seeded(N, 3, scale)]
  const padding = seeded(PAD, 4)
  const [a, b, bias] = [gpu.from(aData), gpu.from(bData), gpu.from(biasData)]
  const whole = gpu.acquire((M * N + PAD) * 4)
  gpu.upload(whole, padding, M * N * 4)
  const c: View = { ...whole, size: M * N * 4 }
  const product = reference.matmul({ a: aData, b: bData, M, N, K, layout })
  // Float32 sums in some order: each of K terms may add half an ulp of the running sum.
  const bound = 3e-7 * Math.sqrt(K) + 1e-6

  // Sums of a over K, as the column sums of a [K, M], with elements behind them that must stay as they are.
  const sums = layout === 'TN' ? gpu.acquire((M + PAD) * 4) : undefined
  if (sums) gpu.upload(sums, padding, M * 4)
  const columns = Float64Array.from({ length: M }, (_, m) => {
    let sum = 0
    for (let k = 0; k < K; k++) sum += aData[k * M + m]!
    return sum
  })
  const checkSums = async (times: number) => {
    if (!sums) return
    const got = await gpu.readFloats({ ...sums, size: (M + PAD) * 4 })
    const expected = columns.map(v => v * times)
    expectClose(got.subarray(0, M), expected, bound, { label: `${label} sums` })
    assert.equal(got.subarray(M), padding, `${label} wrote past its sums' end`)
  }

  if (runs !== 'added') {
    matmul(gpu, { a, b, c, M, N, K, layout, form, splits, sums })
    await checkSums(1)
    expectClose(await gpu.readFloats(c), product, bound, { label })
  } else {
    gpu.upload(c, Float32Array.from(product))
    if (sums) gpu.upload(sums, Float32Array.from(columns))
  }
  if (runs !== 'plain') {
    matmul(gpu, { a, b, c, bias, M, N, K, layout, form, splits, sums, accumulate: true })
    await checkSums(2)
    expectClose(
      await gpu.readFloats(c),
      product.map((value, i) => 2 * value + biasData[i % N]!),
      bound,
      { label: `${label} accumulate` },
    )
  }
  assert.equal(
    await gpu.readFloats({ ...whole, size: (M * N + PAD) * 4 }).then(all => all.subarray(M * N)),
    padding,
    `${label} wrote past its end`,
  )
  for (const view of [a, b, bias, whole, ...(sums ? [sums] : [])]) gpu.release(view)
}

/** Sizes that cross a tile's edges each in its own way. */
const EDGES = [
  [1, 1, 1],
  [1, 12, 8],
  [2, 3, 5],
  [17, 20, 12],
  [20, 18, 10],
  [33, 36, 7],
  [64, 64, 64],
] as const

const usable = Object.keys(matmulForms).filter(name => unusable(gpu, matmulForms[name]!) === undefined)
const everything = Boolean(process.env.CI)
/** Forms whose tiles compile for a second. */
const large = usable.filter(
  form => matmulForms[form]!.rows * matmulForms[form]!.columns >= 256 && form !== 'quad 16x32',
)
/** Those that this adapter's table takes first, of any shape. */
const first = new Set(
  [8, 100, 800, 3072].flatMap(M =>
    [8, 64, 768, 3072].flatMap(N =>
      LAYOUTS.flatMap(layout => [16, 768].map(K => candidates(gpu, { M, N, K, layout })[0]!)),
    ),
  ),
)
const left = large.filter(form => !first.has(form))
if (!everything) {
  console.log(`skip: ${left.join(', ')}: they compile for half a minute; set CI=1 to run them`)
  console.log(
    `skip: ${large.join(', ')} in every size and epilogue: they compile for minutes; set CI=1 to run them`,
  )
}

test('few rows take a tile of few rows where there is one, with the bits of the others', async () => {
  const [form, other] = ['broadcast 8x64', 'broadcast 32x64']
  if (gpu.forms.kind !== 'system software' || !(usable.includes(form) && usable.includes(other))) return
  const choice = (M: number, N: number) => candidates(gpu, { M, N, K: 768, layout: 'NT' })[0]
  assert.equal(
    [3, 8, 9].map(M => choice(M, 768) === form),
    [true, true, false],
  )
  assert.is.not(choice(8, 128), form)
  const [M, N, K] = [3, 260, 770]
  const floats = (n: number) => gpu.from(seeded(n, 5))
  const [a, b] = [floats(M * K), floats(N * K)]
  const results: Float32Array[] = []
  for (const form of [undefined, other]) {
    const c = gpu.acquire(4 * M * N)
    matmul(gpu, { a, b, c, M, N, K, layout: 'NT', form })
    results.push(await gpu.readFloats({ ...c, size: 4 * M * N }))
    gpu.release(c)
  }
  assert.equal(results[0], results[1])
})

for (const [i, form] of usable.entries()) {
  if (!everything && left.includes(form)) continue
  for (const [j, layout] of LAYOUTS.entries()) {
    test(`form ${form} ${layout} agrees with the oracle over odd sizes`, async () => {
      // Tiles of workgroups take seconds to compile for each way in which sizes divide by four.
      const own = matmulForms[form]!.how === 'workgroup'
      if ((everything && !own) || !large.includes(form))
        for (const [M, N, K] of EDGES) await check({ M, N, K, layout, form })
      else if (everything)
        for (const [M, N, K] of [...EDGES.slice(3, 5), [132, 260, 72] as const])
          await check({ M, N, K, layout, form })
      // More than one tile each way, the last of them ragged.
      else if ((i + j) % 2) await check({ M: 70, N: 132, K: 24, layout, form }, 'plain')
      else await check({ M: 67, N: 69, K: 23, layout, form }, 'added')
    })
  }
}

test('rows of b that share cache sets, turned first or not, give the same as any others', async () => {
  for (const [M, N] of [
    [131, 36],
    [131, 33],
    [12, 36],
  ] as const)
    await check({ M, N, K: 1024, layout: 'NT' })
})

for (const layout of LAYOUTS) {
  test(`${layout} in parts of K, some of them empty, agrees with the oracle`, async () => {
    for (const [M, N, K, splits] of [
      [5, 7, 1030, 4],
      [8, 8, 520, 2],
      [3, 4, 10, 7],
      [2, 2, 4101, undefined],
    ] as const)
      await check({ M, N, K, layout, splits })
  })

  test(`${layout} with values of 1e4 and 1e-8`, async () => {
    for (const scale of [1e4, 1e-8]) await check({ M: 65, N: 33, K: 70, layout, scale })
  })

  if (everything || layout === 'TN')
    test(`${layout} at a size that takes the largest tile`, async () => {
      await check({ M: 1025, N: 260, K: 388, layout }, everything ? 'both' : 'plain')
    })
}

interface Chain {
  activation: 'none' | 'gelu' | 'relu'
  p: number
  pre: boolean
  residual: boolean
}

/** Runs an epilogue fused and as a chain of kernels, and compares both with the oracle and with each other. */
async function checkEpilogue(
  { M, N, K, layout, form, splits }: Case,
  { activation, p, pre, residual }: Chain,
): Promise<void> {
  const label = `${layout} ${M}x${N}x${K} ${form ?? ''} splits ${splits ?? ''} ${activation} p ${p}`
  const n = M * N
  const rng = { seed: 11, layer: 3, step: 5 }
  const [aData, bData, biasData, added] = [seeded(M * K, 1), seeded(K * N, 2), seeded(N, 3), seeded(n, 4)]
  const inputs = [aData, bData, biasData, added].map(data => gpu.from(data))
  const [a, b, bias, other] = inputs as [View, View, View, View]
  const [c, before, x, y, z, w] = Array.from({ length: 6 }, () => gpu.acquire(n * 4)) as View[]
  matmul(gpu, {
    ...{ a, b, c: c!, bias, M, N, K, layout, form, splits, activation },
    ...(pre ? { pre: before } : {}),
    ...(p ? { dropout: { p, rng } } : {}),
    ...(residual ? { residual: other } : {}),
  })
  const fused = await gpu.readFloats(c!)

  matmul(gpu, { a, b, c: x!, bias, M, N, K, layout, form, splits })
  let [last, spare] = [x!, y!]
  const then = (run: (x: View, y: View) => void) => {
    run(last, spare)
    ;[last, spare] = [spare, last === x ? z! : w!]
  }
  if (activation === 'gelu') then((x, y) => gelu(gpu, { x, y, n }))
  if (activation === 'relu') then((x, y) => relu(gpu, { x, y, n }))
  if (p) then((x, y) => dropout(gpu, { x, y, p, rng, n }))
  if (residual) then((a, out) => add(gpu, { a, b: other, out, n }))
  const unfused = await gpu.readFloats(last)

  const product = reference.matmul({ a: aData, b: bData, M, N, K, layout })
  const sums = product.map((value, i) => value + biasData[i % N]!)
  let expected: Float64Array = sums
  if (activation === 'gelu') expected = reference.gelu(expected)
  if (activation === 'relu') expected = reference.relu(expected)
  if (p) expected = reference.dropout({ x: expected, p, rng })
  const dropped = Array.from(expected, value => value === 0)
  if (residual) expected = reference.add(expected, added)
  const bound = 3e-7 * Math.sqrt(K) + 1e-6
  expectClose(fused, expected, bound, { label })
  expectClose(fused, unfused, 2e-6, { label: `${label} against the chain` })
  if (p && activation !== 'relu' && !residual)
    assert.equal(
      Array.from(fused, value => value === 0),
      dropped,
      `${label}: the mask`,
    )
  if (pre) expectClose(await gpu.readFloats(before!), sums, bound, { label: `${label} pre` })
  for (const view of [...inputs, c!, before!, x!, y!, z!, w!]) gpu.release(view)
}

const CHAINS: Chain[] = [
  { activation: 'gelu', p: 0, pre: true, residual: false },
  { activation: 'relu', p: 0.3, pre: false, residual: false },
  { activation: 'none', p: 0.1, pre: false, residual: true },
  { activation: 'gelu', p: 0.5, pre: true, residual: true },
  { activation: 'none', p: 0.2, pre: false, residual: false },
]

// The largest tiles run the two chains that hold all of the epilogue, or the fuller of both.
const LARGEST = /(32x64|64x64|128x128|workgroup 32x32)$/
const chainsOf = (form: string) =>
  [...CHAINS.entries()].filter(([i]) => !LARGEST.test(form) || i === 1 || i === 3)

for (const [at, form] of usable.entries()) {
  if (!everything && left.includes(form)) continue
  test(`form ${form}: fused epilogues equal the chain of kernels and the oracle`, async () => {
    const [whole, ragged] = [
      { M: 37, N: 40, K: 24 },
      { M: 7, N: 35, K: 13 },
    ]
    if (!everything && large.includes(form))
      return checkEpilogue({ ...(at % 2 ? whole : ragged), layout: LAYOUTS[at % 3]!, form }, CHAINS[3]!)
    for (const [i, chain] of chainsOf(form)) {
      const layout = LAYOUTS[i % 3]!
      await checkEpilogue({ ...whole, layout, form }, chain)
      await checkEpilogue({ ...ragged, layout, form }, chain)
    }
  })
}

test('fused epilogues over parts of K', async () => {
  for (const chain of CHAINS) {
    await checkEpilogue({ M: 9, N: 12, K: 600, layout: 'TN', splits: 3 }, chain)
    await checkEpilogue({ M: 5, N: 7, K: 601, layout: 'NT', splits: 2 }, chain)
  }
})

/** A product of rows with a NaN, zeros and numbers of both signs, through ReLU. */
async function checkNaN(N: number, form: string, splits: number): Promise<void> {
  const [M, K] = [3, 64]
  const [a, b] = [new Float32Array(M * K), seeded(K * N, 2)]
  a.set(seeded(K, 1))
  a[K] = Number.NaN // row 1 sums to NaN, row 2 to zeros
  const views = [
    gpu.from(a),
    gpu.from(b),
    gpu.acquire(M * N * 4),
    gpu.acquire(M * N * 4),
    gpu.acquire(M * N * 4),
  ]
  const [av, bv, c, x, y] = views as [View, View, View, View, View]
  const product = { a: av, b: bv, M, N, K, layout: 'NN', form, splits } as const
  matmul(gpu, { ...product, c, activation: 'relu' })
  matmul(gpu, { ...product, c: x })
  relu(gpu, { x, y, n: M * N })
  const [fused, apart] = [await gpu.readUints(c), await gpu.readUints(y)]
  assert.equal(fused, apart, `${form} splits ${splits} N ${N}: the bits of relu`)
  const values = new Float32Array(fused.buffer, fused.byteOffset, M * N)
  assert.ok(values.subarray(N, 2 * N).every(Number.isNaN), `${form} splits ${splits} N ${N}: NaN is kept`)
  assert.ok(values.subarray(0, N).some(v => v > 0) && values.subarray(0, N).some(v => v === 0))
  for (const view of views) gpu.release(view)
}

for (const form of usable) {
  if (large.includes(form) && !(everything && /32x(32|64)$/.test(form))) continue
  test(`form ${form}: ReLU in the epilogue keeps a NaN, and gives the bits of relu`, async () => {
    for (const N of [8, 7]) await checkNaN(N, form, 1)
    if (form === '4x4') for (const N of [8, 7]) await checkNaN(N, form, 2)
  })
}

if (first.has('workgroup 32x32') || everything) {
  test('sums of a beside a product in parts of K, through workgroup memory', async () => {
    await check({ M: 36, N: 40, K: 100, layout: 'TN', form: 'workgroup 32x32', splits: 3 })
  })
}

test('every candidate is usable, and none is named twice', () => {
  for (const [M, N, K] of [
    [1, 1, 1],
    [1, 4096, 4096],
    [64, 1024, 873],
    [768, 768, 768],
    [100_000, 2, 3],
  ] as const) {
    const names = candidates(gpu, { M, N, K, layout: 'NN' })
    assert.ok(names.length > 0)
    assert.is(new Set(names).size, names.length)
    for (const name of names) assert.ok(usable.includes(name), `${name} for ${M}x${N}x${K}`)
  }
})

test('a form that this device cannot run is an error that says why', () => {
  const view = gpu.acquire(4)
  const others = Object.keys(matmulForms).filter(name => !usable.includes(name))
  assert.ok(others.length > 0, 'no device has subgroups of 4 and of 8 only')
  for (const form of others)
    assert.throws(
      () => matmul(gpu, { a: view, b: view, c: view, M: 1, N: 1, K: 1, layout: 'NN', form }),
      /cannot run here: it needs/,
    )
})

test('a form cannot be changed: the kernels made for it are kept', () => {
  for (const form of Object.values(matmulForms))
    assert.throws(() => Object.assign(form, { rows: 2 }), TypeError)
})

test('no rows: nothing is launched', () => {
  const view = gpu.acquire(4)
  const { launches } = gpu.counts
  matmul(gpu, { a: view, b: view, c: view, M: 0, N: 4, K: 4, layout: 'NN' })
  assert.is(gpu.counts.launches, launches)
})

test('K = 0 gives the bias', async () => {
  const bias = gpu.from(Float32Array.of(1, 2, 3))
  const [empty, c] = [gpu.from(new Float32Array(4)), gpu.acquire(24)]
  matmul(gpu, { a: empty, b: empty, c, bias, M: 2, N: 3, K: 0, layout: 'NN' })
  assert.equal([...(await gpu.readFloats(c))], [1, 2, 3, 1, 2, 3])
})

test('an unknown form is an error', () => {
  const view = gpu.acquire(4)
  assert.throws(
    () => matmul(gpu, { a: view, b: view, c: view, M: 1, N: 1, K: 1, layout: 'NN', form: '3x3' }),
    /form is '3x3', which is unknown; expected one of /,
  )
})

test('the same product twice is bitwise the same', async () => {
  const [M, N, K] = [37, 50, 2000]
  const [a, b] = [gpu.from(seeded(M * K, 5)), gpu.from(seeded(K * N, 6))]
  const [c, d] = [gpu.acquire(M * N * 4), gpu.acquire(M * N * 4)]
  for (const out of [c, d]) matmul(gpu, { a, b, c: out, M, N, K, layout: 'TN' })
  assert.equal(await gpu.readUints(c), await gpu.readUints(d))
})

test.after(() => gpu.close())
test.run()
