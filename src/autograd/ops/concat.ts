import { ShapeError } from '../../errors.ts'
import type { View } from '../../gpu/index.ts'
import { joinColumns, splitColumns } from '../../kernels/concat.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { rowsAndColumns } from './shapes.ts'

/** Joins tensors [rows, w] of equal row count along their columns: `torch.cat(parts, -1)`. A [rows] tensor is one column. The result
 * is float32. */
export function concatColumns(given: Tensor[]): Tensor {
  const parts = given.map(part => cast(part, 'f32'))
  const [first] = parts
  if (!first) throw new ShapeError('concat takes at least one tensor')
  const rows = first.shape[0]!
  const widths = parts.map(part => (part.shape.length === 1 ? 1 : rowsAndColumns(part)[1]))
  for (const part of parts) {
    if (part.shape[0] !== rows)
      throw new ShapeError(`concat: shapes [${first.shape}] and [${part.shape}] differ in rows`)
  }
  const total = widths.reduce((sum, width) => sum + width, 0)
  return op('concat', first.gpu, parts, ({ gpu, empty }) => {
    const out = empty([rows, total])
    let column = 0
    const columns = widths.map(width => {
      column += width
      return column - width
    })
    const place = (view: View, i: number) => ({ view, width: widths[i]!, column: columns[i]! })
    joinColumns(gpu, {
      parts: parts.map((part, i) => place(part.view, i)),
      target: out.view,
      targetWidth: total,
      rows,
    })
    return {
      output: out,
      backward: dy => {
        const gradients = parts.map(part => (part.requiresGrad ? empty(part.shape) : undefined))
        const wanted = gradients.flatMap((dx, i) => (dx ? [place(dx.view, i)] : []))
        splitColumns(gpu, { parts: wanted, source: dy.view, sourceWidth: total, rows })
        return gradients
      },
    }
  })
}
