import { shown } from '../../check.ts'
import { ArgumentError, ShapeError } from '../../errors.ts'
import type { Shape, Tensor } from '../tensor.ts'

/** Rows and columns of a tensor whose last dimension is the columns. */
export function rowsAndColumns(x: { shape: Shape; size: number }): [rows: number, columns: number] {
  expectShaped('rowsAndColumns: x', x)
  const columns = x.shape.at(-1) ?? 1
  return [columns === 0 ? 0 : x.size / columns, columns]
}

/** Throws a ShapeError unless `x` has `shape`. */
export function expectShape(name: string, x: { shape: Shape }, shape: Shape): void {
  expectShaped(name, x)
  if (x.shape.length === shape.length && x.shape.every((size, i) => size === shape[i])) return
  throw new ShapeError(`${name} has shape [${x.shape}], expected [${shape}]`)
}

function expectShaped(name: string, x: { shape: Shape }): void {
  if (!Array.isArray(x?.shape)) throw new ArgumentError(`${name} is ${shown(x)}, expected a tensor`)
}

/** Throws a ShapeError unless both tensors have one shape. */
export function expectSame(op: string, a: Tensor, b: Tensor): void {
  expectShaped(`${op}: the first tensor`, a)
  expectShape(`${op}: the second tensor`, b, a.shape)
}
