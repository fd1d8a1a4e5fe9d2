// Neighbouring lanes touch neighbouring memory: the addresses of one launch of each kernel of a training step, in its form for cards.
// Waits for CI: each instruction's addresses of a whole step take most of a minute
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bmmRows } from '../../bench/rows/bmm.ts'
import { crossAttentionRows } from '../../bench/rows/cross_attention.ts'
import { SIZES } from '../../bench/size.ts'
import { startTraining } from '../../bench/training.ts'
import { defineKernel, findAdapter, Gpu } from '../../src/gpu/index.ts'
import { type Traced, traceLaunches } from '../support/traced.ts'

/** Bytes that a card fetches at once, and lanes that fetch together. */
const LINE = 64
const WAVE = 32
/** Of the bytes fetched, the least that a wave is to use, unless it fetches as few lines as these. */
const USED = 0.5
const FEW_LINES = 2

/** Kernels whose lanes are far apart yet, and why. Whoever gives one a form for cards deletes its line. */
const APART: Record<string, string> = {
  'matmul.main': 'a tile of an invocation’s own: its neighbours are whole rows away',
}

async function openTracing(): Promise<Gpu> {
  const found = await findAdapter()
  const { adapter } = found
  const {
    maxStorageBuffersPerShaderStage: buffers,
    maxBufferSize,
    maxStorageBufferBindingSize,
  } = adapter.limits
  const device = await adapter.requestDevice({
    requiredFeatures: (['shader-f16', 'subgroups'] as const).filter(feature => adapter.features.has(feature)),
    requiredLimits: {
      maxStorageBuffersPerShaderStage: Math.min(buffers, 16),
      maxBufferSize,
      maxStorageBufferBindingSize,
    },
  })
  return new Gpu(device, found, { forms: 'hardware' })
}

/** Of the bytes that the waves of a workgroup fetch at a place, those that are used, by 16 bytes: what lies between is used at a place beside it. */
function used({ lanes, bytes }: Traced): number {
  let [useful, fetched] = [0, 0]
  for (let first = 0; first < lanes.length; first += WAVE) {
    const touched = lanes.slice(first, first + WAVE).filter(at => at !== undefined)
    const by = (size: number) =>
      size * new Set(touched.flatMap(at => [Math.floor(at / size), Math.floor((at + bytes - 1) / size)])).size
    if (by(LINE) <= FEW_LINES * LINE) continue
    useful += by(16)
    fetched += by(LINE)
  }
  return fetched ? useful / fetched : 1
}

const gpu = await openTracing()
const tracing = traceLaunches(gpu)
const modes = process.env.CI ? [false, true] : [false]
if (modes.length === 1) console.log('skip: a step in f16; set CI=1')
for (const fp16 of modes) {
  const training = startTraining(gpu, { size: 'tiny', dropout: true, fp16, batches: 1 })
  training.record(0)
  await gpu.done()
  training.dispose()
}
// Families that no step of this model launches.
const beside = [...bmmRows(SIZES.tiny), ...crossAttentionRows(SIZES.tiny)]
for (const row of beside) row.setup(gpu).run()
const traced = await tracing.take()
const apart = traced.filter(place => used(place) < USED)

test('every family of the step is traced, and those beside it', () => {
  const families = new Set(traced.map(({ kernel }) => kernel.split('.')[0]))
  for (const family of [
    'matmul',
    'attention',
    'layernorm',
    'gelu',
    'embedding',
    'reduce',
    'AdamW',
    'mean_pool',
    'bmm',
    'cross_attention',
  ])
    assert.ok(families.has(family), family)
})

test('waves use what they fetch', () => {
  const wrong = apart.filter(({ kernel }) => !(kernel in APART))
  const told = wrong.map(
    place => `${place.kernel}, ${place.text}: ${used(place).toFixed(2)}, ${place.lanes.slice(0, 8)}`,
  )
  assert.is(wrong.length, 0, told.join('\n'))
})

test('what is listed as far apart still is', () => {
  const done = Object.keys(APART).filter(name => !apart.some(({ kernel }) => kernel === name))
  assert.is(done.length, 0, `delete from APART: ${done}`)
})

test('a kernel whose lanes each walk a row of their own is found', async () => {
  const kernel = defineKernel({
    name: 'walk',
    entry: 'main',
    params: { width: 'u32' },
    bindings: ['read', 'write'],
    wgsl: `
const WG: u32 = 64;
struct Params { width: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) local: u32) {
  y[local] = x[local * params.width];
}`,
  })
  const width = 32
  const [x, y] = [gpu.from(new Float32Array(64 * width).fill(2)), gpu.acquire(256)]
  gpu.launch(kernel, { width }, [x, y], 1)
  assert.equal([...new Set(await gpu.readFloats(y))], [2], 'it computes what it did')
  const [write, read] = (await tracing.take()).sort((a, b) => (a.name < b.name ? 1 : -1)) as [Traced, Traced]
  assert.equal(
    write.lanes,
    Array.from({ length: 64 }, (_, i) => 4 * i),
  )
  assert.equal(
    read.lanes,
    Array.from({ length: 64 }, (_, i) => 4 * width * i),
  )
  assert.is(used(write), 1)
  assert.ok(used(read) < USED)
})

test.after(() => gpu.close())
test.run()
