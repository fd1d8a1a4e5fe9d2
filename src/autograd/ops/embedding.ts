import { expectOptions } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { embedding as embeddingKernel } from '../../kernels/embedding.ts'
import { activationDType } from '../autocast.ts'
import { expectDevice } from '../checks.ts'
import type { TableParameter } from '../table-parameter.ts'
import { type OpContext, op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import {
  addRowGradients,
  checkLookup,
  type GroupedLookup,
  type Ids,
  type Lookup,
  packIds,
  uploadSegments,
} from './lookups.ts'

/**
 * Rows of a table by id, [n, H]: `torch.nn.functional.embedding`. With `position`, rows of a second table are added: word
 * and position embeddings in one pass. Ids are checked against the table here, before they reach the device.
 *
 * @throws DataError naming the position of an id that is no row of the table; ArgumentError for what are no ids, or no table;
 *   ShapeError where two lookups differ in length or width
 */
export function embedding(table: TableParameter, ids: Ids, position?: Lookup): Tensor {
  const word = checkLookup('embedding', '', table, ids)
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
      const add = context.recording ? gradientsOf(context, lookups) : undefined
      return {
        output: out,
        backward: dy => {
          add?.(dy)
          return []
        },
      }
    },
    wanted,
  )
}

function checkPosition(position: unknown): GroupedLookup {
  expectOptions('embedding: position', position, ['table', 'ids'])
  const { table, ids } = position as Lookup
  return checkLookup('embedding', 'position.', table, ids)
}

/** Uploads segments; the result adds the gradients of all rows: on GPUs, where a launch costs more than what it does here, by one. */
function gradientsOf(context: OpContext, lookups: readonly GroupedLookup[]): (dy: Tensor) => void {
  const { gpu } = context
  const trained = lookups.filter(({ table }) => table.requiresGrad)
  if (trained.length < 2 || gpu.forms.kind !== 'hardware') {
    const segments = trained.map(lookup => uploadSegments(context, lookup))
    return dy => {
      for (const segment of segments) segment?.(dy)
    }
  }
  const { data, places } = packIds(trained, { ids: false, segments: true })
  const index = context.savedIds(data)
  const parts = trained.map((lookup, i) => ({ ...lookup, column: 0, places: places[i]! }))
  return dy => addRowGradients(gpu, parts, { index: index.view, dy, dyWidth: dy.shape[1]! })
}
