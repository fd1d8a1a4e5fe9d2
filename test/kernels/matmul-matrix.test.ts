// The matrix product by matrix units. No software adapter has such units: groups of invocations play them, in the same text but for the units'
// own instructions. What real units do is tried on each device before they are taken (probeMatrixUnits).
// Waits for CI: its workgroups compile for half a minute
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { probeMatrixUnits } from '../../src/kernels/index.ts'
import { type MatmulLayout, type MatmulOptions, matmul } from '../../src/kernels/matmul.ts'
import { MATRIX_FORM } from '../../src/kernels/matmul-forms.ts'
import { type MatrixUnit, matrixUnits, offeredUnits, setMatrixUnit } from '../../src/kernels/matmul-units.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'
import { halves } from '../support/half.ts'

const gpu = await openTestGpu()
const here = gpu.adapter.kind !== 'system software' || Boolean(process.env.CI)
if (!here)
  console.log('skip: matrix units played by invocations: they compile for minutes on this adapter; set CI=1')
const native = gpu.features.has('shader-f16')
if (!native) console.log('skip: units that multiply halves: this adapter lacks shader-f16')

const played = (size: [BM: number, BN: number, BK: number], lanes: number, halves = false): MatrixUnit => {
  const [BM, BN, BK] = size
  return { BM, BN, BK, lanes, halves, named: false }
}
/** As Metal, Vulkan on NVIDIA and AMD, and Intel have them; of 16, 32 and 64 lanes: eight subgroups, or four. */
const UNITS = [
  played([8, 8, 8], 32),
  played([8, 16, 16], 16),
  played([16, 16, 16], 64),
  ...(native ? [played([16, 16, 16], 32, true), played([8, 16, 16], 16, true)] : []),
]
const LAYOUTS: MatmulLayout[] = ['NT', 'NN', 'TN']
const named = ({ BM, BN, BK, lanes, halves }: MatrixUnit) =>
  `${halves ? 'halves' : 'float32'} ${BM} x ${BN} x ${BK} of ${lanes}`

async function check(
  unit: MatrixUnit,
  [M, N, K]: readonly [number, number, number],
  layout: MatmulLayout,
  splits = 1,
) {
  const label = `${named(unit)} ${layout} ${M}x${N}x${K} in ${splits}`
  const kind = unit.halves ? 'f16' : 'f32'
  setMatrixUnit(gpu, kind, unit)
  const operand = (data: Float32Array<ArrayBuffer>) =>
    unit.halves ? halves(gpu, data) : { view: gpu.from(data), values: Float64Array.from(data) }
  const [a, b] = [operand(seeded(M * K, 1)), operand(seeded(K * N, 2))]
  const c = guarded(gpu, M * N)
  const sums = layout === 'TN' ? guarded(gpu, M) : undefined
  const options: MatmulOptions = {
    ...{ a: a.view, b: b.view, c: c.view, M, N, K, layout, splits },
    form: MATRIX_FORM,
    stored: { a: kind, b: kind },
    sums: sums?.view,
  }
  const bound = 3e-7 * Math.sqrt(K) + 1e-6
  const product = reference.matmul({ a: a.values, b: b.values, M, N, K, layout })
  matmul(gpu, options)
  const first = await gpu.readFloats(c.view)
  expectClose(first, product, bound, { label })
  if (sums) {
    const columns = reference.columnSum({ x: a.values, rows: K, C: M })
    expectClose(await gpu.readFloats(sums.view), columns, bound, { label: `${label}: sums` })
    await sums.checkNeighbours()
  }
  const bias = seeded(N, 3)
  const biasView = gpu.from(bias)
  matmul(gpu, { ...options, bias: biasView, accumulate: true, sums: undefined })
  const twice = product.map((value, i) => value + first[i]! + bias[i % N]!)
  expectClose(await gpu.readFloats(c.view), twice, bound, { label: `${label}: added` })
  await c.checkNeighbours()
  for (const view of [a.view, b.view, biasView]) gpu.release(view)
  setMatrixUnit(gpu, kind, undefined)
}

