// The choice of forms and parts of K for GPUs: made by kind and vendor, filling a large card at a training step's shapes.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { candidates, type MatmulShape, matmulForms } from '../../src/kernels/matmul.ts'
import { cardOf } from '../../src/kernels/matmul-cards.ts'
import { DEVICES, splitsOf, tilesOf } from '../../src/kernels/matmul-forms.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const as = (vendor: string): typeof gpu =>
  Object.create(gpu, { forms: { value: { kind: 'hardware', vendor } } }) as typeof gpu

/** A linear layer's products: forward, gradient of its input, gradient of its weight. */
const layer = (rows: number, out: number, into: number): MatmulShape[] => [
  { layout: 'NT', M: rows, N: out, K: into },
  { layout: 'NN', M: rows, N: into, K: out },
  { layout: 'TN', M: out, N: into, K: rows },
]
/** 800 tokens of 64 texts, hidden 768; a head of 1,024, 512 and 256. */
const ENCODER = [layer(800, 2304, 768), layer(800, 768, 768), layer(800, 3072, 768), layer(800, 768, 3072)]
const HEAD = [layer(64, 1024, 873), layer(64, 512, 1024), layer(64, 256, 512), layer(64, 256, 1500)]
const SHAPES = [...ENCODER, ...HEAD].flat()

const invocationsOf = (name: string, { M, N }: MatmulShape, splits: number): number => {
  const form = matmulForms[name]!
  const tiles = tilesOf(form, M, N) * splits
  if (!form.lane) return Math.ceil(tiles / DEVICES.hardware.workgroup) * DEVICES.hardware.workgroup
  return ((tiles * form.rows) / form.lane[0]) * (form.columns / form.lane[1]) * (form.slices ?? 1)
}

for (const vendor of ['nvidia', 'amd', 'apple', 'intel', '']) {
  test(`${vendor || 'an unknown maker'}: products of a step keep four subgroups of 32 a unit busy, or all their size allows`, () => {
    const device = as(vendor)
    for (const shape of SHAPES) {
      const { M, N, K } = shape
      const name = candidates(device, shape)[0]!
      const splits = splitsOf(device.forms, name, shape)
      const label = `${shape.layout} ${M}x${N}x${K} ${name} in ${splits}`
      assert.is(matmulForms[name]!.how, 'workgroup', label)
      // The smallest tile of as many invocations as a workgroup has: more would take another launch.
      const possible = Math.ceil(M / 32) * Math.ceil(N / 32) * 256
      assert.ok(possible >= 4096)
      // Three quarters: a column of tiles more may cost more than it fills.
      const wanted = Math.max(Math.min(cardOf(vendor).units * 128, possible) * 0.75, 4096)
      assert.ok(invocationsOf(name, shape, splits) >= wanted, label)
    }
  })
}

test('parts of K are no shorter than 64 values, no longer than 1,536, and move at most half of what tiles load', () => {
  for (const vendor of ['nvidia', 'amd', 'apple', 'intel', 'arm', 'qualcomm', ''])
    for (const shape of [...SHAPES, { layout: 'TN', M: 64, N: 64, K: 100_000 } as const]) {
      const device = as(vendor)
      for (const name of candidates(device, shape)) {
        const splits = splitsOf(device.forms, name, shape)
        const part = shape.K / splits
        assert.ok(part <= 1536, `${name} parts of ${part}`)
        if (splits === Math.ceil(shape.K / 1536)) continue
        const { rows, columns, lanesM = 1 } = matmulForms[name]!
        assert.ok(part >= 64, `${name} parts of ${part}`)
        const loaded = part / (rows * lanesM) + part / columns // values a multiply-add's row and column, over those of c
        assert.ok(2 <= loaded / 2, `${name}: parts of ${part} move ${2 / loaded} of what is loaded`)
      }
    }
})

test('makers whose workgroup memory does not pay get forms in registers', () => {
  for (const vendor of ['arm', 'qualcomm'])
    for (const shape of SHAPES)
      for (const name of candidates(as(vendor), shape)) assert.is(matmulForms[name]!.how, 'invocation', name)
})

test('tiles of workgroups keep to the limits that every WebGPU device has', () => {
  for (const [name, { how, rows, columns, lane, step, slices = 1 }] of Object.entries(matmulForms)) {
    if (how !== 'workgroup') continue
    assert.ok(lane && step && rows % (8 * lane[0]) === 0 && columns % (8 * lane[1]) === 0, name)
    assert.ok((rows / lane[0]) * (columns / lane[1]) * slices <= 256, name)
    assert.ok(step * (rows + columns) * 4 <= 16384, name)
    // Slices leave their sums where the tiles were.
    if (slices > 1) assert.ok(slices * rows * columns <= step * (rows + columns), name)
  }
})

test.after(() => gpu.close())
test.run()
