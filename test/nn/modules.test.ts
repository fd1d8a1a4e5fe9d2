// Modules made of operators: normalizations, bags of ids, activations, layers without a bias.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter, scope, sum, type Tensor, tensor, writeParameter } from '../../src/autograd/index.ts'
import { nn } from '../../src/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, gradcheck, uniform } from '../../src/testing/index.ts'
import { loadWeights, saveWeights } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()

test('a Linear without a bias is a product, and says so', async () => {
  const layer = new nn.Linear(5, 3, { bias: false }).to(gpu, { seed: 1 })
  assert.is(layer.bias, undefined)
  assert.equal(
    [...layer.namedParameters()].map(([name]) => name),
    ['weight'],
  )
  assert.match(String(layer), /in_features=5, out_features=3, bias=False/)
  const x = uniform(20, 2)
  const y = scope(() => layer.forward(tensor(gpu, x, [4, 5])))
  const weight = await readParameter(layer.weight)
  expectClose(await y.read(), reference.matmul({ a: x, b: weight, M: 4, N: 3, K: 5, layout: 'NT' }), 1e-6)
  y.dispose()
  layer.free()
})

test('RMSNorm: values, and gradients of input and weight', async () => {
  const layer = new nn.RMSNorm(7, { eps: 1e-3 }).to(gpu, { seed: 1 })
  const weight = uniform(7, 3, { low: 0.5, high: 2 })
  writeParameter(layer.weight!, weight)
  const rows = (x: ArrayLike<number>) =>
    Float64Array.from(x, (v, i) => {
      const start = i - (i % 7)
      let squares = 0
      for (let c = 0; c < 7; c++) squares += x[start + c]! ** 2
      return (v / Math.sqrt(squares / 7 + 1e-3)) * weight[i % 7]!
    })
  await gradcheck(
    gpu,
    x => layer.forward(x),
    x => rows(x!),
    [{ data: uniform(21, 4), shape: [3, 7] }],
  )
  const x = uniform(14, 5)
  layer.weight!.zeroGrad()
  scope(() => sum(layer.forward(tensor(gpu, x, [2, 7]))).backward())
  const expected = rows(x)
  expectClose(
    await layer.weight!.readGrad(),
    Float64Array.from({ length: 7 }, (_, c) => (expected[c]! + expected[7 + c]!) / weight[c]!),
    1e-5,
  )
  layer.free()
})

/** Statistics and result of [N, C, L] by columns. */
function batchNorm(x: ArrayLike<number>, C: number, L: number, eps: number) {
  const N = x.length / C / L
  const places = (c: number) =>
    Array.from({ length: N * L }, (_, i) => (Math.floor(i / L) * C + c) * L + (i % L))
  const means: number[] = []
  const variances: number[] = []
  const y = new Float64Array(x.length)
  for (let c = 0; c < C; c++) {
    const at = places(c)
    const mean = at.reduce((total, i) => total + x[i]!, 0) / at.length
    const variance = at.reduce((total, i) => total + (x[i]! - mean) ** 2, 0) / at.length
    for (const i of at) y[i] = (x[i]! - mean) / Math.sqrt(variance + eps)
    means.push(mean)
    variances.push((variance * at.length) / (at.length - 1))
  }
  return { y, means, variances }
}

for (const [N, C, L] of [
  [6, 5, 0],
  [3, 2, 4],
] as const) {
  test(`BatchNorm1d of [${N}, ${C}${L ? `, ${L}` : ''}]: batch statistics, running ones, evaluation`, async () => {
    const shape = L ? [N, C, L] : [N, C]
    const length = L || 1
    const layer = new nn.BatchNorm1d(C).to(gpu, { seed: 1 })
    const x = uniform(N * C * length, 7, { low: -3, high: 5 })
    await gradcheck(
      gpu,
      x => layer.forward(x),
      x => batchNorm(x!, C, length, 1e-5).y,
      [{ data: x, shape }],
      { tolerance: 1e-3 },
    )
    const fresh = new nn.BatchNorm1d(C).to(gpu, { seed: 1 })
    const { y, means, variances } = batchNorm(x, C, length, 1e-5)
    const found = scope(() => fresh.forward(tensor(gpu, x, shape)))
    expectClose(await found.read(), y, 1e-5)
    expectClose(
      await readParameter(fresh.running_mean),
      means.map(v => 0.1 * v),
      1e-5,
    )
    expectClose(
      await readParameter(fresh.running_var),
      variances.map(v => 0.9 + 0.1 * v),
      1e-5,
    )
    fresh.eval()
    const [mean, variance] = [await readParameter(fresh.running_mean), await readParameter(fresh.running_var)]
    const still = scope(() => fresh.forward(tensor(gpu, x, shape)))
    const column = (i: number) => Math.floor(i / length) % C
    expectClose(
      await still.read(),
      Float64Array.from(x, (v, i) => (v - mean[column(i)]!) / Math.sqrt(variance[column(i)]! + 1e-5)),
      1e-5,
    )
    assert.equal(await readParameter(fresh.running_mean), mean)
    for (const made of [found, still]) made.dispose()
    layer.free()
    fresh.free()
  })
}

