// Waits for CI: it times every row once
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { floorOf } from '../../bench/floor.ts'
import { goalOf } from '../../bench/goals.ts'
import { benchGpuJs } from '../../bench/gpujs.ts'
import { benchKernels } from '../../bench/kernels.ts'
import { benchLosses } from '../../bench/losses.ts'
import { randomBatch, stepModel } from '../../bench/models.ts'
import { measurePeaks, type Peaks } from '../../bench/peaks.ts'
import type { Result } from '../../bench/report.ts'
import { FAMILIES } from '../../bench/rows/index.ts'
import { benchScaling } from '../../bench/scaling.ts'
import { SIZES } from '../../bench/size.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { createModel } from '../../src/models/index.ts'

// Seen from dist/test/bench.
const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url))
const kernels = new URL('../../../src/kernels/', import.meta.url)
// Files that are no family; names with a hyphen are parts of one.
const NO_FAMILY = ['checks', 'groups', 'strides', 'index', 'options', 'tuning', 'width']
const PEAKS: Peaks = {
  gflops: 100,
  gflopsF16: null,
  gbps: 10,
  emptyMs: 0.01,
  switchMs: 0.015,
  submitMs: 0.02,
  roundTripMs: 0.2,
}

const gpu = await openGpu({ poison: true })

test('every kernel family has rows', () => {
  const files = readdirSync(kernels).map(file => file.replace(/\.ts$/, ''))
  const families = files.filter(file => !NO_FAMILY.includes(file) && !file.includes('-'))
  assert.equal(Object.keys(FAMILIES).sort(), families.sort())
  for (const rowsOf of Object.values(FAMILIES)) assert.ok(rowsOf(SIZES.full).length > 0)
})

for (const [family, rowsOf] of Object.entries(FAMILIES)) {
  test(`the rows of ${family} compute finite numbers and give their memory back`, async () => {
    for (const row of rowsOf(SIZES.quick)) {
      assert.ok(row.name.startsWith(family), `${row.name} belongs to ${family}`)
      assert.ok(row.bytes > 0 && row.flops >= 0, `${row.name} states its work`)
      const before = gpu.memory.buffers
      const job = row.setup(gpu)
      job.run()
      for (const { view, n } of job.outputs) {
        const values = await gpu.readFloats({ ...view, size: n * 4 })
        const broken = values.findIndex(value => !Number.isFinite(value))
        assert.is(broken, -1, `${row.name}: element ${broken} is ${values[broken]}`)
      }
      job.dispose()
      assert.is(gpu.memory.buffers, before, `${row.name} keeps buffers`)
    }
  })
}

test('peaks are positive', async () => {
  const { gflopsF16, ...peaks } = await measurePeaks(gpu, { quick: true })
  for (const [name, value] of Object.entries(peaks))
    assert.ok(value > 0 && Number.isFinite(value), `${name} is ${value}`)
  if (gpu.features.has('shader-f16')) assert.ok(gflopsF16! > 0 && Number.isFinite(gflopsF16))
  else assert.is(gflopsF16, null)
})

test('a filter picks rows, and shares follow from work, time and peaks', async () => {
  const lines: string[] = []
  const options = { filter: 'gelu.b', quick: true, json: true, print: (line: string) => lines.push(line) }
  const results = await benchKernels(gpu, PEAKS, options)
  assert.equal(
    results.map(({ name }) => name),
    ['gelu.backward'],
  )
  const keys = ['name', 'shape', 'dtype', 'variant', 'ms', 'gflops', 'gbps', 'share', 'goal'] as const
  const printed = lines.map(line => JSON.parse(line) as Result)
  assert.equal(Object.keys(printed[0]!), [...keys])
  for (const key of keys) assert.is(printed[0]![key], results[0]![key], key)
  const { ms, best, gflops, gbps, share } = results[0]!
  const n = SIZES.quick.T * SIZES.quick.F
  assert.ok(best > 0 && best <= ms)
  assert.ok(Math.abs(gflops - (11 * n) / ms / 1e6) < 1e-9)
  assert.ok(Math.abs(gbps - (12 * n) / ms / 1e6) < 1e-9)
  assert.is(share, Math.max(gflops / 100, gbps / 10))
})

test('goals: the matmul shapes by subgroup size, bandwidth-bound rows where they are large', () => {
  const { subgroupMinSize } = gpu.adapter.adapter.info
  const rows = Object.values(FAMILIES).flatMap(rowsOf => rowsOf(SIZES.full))
  const matmuls = rows.filter(row => row.name.startsWith('matmul.') && goalOf(row, gpu) !== null)
  assert.is(matmuls.length, 9)
  for (const row of matmuls) assert.is(goalOf(row, gpu), subgroupMinSize === 8 ? 0.5 : 0.22)
  const goal = (name: string) => goalOf(rows.find(row => row.name === name)!, gpu)
  for (const name of [
    'layernorm.forward',
    'layernorm.backward',
    'gelu.backward',
    'reduce.columnSum',
    'optimizer.adamw.dense',
  ])
    assert.is(goal(name), 0.8, name)
  assert.is(goal('attention.forward'), null)
  assert.ok(FAMILIES.gelu!(SIZES.tiny).every(row => goalOf(row, gpu) === null))
})

