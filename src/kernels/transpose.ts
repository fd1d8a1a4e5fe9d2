import { ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/transpose.ts'
import { expectSizes, expectViews, given } from './checks.ts'

const kernel = defineKernel({
  name: 'transpose',
  wgsl,
  entry: 'transpose4',
  params: { rows4: 'u32', columns4: 'u32' },
  bindings: ['read', 'write'],
})
const tiles = { ...kernel, entry: 'tiles', workgroup: 256 }
const TILE = 32

/**
 * y = the transpose of x. x: [R, C], y: [C, R], float32, in two buffers.
 *
 * @throws ShapeError unless R and C are multiples of 4
 */
export function transpose(gpu: Gpu, options: { x: View; y: View; R: number; C: number }): void {
  const { x, y, R, C } = given('transpose', gpu, options)
  expectSizes('transpose', { R, C })
  expectViews('transpose', { x, y }, R * C)
  if (R % 4 || C % 4)
    throw new ShapeError(`transpose takes multiples of 4 rows and columns, got [${R}, ${C}]`)
  if (R * C === 0) return
  const params = { rows4: R / 4, columns4: C / 4 }
  if (gpu.forms.kind === 'hardware')
    gpu.launch(tiles, params, [x, y], Math.ceil(R / TILE) * Math.ceil(C / TILE))
  else gpu.launch(kernel, params, [x, y], Math.ceil((R * C) / 16 / kernel.workgroup))
}