test('running statistics are buffers: saved under their names, in no optimizer, loaded as they were', async () => {
  const model = new nn.Sequential([new nn.Linear(3, 4), new nn.BatchNorm1d(4)]).to(gpu, { seed: 3 })
  model.unfreeze('*')
  assert.equal(
    [...model.namedParameters()].map(([name, { requiresGrad }]) => `${name} ${requiresGrad}`),
    ['0.weight true', '0.bias true', '1.weight true', '1.bias true'],
  )
  const buffers = ['1.running_mean', '1.running_var', '1.num_batches_tracked']
  assert.equal(
    [...model.namedBuffers()].map(([name]) => name),
    buffers,
  )
  assert.is(model.numParameters(), 24)
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 0.1, weightDecay: 0.5 })
  scope(() => sum(model.forward(tensor(gpu, uniform(15, 1), [5, 3]))).backward())
  const norm = [...model.namedModules()]
    .map(([, module]) => module)
    .find(module => module instanceof nn.BatchNorm1d)!
  const [mean, weight] = [await readParameter(norm.running_mean), await readParameter(norm.weight!)]
  optimizer.step()
  assert.equal(await readParameter(norm.running_mean), mean)
  assert.not.equal(await readParameter(norm.weight!), weight)
  assert.is(norm.num_batches_tracked.value, 1)
  const state = await model.stateDict()
  assert.equal([...state.keys()].slice(-3), buffers)
  assert.equal(state.get('1.num_batches_tracked'), { shape: [], data: BigInt64Array.of(1n) })
  assert.not.equal([...mean], [0, 0, 0, 0])
  const path = join(mkdtempSync(join(tmpdir(), 'kernelgrad-buffers-')), 'model.safetensors')
  await saveWeights(model, path)
  const again = new nn.Sequential([new nn.Linear(3, 4), new nn.BatchNorm1d(4)]).to(gpu, { seed: 7 })
  await loadWeights(again, path)
  assert.equal(await again.stateDict(), state)
  again.loadStateDict([['1.num_batches_tracked', { shape: [], data: [9] }]], { strict: false })
  assert.equal((await again.stateDict()).get('1.num_batches_tracked')!.data, BigInt64Array.of(9n))
  for (const [data, shape] of [
    [[-1], []],
    [[1.5], []],
    [[1, 2], []],
    [[1], [1]],
  ] as const)
    assert.throws(
      () => again.loadStateDict([['1.num_batches_tracked', { shape, data }]], { strict: false }),
      /'1\.num_batches_tracked' (is .*, expected one count of at least 0|has shape \[1\], expected \[\])/,
    )
  again.free()
  model.free()
})