test('gpu.js computes the same matmul, GELU and LayerNorm', async () => {
  const results = await benchGpuJs(gpu, PEAKS, { quick: true, samples: 1 })
  const by = (variant: string) => results.filter(result => result.variant === variant).map(({ name }) => name)
  assert.equal(by('gpu.js cpu'), ['matmul.NT', 'gelu.forward', 'layernorm.forward'])
  assert.equal(by('kernelgrad + transfers'), by('gpu.js cpu'))
})

test('losses over lists: a row each beside pointwise, and no memory kept', async () => {
  const before = gpu.memory.buffers
  const results = await benchLosses(gpu, { quick: true })
  assert.equal(
    results.map(({ loss }) => loss),
    ['pointwise', 'listwise', 'listwiseNormed', 'listNet', 'pairwise', 'lambdaRank'],
  )
  for (const { median, quartile, medianRatio } of results)
    assert.ok(median >= quartile && quartile > 0 && medianRatio > 0)
  assert.is(gpu.memory.buffers, before)
})

test('scaling: a point a share and a point a table size, each timed', async () => {
  const before = gpu.memory.buffers
  const results = await benchScaling(gpu, { quick: true })
  assert.equal(
    results.map(({ name, at, goal }) => [name, at, goal]),
    [
      ['encoder.keptShare', 1, null],
      ['encoder.keptShare', 0.5, 0.45],
      ['encoder.keptShare', 0.25, 0.45],
      ['optimizer.vocabulary', 200, null],
      ['optimizer.vocabulary', 2000, -0.1],
      ['optimizer.vocabulary+spread', 200, null],
      ['optimizer.vocabulary+spread', 2000, null],
    ],
  )
  for (const { ms, best } of results) assert.ok(best > 0 && best <= ms)
  const [whole, half, quarter] = results.map(({ ms }) => ms) as [number, number, number]
  assert.is(results[1]!.cut, 1 - half / whole)
  assert.is(results[2]!.cut, 1 - quarter / half)
  assert.is(gpu.memory.buffers, before)
})

test('the floor counts the operations on kept tokens', () => {
  const built = stepModel('tiny')
  const model = createModel(built.config)
  const [H, F, T, B] = [64, 256, 136, 16]
  const batch = randomBatch(built, 1)
  assert.is(batch.text!.keyMask.length, T)
  const { cuSeqlens } = batch.text!
  let pairs = 0
  for (let b = 0; b < B; b++) pairs += (cuSeqlens[b + 1]! - cuSeqlens[b]!) ** 2
  const mlp = 169 * 1024 + 1024 * 512 + 512 * 256 + 256 * 2
  const flops = 2 * T * 6 * (4 * H * H + 2 * H * F) + 6 * B * mlp + 2 * 12 * H * pairs
  const floor = floorOf(model, batch, { matmulGflops: 10, copyGbps: 5 })
  assert.is(floor.flops, flops)
  assert.is(floor.ms, flops / 1e7 + floor.bytes / 5e6)
})

test('step --full is the notebook’s model', () => {
  assert.is(createModel(stepModel('full').config).numParameters(), 143602190)
})

test('step --tiny ends with one JSON object: finite losses, nothing leaked', () => {
  const out = execFileSync(process.execPath, [main, 'step', '--tiny', '--steps', '4', '--json'], {
    encoding: 'utf8',
  })
  const result = JSON.parse(out.trimEnd().split('\n').at(-1)!)
  assert.is(result.parameters, 1447214)
  assert.is(result.loss.length, 7)
  assert.ok(result.loss.every((loss: number) => Number.isFinite(loss) && loss > 0))
  assert.is(result.leaked, 0)
  assert.is(result.created, 0)
  for (const key of ['ms', 'recordMs', 'launches', 'submits', 'peakBytes'])
    assert.ok(result[key] > 0, `${key} is ${result[key]}`)
})

test('a wrong call is one line and exit code 2', () => {
  for (const args of [
    ['kernel'],
    ['kernels', '--fast'],
    ['step', '--steps', '0'],
    ['step', '--tiny', '--full'],
    ['step', '--long', '--full'],
    ['estimate', '--fast'],
    ['--peer', 'tfjs'],
    ['--long'],
    ['--compare', '--long', '--full'],
    ['kernels', '--filter', ''],
  ]) {
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
    assert.is(status, 2, args.join(' '))
    assert.match(stderr, /^error: [^\n]+\n$/)
  }
})

test.after(() => gpu.close())
test.run()
