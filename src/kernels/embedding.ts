import { shown } from '../check.ts'
import { ArgumentError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type View } from '../gpu/index.ts'
import wgsl from '../wgsl/embedding.ts'
import { expectInside, expectSizes, expectViews, given } from './checks.ts'
import { type ByWidth, byWidth, formOf, rowLanes, STORAGE_WGSL, type Storage, widthOf } from './width.ts'

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
  const joined = position?.table.length === 1
  for (const shard of table) {
    const views = [shard.view, ids, out]
    if (position && joined) {
      views.push(position.table[0]!.view, position.ids)
      gpu.launch(lookWithPosition[form], params(shard), views, groups)
    } else gpu.launch(look[form], params(shard), views, groups)
  }
  if (!position || joined) return
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

/** Parts that one launch takes: with the ids and the whole matrix, the 8 storage buffers that WebGPU's default limits allow. */
const PARTS = 6
const PLACES = ['start', 'end', 'ids', 'first_row', 'rows'] as const
const SEGMENT = ['begin', 'end', 'width', 'column', 'offsets', 'positions'] as const
/** For ids: row i of the part goes to row i. */
const OWN = 0xffffffff
const together = new Map<string, ByWidth<string>>()

function togetherKernel(entry: 'join' | 'segments', parts: number, ahead: number): ByWidth<string> {
  const key = `${entry} ${parts} ${ahead}`
  let found = together.get(key)
  if (!found) {
    const names = entry === 'join' ? ['n', 'whole', 'first', 'last'] : ['whole']
    for (let k = 0; k < PARTS; k++)
      for (const name of entry === 'join' ? PLACES : SEGMENT) names.push(`${name}${k}`)
    const [whole, part]: Access[] = entry === 'join' ? ['write', 'read'] : ['read', 'write']
    found = byWidth(
      defineKernel({
        name: 'embedding',
        wgsl: STORAGE_WGSL + wgsl,
        entry,
        params: Object.fromEntries(names.map(name => [name, 'u32'])) as Record<string, 'u32'>,
        bindings: [whole!, 'read', ...new Array<Access>(parts).fill(part!)],
        constants: { POSITION: 0, ADD: 0, PARTS: parts, AHEAD: ahead },
      }),
    )
    together.set(key, found)
  }
  return found
}

function checkParts(op: string, parts: readonly unknown[]): void {
  if (!Array.isArray(parts)) throw new ArgumentError(`${op}: parts is ${shown(parts)}, expected an array`)
  for (const [i, part] of parts.entries())
    if (typeof part !== 'object' || part === null)
      throw new ArgumentError(
        `${op}: parts[${i}] is ${shown(part)}, expected an object with width and column`,
      )
}

/** Columns `column` to `column` + width - 1 of a wider matrix, row by row from a table or another matrix. */
export interface LookedUp {
  /** [V, width]; one shard that holds as many rows as the wider matrix, for its own rows in their order. */
  table: readonly TableShard[]
  /** Where in `index` the ids of its rows begin; undefined for its own rows in their order. */
  ids: number | undefined
  width: number
  column: number
}

/**
 * target[r, column + c] = table[index[ids + r], c] for every part; other columns stay as they are. One launch for six shards of tables.
 * target: [rows, targetWidth] float32; index: uint32, `rows` ids of every part (they are checked on the host).
 */
