import { ShapeError } from '../../errors.ts'
import { type GroupedIds, groupIds } from '../../ids.ts'
import { embeddingBackward, embedding as embeddingKernel } from '../../kernels/embedding.ts'
import { activationDType } from '../autocast.ts'
import { replace, tableHooks, unshared } from '../hooks.ts'
import type { TableParameter } from '../parameter.ts'
import { untrack } from '../scope.ts'
import { noGrad, type OpContext, op } from '../tape.ts'
import { empty, type Tensor } from '../tensor.ts'

/** A table and the ids to look up in it. */
export interface Lookup {
  /** Where the rows are. */
  table: TableParameter
  /** [n], each below the number of rows. */
  ids: Uint32Array | GroupedIds
}

/**
 * Rows of a table by id, [n, H]: `torch.nn.functional.embedding`. With `position`, rows of a second table are added: word
 * and position embeddings in one pass. Ids are checked against the table here, before they reach the device.
 */
export function embedding(table: TableParameter, ids: Uint32Array | GroupedIds, position?: Lookup): Tensor {
  const lookups = [{ table, ids }, ...(position ? [position] : [])].map(({ table, ids }) =>
    prepare(table, ids),
  )
  const [word, second] = lookups
  const n = word!.grouped.ids.length
  const H = table.width
  if (second && (second.table.width !== H || second.grouped.ids.length !== n)) {
    throw new ShapeError(
      `embedding: ${n} ids of a table of width ${H} and ${second.grouped.ids.length} position ids of width ${second.table.width} do not add`,
    )
  }
  const wanted = lookups.some(lookup => lookup.table.requiresGrad)
  return op(
    'embedding',
    table.gpu,
    [],
    context => {
      const { gpu } = context
      const out = context.empty([n, H], activationDType([n, H]))
      const idViews = lookups.map(({ grouped }) => gpu.from(grouped.ids))
      embeddingKernel(gpu, {
        table: table.shards,
        ids: idViews[0]!,
        out: out.view,
        n,
        H,
        position: second && { table: second.table.shards, ids: idViews[1]! },
        storage: out.storage,
      })
      for (const view of idViews) gpu.release(view)
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

/** Groups and checks ids, and has the table's optimizer bring their rows up to date. */
function prepare(table: TableParameter, ids: Uint32Array | GroupedIds): Prepared {
  const grouped = ids instanceof Uint32Array ? groupIds(ids, table.paddingIdx) : ids
  const largest = grouped.rows.at(-1)
  if (largest !== undefined && largest >= table.shape[0]!) {
    const at = grouped.ids.indexOf(largest)
    throw new RangeError(
      `embedding: id ${largest} at position ${at} is out of range, the table has ${table.shape[0]} rows`,
    )
  }
  table.beforeRead?.(grouped.rows)
  return { table, grouped }
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
    let values = empty(context.gpu, [U, table.width])
    embeddingBackward(context.gpu, {
      dy: dy.view,
      offsets: offsets.view,
      positions: positions.view,
      grad: values.view,
      U,
      H: table.width,
      storage: dy.storage,
    })
    const { rows } = grouped
    for (const hook of tableHooks.of(table))
      values = replace(
        values,
        noGrad(() => hook({ rows, values })),
      )
    values = unshared(values, shape => empty(context.gpu, shape))
    untrack(values) // gradients outlive the step's scope: `zeroGrad` frees them
    table.grads.push({ rows, values })
  }
}