for (const [i, unit] of here ? UNITS.entries() : [])
  test(`${named(unit)} agree with the oracle over ragged tiles`, async () => {
    for (const [j, layout] of LAYOUTS.entries()) {
      // Each in one layout: its pipelines compile for seconds.
      if (i % 3 !== j) continue
      await check(unit, [132, 68, 44], layout)
      await check(unit, [64, 128, 16], layout)
      await check(unit, [8, 4, 100], layout, 3)
      if (!unit.halves) await check(unit, [67, 69, 23], layout)
    }
  })

test('its epilogue is that of the other forms', async () => {
  if (!here) return
  setMatrixUnit(gpu, 'f32', UNITS[0])
  const [M, N, K] = [70, 36, 20]
  const [a, b, bias, residual] = [M * K, N * K, N, M * N].map((n, i) => gpu.from(seeded(n, i + 1)))
  const run = async (form: string, splits: number) => {
    const [c, pre] = [guarded(gpu, M * N), guarded(gpu, M * N)]
    const dropout = { p: 0.3, rng: { seed: 3, layer: 1, step: 9 } }
    const more = { bias: bias!, residual: residual!, pre: pre.view, activation: 'gelu', dropout } as const
    matmul(gpu, { a: a!, b: b!, c: c.view, M, N, K, layout: 'NT', form, splits, ...more })
    await c.checkNeighbours()
    await pre.checkNeighbours()
    return [await gpu.readFloats(c.view), await gpu.readFloats(pre.view)] as const
  }
  for (const splits of [1, 2]) {
    const [own, wanted] = [await run(MATRIX_FORM, splits), await run('4x4', splits)]
    expectClose(own[0], wanted[0], 3e-6, { label: 'result' })
    expectClose(own[1], wanted[1], 3e-6, { label: 'before GELU' })
  }
  for (const view of [a!, b!, bias!, residual!]) gpu.release(view)
  setMatrixUnit(gpu, 'f32', undefined)
})

test('a probe takes what a device offers, and leaves alone what computes something else', async () => {
  assert.equal(await probeMatrixUnits(gpu), [], 'no software adapter has units')
  assert.equal(matrixUnits(gpu), {})
})

test('of what an adapter offers, the largest that sums in float32 and fits the tile', () => {
  const subgroupMatrixConfigs = [
    { componentType: 'f16', resultComponentType: 'f16', M: 16, N: 16, K: 16 },
    { componentType: 'f16', resultComponentType: 'f32', M: 8, N: 8, K: 8 },
    { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 },
    { componentType: 'f16', resultComponentType: 'f32', M: 64, N: 16, K: 16 },
    { componentType: 'i8', resultComponentType: 'i32', M: 16, N: 16, K: 32 },
    { componentType: 'f32', resultComponentType: 'f32', M: 8, N: 8, K: 8 },
  ]
  const device = (features: string[]) =>
    ({
      features: new Set(features),
      subgroups: { least: 32, most: 32 },
      adapter: { adapter: { info: { subgroupMatrixConfigs } } },
    }) as unknown as typeof gpu
  const feature = 'chromium-experimental-subgroup-matrix'
  assert.equal(offeredUnits(device([feature, 'shader-f16'])), [
    { BM: 16, BN: 16, BK: 16, halves: true },
    { BM: 8, BN: 8, BK: 8, halves: false },
  ])
  assert.equal(
    offeredUnits(device([feature])),
    [{ BM: 8, BN: 8, BK: 8, halves: false }],
    'without shader-f16',
  )
  assert.equal(offeredUnits(device(['shader-f16'])), [])
})

test('where there is no unit for the operands, the form is refused by name', () => {
  const n = gpu.acquire(64 * 64 * 4)
  const [b, c] = [gpu.acquire(64 * 64 * 4), gpu.acquire(64 * 64 * 4)]
  const product = { a: n, b, c, M: 64, N: 64, K: 64, layout: 'NT', form: MATRIX_FORM } as const
  assert.throws(() => matmul(gpu, product), /matrix 64x64' cannot run here.*probeMatrixUnits/)
  setMatrixUnit(gpu, 'f16', played([16, 16, 16], 32, true))
  assert.throws(() => matmul(gpu, product), /no matrix unit multiplies a of f32 by b of f32/)
  setMatrixUnit(gpu, 'f16', undefined)
})

test.after(() => gpu.close())
test.run()
