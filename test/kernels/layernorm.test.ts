import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { layerNorm, layerNormBackward } from '../../src/kernels/layernorm.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { goldenFloats, goldenShape, goldenTest } from '../support/golden-ops.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
type Floats = Float32Array<ArrayBuffer>

/** Forward, then backward from the forward's own mean and rstd; everything read back. */
async function run(given: {
  x: Floats
  residual?: Floats
  weight: Floats
  bias: Floats
  dy: Floats
  rows: number
  H: number
  eps: number
  before?: Floats
  form?: 'rows' | 'blocks'
}) {
  const { rows, H, eps, before } = given
  const n = rows * H
  const [x, weight, bias] = [gpu.from(given.x), gpu.from(given.weight), gpu.from(given.bias)]
  const [y, sum, mean, rstd, dx] = [n, n, rows, rows, n].map(size => gpu.acquire(size * 4))
  const common = { x, weight, bias, y: y!, mean: mean!, rstd: rstd!, rows, H, eps }
  if (given.residual) layerNorm(gpu, { ...common, residual: gpu.from(given.residual), sum: sum! })
  else layerNorm(gpu, common)
  const [dweight, dbias] = [guarded(gpu, H), guarded(gpu, H)]
  if (before) for (const { view } of [dweight, dbias]) gpu.upload(view, before)
  layerNormBackward(gpu, {
    dy: gpu.from(given.dy),
    x: given.residual ? sum! : x,
    weight,
    mean: mean!,
    rstd: rstd!,
    dx: dx!,
    dweight: dweight.view,
    dbias: dbias.view,
    rows,
    H,
    accumulate: before !== undefined,
    form: given.form,
  })
  await dweight.checkNeighbours()
  await dbias.checkNeighbours()
  const out = { y, mean, rstd, dx, dweight: dweight.view, dbias: dbias.view }
  const read: Record<string, Floats> = {}
  for (const [name, view] of Object.entries(out)) read[name] = await gpu.readFloats(view!)
  if (given.residual) read.sum = await gpu.readFloats(sum!)
  return read as Record<keyof typeof out | 'sum', Floats>
}

for (const [rows, H, scale, eps] of [
  [1, 1, 1e4, 1e-12],
  [9, 1, 1, 1e-5],
  [5, 7, 1, 1e-12],
  [1, 768, 1, 1e-12],
  [33, 768, 1, 1e-12],
  [131, 64, 1, 1e-5],
  [7, 64, 1e4, 1e-12],
  [7, 30, 1e-8, 1e-5],
] as const) {
  for (const residual of [false, true]) {
    const name = `${rows} x ${H}, values to ${scale}, eps ${eps}${residual ? ', residual' : ''}`
    test(`layerNorm and its gradients agree with the oracle: ${name}`, async () => {
      const given = {
        x: seeded(rows * H, 1, scale),
        ...(residual && { residual: seeded(rows * H, 2, scale) }),
        weight: seeded(H, 3).map(v => 1 + v),
        bias: seeded(H, 4),
        dy: seeded(rows * H, 5),
        rows,
        H,
        eps,
      }
      const got = await run(given)
      const expected = reference.layerNorm(given)
      expectClose(got.y, expected.y, 1e-5, { label: 'y' })
      expectClose(got.mean, expected.mean, 2e-7 * scale, { label: 'mean', absolute: true })
      expectClose(got.rstd, expected.rstd, 1e-5, { label: 'rstd' })
      if (residual) expectClose(got.sum, expected.sum, 1e-7, { label: 'sum' })
      const gradients = reference.layerNormBackward({ ...given, ...expected })
      if (H > 1) expectClose(got.dx, gradients.dx, 1e-5, { label: 'dx' })
      expectClose(got.dweight, gradients.dweight, 1e-5, { label: 'dweight' })
      expectClose(got.dbias, gradients.dbias, 2e-6, { label: 'dbias' })
    })
  }
}

