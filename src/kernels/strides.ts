// Where an operand's elements lie when it is broadcast, transposed or cut: an offset and a stride per dimension of the result.
import { expectDims } from '../check.ts'
import { ShapeError } from '../errors.ts'

/** Number of elements of a shape. */
export function numel(shape: readonly number[]): number {
  if (!Array.isArray(shape)) expectDims('numel: shape', shape)
  let product = 1
  let numbers = true
  for (const size of shape) {
    product *= size
    numbers &&= typeof size === 'number'
  }
  if (!numbers || !(product >= 0)) expectDims('numel: shape', shape)
  return product
}

/** Elements from one element to the next along each dimension of a row-major array. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = []
  let stride = 1
  for (const size of shape.toReversed()) {
    strides.unshift(stride)
    stride *= size
  }
  return strides
}

/** The strides of an array of `shape` seen as the larger `out`: 0 along what it is repeated over. */
export function broadcastStrides(shape: readonly number[], out: readonly number[]): number[] {
  const strides = stridesOf(shape)
  const ahead = out.length - shape.length
  return out.map((_, d) => (d < ahead || shape[d - ahead] === 1 ? 0 : strides[d - ahead]!))
}

/**
 * The shape that arrays of these shapes have together, as NumPy broadcasts: sizes are compared from the last on, and a size of 1, or
 * none, is repeated.
 *
 * @throws ShapeError naming the operation and the shapes
 */
export function broadcastShapes(name: string, shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map(({ length }) => length))
  return Array.from({ length: rank }, (_, d) => {
    let size = 1
    for (const shape of shapes) {
      const own = shape[d - rank + shape.length] ?? 1
      if (own === size || own === 1) continue
      if (size !== 1) {
        const all = shapes.map(shape => `[${shape.join(', ')}]`).join(' and ')
        throw new ShapeError(
          `${name}: shapes ${all} do not broadcast: dimension ${d - rank} is ${size} and ${own}; expected the same, or 1`,
        )
      }
      size = own
    }
    return size
  })
}

/** Dimensions after merging, the last one first, and each operand's strides along them. */
export interface Merged {
  sizes: number[]
  strides: number[][]
}

/** Neighbouring dimensions become one where every operand steps through them evenly; those of size 1 vanish. */
export function mergeDimensions(shape: readonly number[], operands: readonly (readonly number[])[]): Merged {
  const sizes: number[] = []
  const strides: number[][] = operands.map(() => [])
  for (let d = shape.length - 1; d >= 0; d--) {
    const size = shape[d]!
    if (size === 1) continue
    const last = sizes.length - 1
    if (last >= 0 && operands.every((own, k) => own[d] === strides[k]![last]! * sizes[last]!)) {
      sizes[last]! *= size
      continue
    }
    sizes.push(size)
    for (const [k, own] of operands.entries()) strides[k]!.push(own[d]!)
  }
  if (!sizes.length) {
    sizes.push(1)
    for (const own of strides) own.push(1)
  }
  return { sizes, strides }
}
