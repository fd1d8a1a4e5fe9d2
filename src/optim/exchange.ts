// Gradients of several processes made one: before an optimizer's step, every rank has the sum over all of them.
import {
  empty,
  type RowGrad,
  type SlicedGrad,
  scope,
  type TableSlice,
  type Tensor,
} from '../autograd/index.ts'
import type { Gpu, View } from '../gpu/index.ts'
import type { Ranks } from '../ranks/index.ts'
import type { ArenaState } from './arena-state.ts'
import { SlicedTable } from './sliced-table.ts'
import { type TableState, union } from './table-state.ts'

/** Elements that are read, summed and written back at once: the next ones are read meanwhile. */
const PIECE = 1 << 22
/** In place of a number of rows: every row has a gradient. */
const ALL_ROWS = 0xffffffff

/** What the gradients of one optimizer lie in. */
interface Places {
  arenas: readonly ArenaState[]
  tables: readonly TableState[]
}

/**
 * Gives every rank the sum of all ranks' gradients, added up in the order of the ranks, so that all have the same bits: dense ones as one sum
 * a stretch, a table's by row, for the rows that any rank has. Parameters with a gradient on one rank have one on all.
 * Where every row of a table has one (a tied projection), the host holds it until the step is done.
 */
export async function exchangeGradients(gpu: Gpu, ranks: Ranks, { arenas, tables }: Places): Promise<void> {
  for (const table of tables) table.merge()
  const all = await gatherTables(ranks, arenas, tables)
  let flags = 0
  for (const arena of arenas) {
    const count = arena.flags().length
    arena.complete(count ? orOf(all.map(one => one.flags.subarray(flags, flags + count))) : [])
    flags += count
  }
  for (const [t, state] of tables.entries()) {
    const parts = all.map(({ tables }) => tables[t]!)
    if (parts.some(({ sliced }) => sliced)) await sumSliced(gpu, ranks, state)
    else if (parts.some(({ rows }) => rows.length)) setRows(gpu, state, parts)
  }
  await sumPieces(
    gpu,
    ranks,
    arenas.map(({ g }) => g),
  )
}

/** What a rank has of a table. */
interface RankRows {
  sliced: boolean
  rows: Uint32Array
  /** [rows, H]. */
  values: Float32Array
}

/** Of every rank, which dense parameters have gradients, and those of its tables' rows: one message. */
async function gatherTables(
  ranks: Ranks,
  arenas: readonly ArenaState[],
  tables: readonly TableState[],
): Promise<{ flags: Uint32Array; tables: RankRows[] }[]> {
  const flags = arenas.flatMap(arena => arena.flags())
  const own = tables.map(({ table, merged }) => (table.sliced.length ? undefined : merged))
  const values = await Promise.all(own.map(grad => grad?.values.read()))
  const counts = tables.map(({ table }, t) => (table.sliced.length ? ALL_ROWS : (own[t]?.rows.length ?? 0)))
  const words = own.reduce(
    (sum, grad, t) => sum + (grad?.rows.length ?? 0) + (values[t]?.length ?? 0),
    flags.length + counts.length,
  )
  const message = new Uint32Array(words)
  const floats = new Float32Array(message.buffer)
  message.set([...flags, ...counts])
  let at = flags.length + counts.length
  for (const [t, grad] of own.entries()) {
    if (!grad) continue
    message.set(grad.rows, at)
    floats.set(values[t]!, at + grad.rows.length)
    at += grad.rows.length + values[t]!.length
  }
  const all = await ranks.gather(new Uint8Array(message.buffer))
  return all.map(bytes => {
    const words = wordsOf(bytes)
    let at = flags.length + tables.length
    return {
      flags: words.subarray(0, flags.length),
      tables: tables.map(({ table: { width } }, t) => {
        const count = words[flags.length + t]!
        const n = count === ALL_ROWS ? 0 : count
        const rows = words.subarray(at, at + n)
        const values = new Float32Array(words.buffer, words.byteOffset + (at + n) * 4, n * width)
        at += n + n * width
        return { sliced: count === ALL_ROWS, rows, values }
      }),
    }
  })
}

