import { expectOneOf } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import castWgsl from '../wgsl/cast.ts'
import f16 from '../wgsl/f16.ts'
import { expectSizes, expectView, expectViews, given } from './checks.ts'
import { walking } from './width.ts'

const WG = 256
const kernel = (entry: string, bindings: Access[] = ['read', 'write']) =>
  defineKernel({
    name: 'cast',
    wgsl: f16 + castWgsl,
    entry,
    params: { n: 'u32' },
    bindings,
    workgroup: WG,
  })
const casts = walking({ f16: kernel('to_f16'), f32: kernel('to_f32') }, 4)
const blocks = walking({ f16: kernel('blocks', ['read', 'read', 'write']) }, 4)

/** Values of a block of `castBlocks`. */
export const CAST_BLOCK = 64

/**
 * y = x in another storage type. float32 to f16 rounds to nearest; magnitudes from 65520 become infinity. f16 to float32 is
 * exact. f16 is packed in pairs, the first of two in the low 16 bits of a uint32; x, y: [n] in two buffers.
 *
 * @throws ShapeError unless n is a multiple of 4
 */
export function cast(gpu: Gpu, options: { x: View; y: View; n: number; to: 'f16' | 'f32' }): void {
  const { x, y, n, to } = given('cast', gpu, options)
  expectSizes('cast', { n })
  expectOneOf('cast: to', to, ['f16', 'f32'])
  expectView('cast', 'x', x, n, to === 'f16' ? 'f32' : 'f16')
  expectView('cast', 'y', y, n, to)
  if (n % 4) throw new ShapeError(`f16 storage takes multiples of 4 values, got ${n}`)
  if (n === 0) return
  const { kernels, per } = casts(gpu.forms.kind)
  gpu.launch(kernels[to], { n: n / 4 }, [x, y], Math.ceil(n / 4 / (WG * per)))
}

/**
 * Blocks of 64 float32 to f16, each to a place of its own: block b of x goes to block places[b] of y (64 halves, 128 bytes). So
 * arrays that lie one behind the other can be moved apart. x: [64 n] float32, places: [n] uint32, y: f16.
 */
export function castBlocks(gpu: Gpu, options: { x: View; places: View; y: View; n: number }): void {
  const { x, places, y, n } = given('castBlocks', gpu, options)
  expectSizes('castBlocks', { n })
  expectViews('castBlocks', { x }, n * CAST_BLOCK)
  expectViews('castBlocks', { places }, n)
  expectViews('castBlocks', { y }, 0)
  const { kernels, per } = blocks(gpu.forms.kind)
  const fours = n * (CAST_BLOCK / 4)
  gpu.launch(kernels.f16, { n: fours }, [x, places, y], Math.ceil(fours / per / WG))
}
