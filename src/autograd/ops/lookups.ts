// What lookups in tables have in common: their checks, and the gradients of the rows that were read.
import { shown, toUints } from '../../check.ts'
import { ArgumentError, DataError, ShapeError } from '../../errors.ts'
import type { Gpu, View } from '../../gpu/index.ts'
import { type GroupedIds, groupIds, isGrouped } from '../../ids.ts'
import { embeddingBackward, lookupGradients } from '../../kernels/embedding.ts'
import { addRowGrad } from '../table-grad.ts'
import { expectTable, type TableParameter } from '../table-parameter.ts'
import type { OpContext } from '../tape.ts'
import { empty, type Tensor } from '../tensor.ts'

/** A table and the ids to look up in it. */
export interface Lookup {
  /** Where the rows are. */
  table: TableParameter
  /** [n], each below the number of rows. */
  ids: Ids
}

/** Ids on the host: as they are, or grouped already, as `collate` does; plain numbers are converted. */
export type Ids = Uint32Array | GroupedIds | readonly number[]

/** A lookup that was checked. */
export interface GroupedLookup {
  table: TableParameter
  grouped: GroupedIds
}

/** Groups ids and checks all of a lookup; messages call its members `<prefix>table` and `<prefix>ids`. */
export function checkLookup(op: string, prefix: string, table: unknown, ids: Ids): GroupedLookup {
  expectTable(op, `${prefix}table`, table)
  const where = `${op}: ${prefix}ids`
  const rows = table.shape[0]!
  const grouped = isGrouped(ids)
    ? checkGrouped(where, ids)
    : groupIds(checked(where, ids, rows), table.paddingIdx)
  if (isGrouped(ids)) checked(where, grouped.ids, rows)
  return { table, grouped }
}

/** Ids as an array of the device's, each a row of the table. */
function checked(where: string, given: unknown, rows: number): Uint32Array {
  const ids = toUints(where, given)
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! >= rows)
      throw new DataError(
        `${where.slice(0, -1)} ${ids[i]} at position ${i} is out of range, the table has ${rows} rows`,
      )
  }
  return ids
}

/** Groups made by hand: that they fit together; the kernels would read past them otherwise. */
function checkGrouped(where: string, { ids, rows, offsets, positions }: GroupedIds): GroupedIds {
  for (const [name, part] of Object.entries({ ids, rows, offsets, positions })) {
    if (!(part instanceof Uint32Array))
      throw new ArgumentError(
        `${where}.${name} is ${shown(part)}, expected a Uint32Array; groupIds() makes all four`,
      )
  }
  const U = rows.length
  if (offsets.length !== U + 1 || offsets[0] !== 0 || offsets[U] !== positions.length)
    throw new ShapeError(
      `${where}.offsets has ${offsets.length} values for ${U} rows, expected ${U + 1} from 0 to ${positions.length}`,
    )
  for (let u = 0; u < U; u++) {
    if (offsets[u + 1]! < offsets[u]!) throw new DataError(`${where}.offsets decreases at position ${u + 1}`)
    for (let k = offsets[u]!; k < offsets[u + 1]!; k++) {
      if (ids[positions[k]!] !== rows[u])
        throw new DataError(
          `${where}.positions is ${positions[k]} at position ${k}, where no id ${rows[u]} stands`,
        )
    }
  }
  return { ids, rows, offsets, positions }
}

/** Uploads a lookup's segments; the result computes the row-sparse gradient from dy. */
export function uploadSegments(
  context: OpContext,
  { table, grouped }: GroupedLookup,
): ((dy: Tensor) => void) | undefined {
  if (!table.requiresGrad) return undefined
  const offsets = context.savedIds(grouped.offsets)
  const positions = context.savedIds(grouped.positions)
  const U = grouped.rows.length
  return dy => {
    const values = empty(context.gpu, [U, table.width])
    embeddingBackward(context.gpu, {
      dy: dy.view,
      offsets: offsets.view,
      positions: positions.view,
      grad: values.view,
      U,
      H: table.width,
      storage: dy.storage,
    })
    addRowGrad(table, grouped.rows, values)
  }
}

/** What of lookups stands in one array: where their ids begin, and offsets and positions of those that are trained. */
interface Places {
  ids: number
  offsets: number
  positions: number
}

/** Ids of lookups and, where gradients are to come, segments, in one array: an upload in place of three a lookup. */
export function packIds(
  lookups: readonly GroupedLookup[],
  { ids, segments }: { ids: boolean; segments: boolean },
): { data: Uint32Array; places: Places[] } {
  const pieces: Uint32Array[] = []
  let length = 0
  const put = (piece: Uint32Array) => {
    pieces.push(piece)
    length += piece.length
    return length - piece.length
  }
  const places = lookups.map(({ table, grouped }) => {
    const trained = segments && table.requiresGrad
    return {
      ids: ids ? put(grouped.ids) : 0,
      offsets: trained ? put(grouped.offsets) : 0,
      positions: trained ? put(grouped.positions) : 0,
    }
  })
  const data = new Uint32Array(length)
  let at = 0
  for (const piece of pieces) {
    data.set(piece, at)
    at += piece.length
  }
  return { data, places }
}

/** Adds the row gradients of the lookups that are trained, in their order, each from its columns of dy [n, dyWidth]: one launch for six. */
export function addRowGradients(
  gpu: Gpu,
  lookups: readonly (GroupedLookup & { column: number; places: Places })[],
  { index, dy, dyWidth }: { index: View; dy: Tensor; dyWidth: number },
): void {
  const parts = lookups
    .filter(({ table }) => table.requiresGrad)
    .map(lookup => ({ ...lookup, values: empty(gpu, [lookup.grouped.rows.length, lookup.table.width]) }))
  lookupGradients(gpu, {
    parts: parts.map(({ column, places: { offsets, positions }, values }) => {
      const [U, width] = values.shape as [number, number]
      return { offsets, positions, grad: values.view, U, width, column }
    }),
    index,
    dy: dy.view,
    dyWidth,
    storage: dy.storage,
  })
  for (const { table, grouped, values } of parts) addRowGrad(table, grouped.rows, values)
}