test('a single column and rows of equal values have variance 0, whatever their size beside eps', async () => {
  for (const H of [1, 3, 768]) {
    const x = new Float32Array(H).fill(12345.678)
    const [weight, bias, dy] = [seeded(H, 1), seeded(H, 2), seeded(H, 3)]
    const got = await run({ x, weight, bias, dy, rows: 1, H, eps: 1e-12 })
    assert.equal(got.y, bias)
    assert.equal(got.mean, x.slice(0, 1))
    expectClose(got.rstd, [1e6], 1e-6)
    assert.equal([...got.dweight].map(Math.abs), new Array(H).fill(0))
    if (H === 1) assert.is(Math.abs(got.dx[0]!), 0)
  }
})

test('weight gradients are added to with accumulate, and bitwise the same each time', async () => {
  for (const [rows, H] of [
    [80, 768],
    [65, 9],
  ] as const) {
    const [x, dy, weight, before] = [seeded(rows * H, 1), seeded(rows * H, 2), seeded(H, 3), seeded(H, 4)]
    const given = { x, weight, bias: weight, dy, rows, H, eps: 1e-12 }
    const [once, again, more] = [await run(given), await run(given), await run({ ...given, before })]
    assert.equal(once, again)
    expectClose(more.dweight, reference.add(once.dweight, before), 1e-7)
    expectClose(more.dbias, reference.add(once.dbias, before), 1e-7)
  }
})

for (const [rows, H] of [
  [1, 768],
  [7, 30],
  [9, 1],
  [131, 64],
] as const) {
  test(`one pass for both sums agrees with a launch for each: ${rows} x ${H}`, async () => {
    const [x, dy, weight] = [seeded(rows * H, 1), seeded(rows * H, 2), seeded(H, 3)]
    const given = { x, weight, bias: weight, dy, rows, H, eps: 1e-5 }
    const [apart, once] = [await run({ ...given, form: 'rows' }), await run({ ...given, form: 'blocks' })]
    if (H > 1) expectClose(once.dx, apart.dx, 2e-6, { label: 'dx' })
    expectClose(once.dweight, apart.dweight, 2e-6, { label: 'dweight' })
    expectClose(once.dbias, apart.dbias, 2e-6, { label: 'dbias' })
    const expected = reference.layerNormBackward({ ...given, ...reference.layerNorm(given) })
    if (H > 1) expectClose(apart.dx, expected.dx, 1e-5, { label: 'dx of a launch for each' })
    expectClose(apart.dweight, expected.dweight, 1e-5, { label: 'dweight of a launch for each' })
  })
}

test('without rows the weight gradients are zero, or left when added to', async () => {
  const H = 6
  const none = new Float32Array(0)
  const given = { x: none, dy: none, weight: seeded(H, 1), bias: seeded(H, 2), rows: 0, H, eps: 1e-5 }
  const { dweight, dbias } = await run(given)
  assert.equal([dweight, dbias], [new Float32Array(H), new Float32Array(H)])
  const before = seeded(H, 3)
  const added = await run({ ...given, before })
  assert.equal([added.dweight, added.dbias], [before, before])
})

for (const name of ['1x1_1', '5x7_1', '17x768_1', '3x64_10000', '3x64_1e-07']) {
  goldenTest(`layerNorm and its gradients agree with PyTorch: ${name}`, async () => {
    const read = (part: string) => goldenFloats(`layernorm_${name}.${part}`)
    const [rows, H] = goldenShape(`layernorm_${name}.x`) as [number, number]
    const [x, weight, bias, dy] = ['x', 'weight', 'bias', 'dy'].map(read) as [Floats, Floats, Floats, Floats]
    const got = await run({ x, weight, bias, dy, rows, H, eps: 1e-12 })
    for (const part of ['y', 'dx', 'dweight', 'dbias'] as const) {
      expectClose(got[part], read(part), 1e-5, { label: part })
    }
  })
}

test.after(() => gpu.close())
test.run()
