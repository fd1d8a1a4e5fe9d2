import { shown } from '../check.ts'
import { ArgumentError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/embedding.ts'
import { expectSizes, expectViews, given } from './checks.ts'
import { byWidth, formOf, rowLanes, STORAGE_WGSL, type Storage, widthOf } from './width.ts'

/** Rows firstRow … firstRow + rows - 1 of a table [V, H] float32; a table too large for one binding has several. */
export interface TableShard {
  /** [rows, H]. */
  view: View
  /** Number of its first row in the table. */
  firstRow: number
  /** Number of rows. */
  rows: number
}

const WG = 64
const kernel = (
  entry: string,
  bindings: Access[],
  constants: Record<string, number> = { POSITION: 0, ADD: 0 },
) =>
  byWidth(
    defineKernel({
      name: 'embedding',
      wgsl: STORAGE_WGSL + wgsl,
      entry,
      params: { n: 'u32', H: 'u32', lanes: 'u32', first_row: 'u32', rows: 'u32', accumulate: 'u32' },
      bindings,
      constants,
    }),
  )
const look = kernel('forward', ['read', 'read', 'write'])
const lookAdding = kernel('forward', ['read', 'read', 'write'], { POSITION: 0, ADD: 1 })
const lookWithPosition = kernel('forward', ['read', 'read', 'write', 'read', 'read'], { POSITION: 1, ADD: 0 })
const backward = kernel('backward', ['read', 'read', 'read', 'write'])
const backwardAhead = kernel('backward', ['read', 'read', 'read', 'write'], { POSITION: 0, ADD: 0, AHEAD: 4 })
const scatter = kernel('scatter', ['read', 'read', 'write'])

/** Shards that follow each other, with room for their rows. */
function checkTable(
  op: string,
  name: string,
  table: readonly TableShard[],
  ids: View,
  n: number,
  H: number,
): void {
  expectViews(op, { [name === 'table' ? 'ids' : `${name}.ids`]: ids }, n)
  if (!Array.isArray(table))
    throw new ArgumentError(`${op}: ${name} is ${shown(table)}, expected an array of shards`)
  if (n && !table.length) throw new ArgumentError(`${op}: ${name} has no shards, expected one or more`)
  for (const [i, shard] of (table as TableShard[]).entries()) {
    const where = `${name}[${i}]`
    if (typeof shard !== 'object' || shard === null)
      throw new ArgumentError(`${op}: ${where} is ${shown(shard)}, expected { view, firstRow, rows }`)
    expectSizes(`${op}: ${where}`, { firstRow: shard.firstRow, rows: shard.rows })
    expectViews(op, { [`${where}.view`]: shard.view }, shard.rows * H)
  }
}

/**
 * out[i] = table[ids[i]] (+ position.table[position.ids[i]]): one launch per shard of the table; a position table of one
 * shard is added in the same launches. ids: [n] uint32, each in a shard (ids are checked on the host); out: [n, H], float32 or
 * as `storage` says.
 * Source: `torch.nn.functional.embedding`.
 */
export function embedding(
  gpu: Gpu,
  options: {
    table: readonly TableShard[]
    ids: View
    out: View
    n: number
    H: number
    position?: { table: readonly TableShard[]; ids: View } | undefined
    storage?: Storage | undefined
  },
): void {
  const { table, ids, out, n, H, position, storage } = given('embedding', gpu, options)
  expectSizes('embedding', { n, H })
  checkTable('embedding', 'table', table, ids, n, H)
  if (position) checkTable('embedding', 'position', position.table, position.ids, n, H)
  expectViews('embedding', { out }, n * H, storage)
  if (n * H === 0) return
  const [width, form] = [widthOf(H), formOf(storage, H)]
  const lanes = rowLanes(H / width, gpu)
  const groups = Math.ceil((n * lanes) / WG)
  const params = ({ firstRow, rows }: TableShard) => ({
    n,
    H: H / width,
    lanes,
    first_row: firstRow,
    rows,
    accumulate: 0,
  })
  const together = position?.table.length === 1
  for (const shard of table) {
    const views = [shard.view, ids, out]
    if (position && together) {
      views.push(position.table[0]!.view, position.ids)
      gpu.launch(lookWithPosition[form], params(shard), views, groups)
    } else gpu.launch(look[form], params(shard), views, groups)
  }
  if (!position || together) return
  for (const shard of position.table) {
    gpu.launch(lookAdding[form], params(shard), [shard.view, position.ids, out], groups)
  }
}

/**
 * grad[u] = (+=) the sum of dy[positions[k]] for k in offsets[u] … offsets[u+1]-1, in that order: the gradient of the
 * unique rows of a batch. dy: [n, H], stored as `storage` says; offsets: [U+1], positions: uint32; grad: [U, H] float32.
 */
export function embeddingBackward(
  gpu: Gpu,
  options: {
    dy: View
    offsets: View
    positions: View
    grad: View
    U: number
    H: number
    accumulate?: boolean
    storage?: Storage
  },
): void {
  const {
    dy,
    offsets,
    positions,
    grad,
    U,
    H,
    accumulate = false,
    storage,
  } = given('embeddingBackward', gpu, options)
  expectSizes('embeddingBackward', { U, H })
  expectViews('embeddingBackward', { offsets }, U + 1)
  expectViews('embeddingBackward', { grad }, U * H)
  expectViews('embeddingBackward', { dy, positions }, 0)
  if (U * H === 0) return
  const width = widthOf(H)
  const lanes = rowLanes(H / width, gpu)
  const params = { n: U, H: H / width, lanes, first_row: 0, rows: 0, accumulate: accumulate ? 1 : 0 }
  const kernels = gpu.forms.kind === 'hardware' ? backwardAhead : backward
  gpu.launch(kernels[formOf(storage, H)], params, [dy, offsets, positions, grad], Math.ceil((U * lanes) / WG))
}

/** target[map[i]] += source[i]. source: [n, H] float32; map: [n] uint32, no entry twice; target: [any, H] float32. */
export function scatterAddRows(
  gpu: Gpu,
  options: { source: View; map: View; target: View; n: number; H: number },
): void {
  const { source, map, target, n, H } = given('scatterAddRows', gpu, options)
  expectSizes('scatterAddRows', { n, H })
  expectViews('scatterAddRows', { source }, n * H)
  expectViews('scatterAddRows', { map }, n)
  expectViews('scatterAddRows', { target }, 0)
  if (n * H === 0) return
  const width = widthOf(H)
  const lanes = rowLanes(H / width, gpu)
  const params = { n, H: H / width, lanes, first_row: 0, rows: 0, accumulate: 0 }
  gpu.launch(scatter[width], params, [source, map, target], Math.ceil((n * lanes) / WG))
}