/** Bytes as words; copied where they do not begin at one. */
function wordsOf(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  const whole = bytes.byteOffset % 4 ? bytes.slice() : bytes
  return new Uint32Array(whole.buffer as ArrayBuffer, whole.byteOffset, whole.byteLength / 4)
}

const orOf = (flags: readonly Uint32Array[]): number[] =>
  Array.from(flags[0]!, (_, i) => Math.max(...flags.map(one => one[i]!)))

/** The rows of all ranks, each the sum of those that have it. */
function mergeRows(
  width: number,
  parts: readonly { rows: Uint32Array; values: Float32Array }[],
): { rows: Uint32Array<ArrayBuffer>; values: Float32Array<ArrayBuffer> } {
  const rows = union(parts.map(part => part.rows))
  const values = new Float32Array(rows.length * width)
  for (const part of parts) {
    // Both ascend.
    let to = 0
    for (const [i, row] of part.rows.entries()) {
      while (rows[to]! < row) to++
      const from = i * width
      for (let c = 0; c < width; c++) values[to * width + c]! += part.values[from + c]!
    }
  }
  return { rows, values }
}

/** A gradient of some rows from the host. It outlives the step's scope, as those of the backward pass do. */
function rowGrad(gpu: Gpu, rows: Uint32Array, values: Float32Array, width: number): RowGrad {
  const tensor: Tensor = scope(() => empty(gpu, [rows.length, width]))
  gpu.upload(tensor.view, values)
  return { rows, values: tensor }
}

function setRows(gpu: Gpu, { table }: TableState, parts: readonly RankRows[]): void {
  const { rows, values } = mergeRows(table.width, parts)
  for (const grad of table.grads) grad.values.dispose()
  table.grads = [rowGrad(gpu, rows, values, table.width)]
}

/** A sum over the ranks, a slice at a time. */
async function sumSliced(gpu: Gpu, ranks: Ranks, { table, merged }: TableState): Promise<void> {
  // A rank whose batch had no use of all rows adds nothing.
  if (!table.sliced.length) table.sliced.push(NOTHING(gpu))
  const own = new SlicedTable(table, merged)
  const sums = new Map<TableSlice, Float32Array<ArrayBuffer>>()
  try {
    for (const slice of table.slices) {
      const values = await gpu.readFloats(own.gradientOf(slice))
      await ranks.sum(values)
      sums.set(slice, values)
    }
  } finally {
    own.dispose()
  }
  table.zeroGrad()
  table.sliced = [
    {
      since: undefined,
      write: (slice, into) => gpu.upload(into, sums.get(slice)!),
      dispose: () => sums.clear(),
    },
  ]
}

const NOTHING = (gpu: Gpu): SlicedGrad => ({
  since: undefined,
  write: (_, into, accumulate) => {
    if (!accumulate) gpu.clear(into)
  },
  dispose() {},
})

/** Puts the sum over the ranks in the place of float32 values on the device. */
async function sumPieces(gpu: Gpu, ranks: Ranks, views: readonly View[]): Promise<void> {
  const pieces = views.flatMap(({ buffer, offset, size }) =>
    Array.from({ length: Math.ceil(size / 4 / PIECE) }, (_, i) => {
      const start = i * PIECE * 4
      return { buffer, offset: offset + start, size: Math.min(PIECE * 4, size - start) }
    }),
  )
  const read = (i: number) => {
    const values = pieces[i] && gpu.readFloats(pieces[i])
    values?.catch(() => {}) // it is thrown where it is waited for
    return values
  }
  let next = read(0)
  for (const [i, view] of pieces.entries()) {
    const values = (await next)!
    next = read(i + 1)
    await ranks.sum(values)
    gpu.upload(view, values)
  }
}
