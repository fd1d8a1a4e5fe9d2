// Moves of elements by strides: transposes, cuts, repetition, putting together.
import { ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type Kernel, type View } from '../gpu/index.ts'
import divide from '../wgsl/divide.ts'
import wgsl from '../wgsl/strided.ts'
import { expectSizes, expectView, given } from './checks.ts'
import { mergeDimensions, numel } from './strides.ts'
import type { Storage } from './width.ts'

const WG = 256
const GROUP = WG * 4 // elements a workgroup covers

/** Where an array's elements are, counted in elements: the first one, and how far it is to the next along each dimension. */
export interface Steps {
  offset: number
  strides: readonly number[]
}

const kernels = new Map<string, Kernel>()

/** Whether elements move four at a time, as halves have to. */
export function movesInFours(shape: readonly number[], ...steps: readonly Steps[]): boolean {
  const merged = mergeDimensions(
    shape,
    steps.map(({ strides }) => strides),
  )
  return (
    merged.sizes[0]! % 4 === 0 &&
    steps.every(({ offset }) => offset % 4 === 0) &&
    merged.strides.every(own => own.every((stride, d) => (d === 0 ? stride === 1 : stride % 4 === 0)))
  )
}

/** How many elements an array has at least whose elements are there. */
function endOf(name: string, shape: readonly number[], { offset, strides }: Steps): number {
  if (strides.length !== shape.length)
    throw new ShapeError(`strided: ${name} has strides [${strides}], expected one a dimension of [${shape}]`)
  expectSizes(`strided: ${name}`, { offset, ...strides })
  return 1 + shape.reduce((last, size, d) => last + (size - 1) * strides[d]!, offset)
}

/**
 * y at `to` = x at `from`, for every index of `shape`. x and y are two buffers of one storage; no place of y is written twice.
 * What y has elsewhere stays.
 *
 * @throws ShapeError for halves that do not move four at a time
 */
export function strided(
  gpu: Gpu,
  options: {
    x: View
    y: View
    shape: readonly number[]
    from: Steps
    to: Steps
    storage?: Storage | undefined
  },
): void {
  const { x, y, shape, from, to, storage } = given('strided', gpu, options)
  const n = numel(shape)
  if (n === 0) return
  expectView('strided', 'x', x, endOf('from', shape, from), storage)
  expectView('strided', 'y', y, endOf('to', shape, to), storage)
  const fours = movesInFours(shape, from, to)
  if (storage === 'f16' && !fours)
    throw new ShapeError(`f16 storage moves four values at a time, and shape [${shape}] does not allow it`)
  const { sizes, strides } = mergeDimensions(shape, [from.strides, to.strides])
  const width = fours ? 4 : 1
  const constants = { RANK: sizes.length, WORDS: storage === 'f16' ? 2 : width }
  const params: Record<string, number> = {
    n: n / width,
    x0: from.offset / width,
    y0: to.offset / width,
  }
  for (const [d, size] of sizes.entries()) {
    params[`d${d}`] = d === 0 ? size / width : size
    for (const [k, name] of ['x', 'y'].entries())
      params[`${name}_step${d}`] = d === 0 ? strides[k]![0]! : strides[k]![d]! / width
  }
  const key = JSON.stringify(constants)
  let kernel = kernels.get(key)
  if (!kernel) {
    kernel = defineKernel({
      name: 'strided',
      prelude: divide,
      wgsl,
      entry: 'main',
      params: Object.fromEntries(Object.keys(params).map(name => [name, 'u32' as const])),
      bindings: ['read', 'write'],
      workgroup: WG,
      constants,
    })
    kernels.set(key, kernel)
  }
  gpu.launch(kernel, params, [x, y], Math.ceil(n / width / GROUP))
}