export function joinLookups(
  gpu: Gpu,
  options: { parts: readonly LookedUp[]; index: View; target: View; targetWidth: number; rows: number },
): void {
  const { parts, index, target, targetWidth, rows } = given('joinLookups', gpu, options)
  expectSizes('joinLookups', { targetWidth, rows })
  expectViews('joinLookups', { target }, rows * targetWidth)
  checkParts('joinLookups', parts)
  const looked: readonly LookedUp[] = parts
  for (const [i, { table, ids, width, column }] of looked.entries()) {
    expectSizes(`joinLookups: parts[${i}]`, { ids: ids ?? 0, width, column })
    expectInside('joinLookups', `parts[${i}]: column`, column + width, targetWidth)
    checkTable('joinLookups', `parts[${i}].table`, table, index, ids === undefined ? 0 : ids + rows, width)
  }
  const shards = looked.flatMap(part => (part.width ? part.table.map(shard => ({ ...part, shard })) : []))
  if (rows === 0) return
  for (let from = 0; from < shards.length; from += PARTS) {
    const some = shards.slice(from, from + PARTS)
    const by = widthOf(targetWidth, ...some.flatMap(({ width, column }) => [width, column]))
    const first = Math.min(...some.map(({ column }) => column)) / by
    const last = Math.max(...some.map(({ column, width }) => column + width)) / by
    const params: Record<string, number> = { n: rows, whole: targetWidth / by, first, last }
    for (let k = 0; k < PARTS; k++) {
      const { column = 0, width = 0, ids = OWN, shard } = some[k] ?? {}
      const { firstRow = 0, rows: held = 0 } = shard ?? {}
      const values = [column / by, (column + width) / by, ids, firstRow, held]
      for (const [i, name] of PLACES.entries()) params[`${name}${k}`] = values[i]!
    }
    const views = [target, index, ...some.map(({ shard }) => shard.view)]
    gpu.launch(
      togetherKernel('join', some.length, 1)[by],
      params,
      views,
      Math.ceil((rows * (last - first)) / WG),
    )
  }
}

/** The gradient of a lookup's unique rows from its columns of dy. */
export interface LookupGrad {
  /** Where in `index` its U + 1 offsets and its positions begin. */
  offsets: number
  positions: number
  /** [U, width] float32; overwritten. */
  grad: View
  U: number
  width: number
  column: number
}

/**
 * grad[u, c] = the sum of dy[positions[k], column + c] for k in offsets[u] … offsets[u+1]-1 for every part, in that order: one launch for six of
 * them. dy: [n, dyWidth], stored as `storage` says; index: uint32.
 */
export function lookupGradients(
  gpu: Gpu,
  options: {
    parts: readonly LookupGrad[]
    index: View
    dy: View
    dyWidth: number
    storage?: Storage | undefined
  },
): void {
  const { parts, index, dy, dyWidth, storage } = given('lookupGradients', gpu, options)
  expectSizes('lookupGradients', { dyWidth })
  expectViews('lookupGradients', { dy }, 0)
  checkParts('lookupGradients', parts)
  const sums: readonly LookupGrad[] = parts
  for (const [i, { offsets, positions, grad, U, width, column }] of sums.entries()) {
    expectSizes(`lookupGradients: parts[${i}]`, { offsets, positions, U, width, column })
    expectInside('lookupGradients', `parts[${i}]: column`, column + width, dyWidth)
    expectViews('lookupGradients', { index }, Math.max(offsets + U + 1, positions))
    expectViews('lookupGradients', { [`parts[${i}].grad`]: grad }, U * width)
  }
  const wanted = sums.filter(({ U, width }) => U * width > 0)
  const ahead = gpu.forms.kind === 'hardware' ? 4 : 1
  for (let from = 0; from < wanted.length; from += PARTS) {
    const some = wanted.slice(from, from + PARTS)
    const lengths = [dyWidth, ...some.flatMap(({ width, column }) => [width, column])]
    const by = widthOf(...lengths)
    const params: Record<string, number> = { whole: dyWidth / by }
    let units = 0
    for (let k = 0; k < PARTS; k++) {
      const { U = 0, width = 0, column = 0, offsets = 0, positions = 0 } = some[k] ?? {}
      const values = [units, units + (U * width) / by, width / by, column / by, offsets, positions]
      for (const [i, name] of SEGMENT.entries()) params[`${name}${k}`] = values[i]!
      units += (U * width) / by
    }
    const kernel = togetherKernel('segments', some.length, ahead)[formOf(storage, ...lengths)]
    gpu.launch(kernel, params, [dy, index, ...some.map(({ grad }) => grad)], Math.ceil(units / WG))
  }
}
