import { ShapeError } from '../../errors.ts'
import { copyColumns } from '../../kernels/concat.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { rowsAndColumns } from './shapes.ts'

/** Joins tensors [rows, w] of equal row count along their columns: `torch.cat(parts, -1)`. A [rows] tensor is one column. */
export function concat(parts: Tensor[]): Tensor {
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
    for (const [i, part] of parts.entries()) {
      copyColumns(gpu, {
        source: part.view,
        sourceWidth: widths[i]!,
        sourceColumn: 0,
        target: out.view,
        targetWidth: total,
        targetColumn: columns[i]!,
        width: widths[i]!,
        rows,
      })
    }
    return {
      output: out,
      backward: dy =>
        parts.map((part, i) => {
          if (!part.requiresGrad) return undefined
          const dx = empty(part.shape)
          copyColumns(gpu, {
            source: dy.view,
            sourceWidth: total,
            sourceColumn: columns[i]!,
            target: dx.view,
            targetWidth: widths[i]!,
            targetColumn: 0,
            width: widths[i]!,
            rows,
          })
          return dx
        }),
    }
  })
}
