import { shown } from '../../check.ts'
import { ArgumentError, ShapeError } from '../../errors.ts'
import type { Gpu } from '../../gpu/index.ts'
import { joinColumns, splitColumns } from '../../kernels/concat.ts'
import { joinLookups } from '../../kernels/embedding.ts'
import { activationDType } from '../autocast.ts'
import { expectDevice, expectRank, expectTensors, FLOATS } from '../checks.ts'
import { type OpContext, op } from '../tape.ts'
import { empty, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { embedding } from './embedding.ts'
import { addRowGradients, checkLookup, type GroupedLookup, type Lookup, packIds } from './lookups.ts'

/** What may stand beside others: a tensor [rows, w] or [rows], or rows of a table by id, which are read where they are. */
export type Part = Tensor | Lookup
/** The same, checked. */
export type CheckedPart = Tensor | GroupedLookup

const isLookup = (part: unknown): part is Lookup =>
  typeof part === 'object' && part !== null && !(part instanceof Tensor) && 'table' in part

/**
 * Checks what is to stand side by side.
 * @param beside The tensor they stand beside, and its rows, where there is one.
 * @returns the parts, and the number of rows
 */
export function expectParts(
  op: string,
  given: unknown,
  beside?: { name: string; gpu: Gpu; rows: number },
): { gpu: Gpu; rows: number; parts: CheckedPart[] } {
  if (!Array.isArray(given))
    throw new ArgumentError(`${op}: parts are ${shown(given)}, expected an array of tensors`)
  if (!given.length && !beside) throw new ShapeError(`${op} takes at least one tensor`)
  const tensors = Object.fromEntries(
    given.flatMap((part, i) => (isLookup(part) ? [] : [[`part ${i}`, part]])),
  )
  const gpuOfTensors = expectTensors(op, tensors, FLOATS, beside)
  const parts = (given as Part[]).map((part, i): CheckedPart => {
    if (isLookup(part)) return checkLookup(op, `part ${i}.`, part.table, part.ids)
    expectRank(op, `part ${i}`, part, '[rows, width] or [rows]', 1, 2)
    return part
  })
  const gpu = gpuOfTensors ?? (parts[0] as GroupedLookup).table.gpu
  for (const [i, part] of parts.entries())
    if (!(part instanceof Tensor)) expectDevice(op, `part ${i}.table`, part.table.gpu, 'the others', gpu)
  const rowsOf = (part: CheckedPart) => (part instanceof Tensor ? part.shape[0]! : part.grouped.ids.length)
  const rows = beside?.rows ?? rowsOf(parts[0]!)
  const told = (part: CheckedPart) =>
    part instanceof Tensor ? `has shape [${part.shape}]` : `looks ${part.grouped.ids.length} ids up`
  const wrong = parts.findIndex(part => rowsOf(part) !== rows)
  if (wrong >= 0) {
    const first = beside ? `${beside.name} has ${rows} rows` : `part 0 ${told(parts[0]!)}`
    throw new ShapeError(`${op}: ${first} and part ${wrong} ${told(parts[wrong]!)}: they differ in rows`)
  }
  return { gpu, rows, parts }
}

/** A float32 tensor, or a lookup of which none is to be rounded to halves. */
function inFloats(part: CheckedPart): CheckedPart {
  if (part instanceof Tensor) return cast(part, 'f32')
  const { table, grouped } = part
  const rounded = activationDType([grouped.ids.length, table.width]) === 'f16'
  return rounded ? cast(embedding(table, grouped), 'f32') : part
}

/** How parts stand side by side in rows of `width`, from column `from` on; a [rows] tensor is one column. */
export function sideBySide(given: readonly CheckedPart[], rows: number, from = 0) {
  const parts = given.map(inFloats)
  let width = from
  const columns = parts.map(part => {
    const own = part instanceof Tensor ? (part.shape[1] ?? 1) : part.table.width
    width += own
    return { width: own, column: width - own }
  })
  const tensors = parts.flatMap((part, i) => (part instanceof Tensor ? [{ part, ...columns[i]! }] : []))
  const found = parts.flatMap((part, i) => (part instanceof Tensor ? [] : [{ ...part, ...columns[i]! }]))
  for (const { table, grouped } of found) table.beforeRead?.(grouped.rows)
  let uploaded: { index: Tensor; places: ReturnType<typeof packIds>['places'] } | undefined
  return {
    width,
    /** Those that are tensors. */
    tensors: tensors.map(({ part }) => part),
    /** Whether a table wants a gradient. */
    trained: found.some(({ table }) => table.requiresGrad),
    /** Copies them to where they stand in `target`. */
    join({ gpu, recording, savedIds }: OpContext, target: Tensor): void {
      const whole = { target: target.view, targetWidth: width, rows }
      if (!found.length) {
        const placed = tensors.map(({ part, ...place }) => ({ view: part.view, ...place }))
        joinColumns(gpu, { parts: placed, ...whole })
        return
      }
      const { data, places } = packIds(found, { ids: true, segments: recording })
      const index = savedIds(data)
      uploaded = { index, places }
      let next = 0
      const looked = parts.map((part, i) => {
        const own = part instanceof Tensor
        const table = own ? [{ view: part.view, firstRow: 0, rows }] : part.table.shards
        return { table, ids: own ? undefined : places[next++]!.ids, ...columns[i]! }
      })
      joinLookups(gpu, { parts: looked, index: index.view, ...whole })
    },
    /** Gradients of the tensors that want one, cut from that of the whole; those of tables go to them. */
    split(gpu: Gpu, dy: Tensor): (Tensor | undefined)[] {
      const gradients = tensors.map(({ part }) => (part.requiresGrad ? empty(gpu, part.shape) : undefined))
      const wanted = gradients.flatMap((dx, i) => {
        const { width, column } = tensors[i]!
        return dx ? [{ view: dx.view, width, column }] : []
      })
      splitColumns(gpu, { parts: wanted, source: dy.view, sourceWidth: width, rows })
      if (uploaded) {
        const { index, places } = uploaded
        // As the tape would have it for lookups by themselves, the last one first: a shared table adds gradients in that order.
        const last = found.map((lookup, i) => ({ ...lookup, places: places[i]! })).reverse()
        addRowGradients(gpu, last, { index: index.view, dy, dyWidth: width })
      }
      return gradients
    },
  }
}

/**
 * Joins tensors [rows, w] of equal row count along their columns: `torch.cat(parts, -1)`. A [rows] tensor is one column. The result
 * is float32. In place of `embedding(table, ids)`, a part may be `{ table, ids }`: its rows are then read where they are, and all lookups
 * take one launch.
 */
export function concatColumns(given: Part[]): Tensor {
  const { gpu, rows, parts } = expectParts('concat', given)
  const { width, tensors, trained, join, split } = sideBySide(parts, rows)
  return op(
    'concat',
    gpu,
    tensors,
    context => {
      const output = context.empty([rows, width])
      join(context, output)
      return { output, backward: dy => split(context.gpu, dy) }
    },
    trained,
  )
}
