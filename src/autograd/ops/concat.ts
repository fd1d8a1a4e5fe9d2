import { shown } from '../../check.ts'
import { ArgumentError, ShapeError } from '../../errors.ts'
import type { Gpu, View } from '../../gpu/index.ts'
import { joinColumns, splitColumns } from '../../kernels/concat.ts'
import { expectRank, expectTensors, FLOATS } from '../checks.ts'
import { op } from '../tape.ts'
import { empty, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'

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

/** How parts stand side by side in rows of `width`, from column `from` on; a [rows] tensor is one column. */
export function sideBySide(parts: readonly Tensor[], rows: number, from = 0) {
  let width = from
  const columns = parts.map(({ shape: [, own = 1] }) => {
    width += own
    return { width: own, column: width - own }
  })
  return {
    width,
    /** Copies them to where they stand in `target`. */
    join(gpu: Gpu, target: View): void {
      const placed = parts.map(({ view }, i) => ({ view, ...columns[i]! }))
      joinColumns(gpu, { parts: placed, target, targetWidth: width, rows })
    },
    /** Their gradients, cut from that of the whole, where they want one. */
    split(gpu: Gpu, source: View): (Tensor | undefined)[] {
      const gradients = parts.map(part => (part.requiresGrad ? empty(gpu, part.shape) : undefined))
      const wanted = gradients.flatMap((dx, i) => (dx ? [{ view: dx.view, ...columns[i]! }] : []))
      splitColumns(gpu, { parts: wanted, source, sourceWidth: width, rows })
      return gradients
    },
  }
}

/** Joins tensors [rows, w] of equal row count along their columns: `torch.cat(parts, -1)`. A [rows] tensor is one column. The result
 * is float32. */
export function concatColumns(given: Tensor[]): Tensor {
  const rows = expectParts('concat', given)
  const parts = given.map(part => cast(part, 'f32'))
  const { width, join, split } = sideBySide(parts, rows)
  return op('concat', parts[0]!.gpu, parts, ({ gpu, empty }) => {
    const output = empty([rows, width])
    join(gpu, output.view)
    return { output, backward: dy => split(gpu, dy.view) }
  })
}
