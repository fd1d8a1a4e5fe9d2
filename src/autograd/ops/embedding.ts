import { expectOptions, shown, toUints } from '../../check.ts'
import { ArgumentError, DataError, ShapeError } from '../../errors.ts'
import { type GroupedIds, groupIds, isGrouped } from '../../ids.ts'
import { embeddingBackward, embedding as embeddingKernel } from '../../kernels/embedding.ts'
import { activationDType } from '../autocast.ts'
import { expectDevice } from '../checks.ts'
import { addRowGrad } from '../table-grad.ts'
import { expectTable, type TableParameter } from '../table-parameter.ts'
import { type OpContext, op } from '../tape.ts'
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

/**
 * Rows of a table by id, [n, H]: `torch.nn.functional.embedding`. With `position`, rows of a second table are added: word
 * and position embeddings in one pass. Ids are checked against the table here, before they reach the device.
 *
 * @throws DataError naming the position of an id that is no row of the table; ArgumentError for what are no ids, or no table;
 *   ShapeError where two lookups differ in length or width
 */
export function embedding(table: TableParameter, ids: Ids, position?: Lookup): Tensor {
  const word = check('', table, ids)
  const second = position === undefined ? undefined : checkPosition(position)
  const lookups = second ? [word, second] : [word]
  const n = word.grouped.ids.length
  const H = table.width
  if (second && (second.table.width !== H || second.grouped.ids.length !== n)) {
    throw new ShapeError(
      `embedding: ${n} ids of a table of width ${H} and ${second.grouped.ids.length} position ids of width ${second.table.width} do not add`,
    )
  }
  if (second) expectDevice('embedding', 'position.table', second.table.gpu, 'table', table.gpu)
  for (const { table, grouped } of lookups) table.beforeRead?.(grouped.rows)
  const wanted = lookups.some(lookup => lookup.table.requiresGrad)
  return op(
    'embedding',
    table.gpu,
    [],
    context => {
      const { gpu } = context
      const out = context.empty([n, H], activationDType([n, H]))
      const idViews = lookups.map(({ grouped }) => gpu.from(grouped.ids))
      try {
        embeddingKernel(gpu, {
          table: table.shards,
          ids: idViews[0]!,
          out: out.view,
          n,
          H,
          position: second && { table: second.table.shards, ids: idViews[1]! },
          storage: out.storage,
        })
      } finally {
        for (const view of idViews) gpu.release(view)
      }
      const segments = context.recording ? lookups.map(lookup => uploadSegments(context, lookup)) : []
      return {
        output: out,
        backward: dy => {
          for (const segment of segments) segment?.(dy)
          return []
        },
      }
    },
    wanted,
  )
}

interface Prepared {
  table: TableParameter
  grouped: GroupedIds
}

function checkPosition(position: unknown): Prepared {
  expectOptions('embedding: position', position, ['table', 'ids'])
  const { table, ids } = position as Lookup
  return check('position.', table, ids)
}

/** Groups ids and checks all of a lookup. */
function check(prefix: string, table: TableParameter, ids: Ids): Prepared {
  expectTable('embedding', `${prefix}table`, table)
  const where = `embedding: ${prefix}ids`
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
function uploadSegments(
  context: OpContext,
  { table, grouped }: Prepared,
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