test('BatchNorm1d refuses what it cannot normalize', () => {
  const layer = new nn.BatchNorm1d(3).to(gpu, { seed: 1 })
  const x = (...shape: number[]) => tensor(gpu, new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  assert.throws(() => layer.forward(x(2, 4)), /^BatchNorm1d takes \[N, 3\] or \[N, 3, L\], got \[2, 4\]/)
  assert.throws(
    () => layer.forward(x(1, 3)),
    /a batch of shape \[1, 3\] has 1 values a column, expected 2 or more while training/,
  )
  layer.free()
})

test('EmbeddingBag: sums, means and maxima of bags, without padding, and the gradient of the table', async () => {
  const [V, H] = [9, 4]
  const ids = Uint32Array.of(1, 5, 1, 8, 8, 2, 7, 8)
  const starts = Uint32Array.of(0, 3, 3, 5, 8)
  const table = uniform(V * H, 1)
  table.fill(0, 8 * H) // the padding row
  for (const mode of ['sum', 'mean', 'max'] as const) {
    const bag = new nn.EmbeddingBag(V, H, { mode, paddingIdx: 8 }).to(gpu, { seed: 1 })
    writeParameter(bag.weight, table)
    const y = scope(() => {
      const y = bag.forward(ids, starts).keep()
      sum(y).backward()
      return y
    })
    const expected = new Float64Array(4 * H)
    const grad = new Float64Array(V * H)
    for (let b = 0; b < 4; b++) {
      const own = [...ids.subarray(starts[b]!, starts[b + 1]!)].filter(id => id !== 8)
      for (let h = 0; h < H && own.length; h++) {
        const values = own.map(id => table[id * H + h]!)
        const top = Math.max(...values)
        const total = values.reduce((a, v) => a + v, 0)
        expected[b * H + h] = mode === 'max' ? top : mode === 'mean' ? total / own.length : total
        const share = mode === 'mean' ? 1 / own.length : 1
        const tied = values.filter(v => v === top).length
        for (const id of own)
          grad[id * H + h]! += mode === 'max' ? Number(table[id * H + h] === top) / tied : share
      }
    }
    expectClose(await y.read(), expected, 1e-6, { label: mode })
    expectClose(await bag.weight.readGrad(), grad, 1e-6, { label: `${mode} gradient` })
    y.dispose()
    bag.free()
  }
})

test('EmbeddingBag: rows that count by weights, and what is refused', async () => {
  const bag = new nn.EmbeddingBag(5, 2, { mode: 'sum' }).to(gpu, { seed: 2 })
  const table = await readParameter(bag.weight)
  const [ids, starts, weights] = [
    Uint32Array.of(4, 0, 4),
    Uint32Array.of(0, 2, 3),
    Float32Array.of(0.5, -1, 2),
  ]
  const w = tensor(gpu, weights, [3], { requiresGrad: true })
  const y = scope(() => {
    const y = bag.forward(ids, starts, w).keep()
    sum(y).backward()
    return y
  })
  const row = (id: number, h: number) => table[2 * id + h]!
  expectClose(
    await y.read(),
    [0, 1].flatMap(b => [0, 1].map(h => (b ? 2 * row(4, h) : 0.5 * row(4, h) - row(0, h)))),
    1e-6,
  )
  expectClose(
    await w.grad!.read(),
    [...ids].map(id => row(id, 0) + row(id, 1)),
    1e-6,
  )
  assert.throws(
    () => bag.forward(ids, Uint32Array.of(0, 2)),
    /starts ends at 2, expected 3, the number of ids/,
  )
  assert.throws(
    () => bag.forward(Uint32Array.of(5), Uint32Array.of(0, 1)),
    /id 5 at position 0 is out of range/,
  )
  const mean = new nn.EmbeddingBag(5, 2)
  assert.throws(() => mean.forward(ids, starts, w), /weights are for mode 'sum', this one has 'mean'/)
  for (const made of [w, y]) made.dispose()
  bag.free()
})

test('activation modules are their functions, and a module can be made of one', async () => {
  const x = uniform(13, 1, { low: -3, high: 3 })
  const modules: [nn.Layer, (v: number) => number, string][] = [
    [new nn.Sigmoid(), v => 1 / (1 + Math.exp(-v)), 'Sigmoid()'],
    [new nn.Tanh(), Math.tanh, 'Tanh()'],
    [new nn.SiLU(), v => v / (1 + Math.exp(-v)), 'SiLU()'],
    [new nn.Softplus(), v => Math.log1p(Math.exp(v)), 'Softplus(beta=1.0, threshold=20.0)'],
    [new nn.LeakyReLU(0.2), v => (v > 0 ? v : 0.2 * v), 'LeakyReLU(negative_slope=0.2)'],
    [new nn.ELU(), v => (v > 0 ? v : Math.expm1(v)), 'ELU(alpha=1.0)'],
    [new nn.Hardtanh(-0.5, 2), v => Math.min(Math.max(v, -0.5), 2), 'Hardtanh()'],
    [new nn.Identity(), v => v, 'Identity()'],
    [
      new nn.Lambda(function twice(x: Tensor) {
        return x.mul(2)
      }),
      v => 2 * v,
      'Lambda(twice)',
    ],
  ]
  for (const [module, of, name] of modules) {
    const y = scope(() => module.forward(tensor(gpu, x).mul(1)))
    expectClose(await y.read(), Array.from(x, of), 2e-6, { label: name })
    assert.is(String(module), name)
    y.dispose()
  }
  const y = scope(() =>
    new nn.Sequential([new nn.Softmax(), new nn.Lambda(x => x.log())]).forward(tensor(gpu, x, [1, 13])),
  )
  const logs = scope(() => new nn.LogSoftmax().forward(tensor(gpu, x, [1, 13])))
  expectClose(await y.read(), await logs.read(), 1e-5)
  for (const made of [y, logs]) made.dispose()
})

test.after(() => gpu.close())
test.run()
