import { shown } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import type { Shape } from '../tensor.ts'

/** One dimension, counted from the end where it is negative, or several. */
export type Axes = number | readonly number[]

/** A dimension of a shape, counted from 0. */
export function axisOf(name: string, shape: Shape, axis: number): number {
  const rank = shape.length
  if (Number.isInteger(axis) && axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis
  const expected = rank ? `expected ${-rank} to ${rank - 1}` : 'which has none'
  throw new ShapeError(`${name}: dimension ${shown(axis)} of shape [${shape.join(', ')}], ${expected}`)
}

/** Dimensions of a shape counted from 0, ascending, each once. */
export function axesOf(name: string, shape: Shape, axes: Axes): number[] {
  if (typeof axes !== 'number' && !Array.isArray(axes))
    throw new ShapeError(`${name}: dimensions are ${shown(axes)}, expected a number, or an array of numbers`)
  const whole = (typeof axes === 'number' ? [axes] : axes).map(axis => axisOf(name, shape, axis))
  const twice = whole.find((axis, i) => whole.indexOf(axis) !== i)
  if (twice !== undefined) throw new ShapeError(`${name}: dimension ${twice} is named twice`)
  return whole.toSorted((a, b) => a - b)
}

/** The shape without some dimensions, or with size 1 in their places. */
export const withoutAxes = (shape: Shape, axes: readonly number[], keepdim = false): Shape =>
  keepdim ? shape.map((size, d) => (axes.includes(d) ? 1 : size)) : shape.filter((_, d) => !axes.includes(d))
