import { shown } from '../../check.ts'
import { ArgumentError, ShapeError } from '../../errors.ts'
import type { Gpu, View } from '../../gpu/index.ts'
import { joinColumns, splitColumns } from '../../kernels/concat.ts'
import { expectRank, expectTensors, FLOATS } from '../checks.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { rowsAndColumns } from './shapes.ts'

/**
 * Checks what is to stand side by side.
 * @param beside The tensor they stand beside, and its rows, where there is one.
 * @returns the number of rows
 */
export function expectParts(
  op: string,
  parts: unknown,
  beside?: { name: string; gpu: Gpu; rows: number },
): number {
  if (!Array.isArray(parts))
    throw new ArgumentError(`${op}: parts are ${shown(parts)}, expected an array of tensors`)
  if (!parts.length && !beside) throw new ShapeError(`${op} takes at least one tensor`)
  expectTensors(op, Object.fromEntries(parts.map((part, i) => [`part ${i}`, part])), FLOATS, beside)
  const given = parts as Tensor[]
  for (const [i, part] of given.entries()) expectRank(op, `part ${i}`, part, '[rows, width] or [rows]', 1, 2)
  const rows = beside?.rows ?? given[0]!.shape[0]!
  const wrong = given.findIndex(part => part.shape[0] !== rows)
  if (wrong < 0) return rows
  const first = beside ? `${beside.name} has ${rows} rows` : `part 0 has shape [${given[0]!.shape}]`
  throw new ShapeError(
    `${op}: ${first} and part ${wrong} has shape [${given[wrong]!.shape}]: they differ in rows`,
  )
}

/** Joins tensors [rows, w] of equal row count along their columns: `torch.cat(parts, -1)`. A [rows] tensor is one column. The result
 * is float32. */
export function concatColumns(given: Tensor[]): Tensor {
  const rows = expectParts('concat', given)
  const parts = given.map(part => cast(part, 'f32'))
  const [first] = parts as [Tensor]
  const widths = parts.map(part => (part.shape.length === 1 ? 1 : rowsAndColumns(part)[1]))
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
