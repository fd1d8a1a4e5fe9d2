import {
  empty,
  type RowGrad,
  scope,
  type TableParameter,
  type Tensor,
  valuesChanged,
} from '../autograd/index.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { scatterAddRows, type TableShard } from '../kernels/embedding.ts'
import {
  type OptimizerMemory,
  optimizerByRow,
  optimizerRows,
  UPDATE_WORK,
  type UpdateRule,
} from '../kernels/optimizer.ts'
import type { GradPart } from '../kernels/reduce.ts'
import { SlicedTable } from './sliced-table.ts'

/** A consecutive part of a tensor of state: `size` float32 values. */
export interface StatePart {
  /** The memory; it may be larger than the values. */
  view: View
  /** Number of values. */
  size: number
}

/** How a table is updated. */
interface Ways {
  rule: UpdateRule
  /** One number a row is kept. */
  byRow: boolean
  /** Its parameter group. */
  group: number
  /** What rows do in a step without a gradient for them: those that move catch up before they are read. */
  idle: 'move' | 'stay'
}

/** Rows that a launch per slice of a shard updates. */
interface Plan {
  /** Pairs, for the device and as uploaded: row in the shard, steps taken. */
  entries: View
  pairs: Uint32Array
  shards: { shard: TableShard; first: number; n: number; index: number }[]
}

/** What is prepared of a step: rows and their gradient, which is there when its turn comes. */
type Prepared = { plan: Plan; gradient: () => View }[]

type Shared = Pick<OptimizerMemory, 'history' | 'clip' | 'groups'>

/** State of one table by shard, and the step each row is up to date with. */
export class TableState {
  readonly table: TableParameter
  /** As {@link Ways} has them. */
  readonly group: number
  readonly idle: 'move' | 'stay'
  /** This step's gradient: unique rows, ascending. */
  merged: RowGrad | undefined
  /** The table's memory when this was made. */
  readonly shards: readonly TableShard[]
  readonly #gpu: Gpu
  readonly #rule: UpdateRule
  readonly #byRow: boolean
  /** By shard. */
  readonly #states: View[][]
  /** [V], where idle rows move: how many steps each row has taken. Ids come from the host, and so can this. */
  readonly #stamps: Uint32Array
  /** Whether the last step found the table frozen: steps do not count for its rows. */
  #asleep = false
  #prepared: Prepared = []
  /** This step's gradient where every row has one. */
  #sliced: SlicedTable | undefined

  constructor(gpu: Gpu, table: TableParameter, { rule, byRow, group, idle }: Ways) {
    this.#gpu = gpu
    this.table = table
    this.shards = table.shards
    this.#rule = rule
    this.#byRow = byRow
    this.group = group
    this.idle = idle
    this.#stamps = new Uint32Array(idle === 'move' ? table.shape[0]! : 0)
    this.#states = table.shards.map(({ rows }) =>
      Array.from({ length: rule.states }, () => {
        const view = gpu.allocate(this.#valuesOf(rows) * 4, 'optimizer state')
        gpu.clear(view)
        return view
      }),
    )
  }

  /** Adds up the gradients of several uses (micro-batches, a shared table) into one per row. */
  merge(): void {
    const { grads } = this.table
    if (grads.length <= 1 || !this.table.requiresGrad) {
      this.merged = this.table.requiresGrad ? grads[0] : undefined
      return
    }
    const rows = union(grads.map(grad => grad.rows))
    const at = new Map<number, number>()
    for (const [i, row] of rows.entries()) at.set(row, i)
    const maps: View[] = []
    let values: Tensor | undefined
    try {
      for (const grad of grads) maps.push(this.#upload(Uint32Array.from(grad.rows, row => at.get(row)!)))
      values = scope(() => empty(this.#gpu, [rows.length, this.table.width]))
    } finally {
      if (!values) for (const map of maps) this.#gpu.release(map)
    }
    this.#gpu.clear(values.view)
    for (const [i, { rows, values: source }] of grads.entries()) {
      const [map, n] = [maps[i]!, rows.length]
      scatterAddRows(this.#gpu, { source: source.view, map, target: values.view, n, H: this.table.width })
      this.#gpu.release(map)
    }
    for (const grad of grads) grad.values.dispose()
    this.merged = { rows, values }
    this.table.grads = [this.merged]
  }

  /** Uploads what step `step` (counted from 1) needs; a frozen table catches up. */
  prepare(shared: Shared, base: number, step: number): void {
    if (!this.table.requiresGrad) {
      this.catchUp(shared, base, step - 1)
      this.#asleep = true
      return
    }
    if (this.#asleep) this.#stamps.fill(step - 1)
    this.#asleep = false
    const plan = (rows: Uint32Array, gradient: () => View) =>
      this.#prepared.push({ plan: this.#plan(rows, base, step - 1), gradient })
    const { merged, table } = this
    if (table.sliced.length) {
      const sliced = new SlicedTable(table, merged)
      this.#sliced = sliced
      for (const slice of table.slices) {
        const rows = Uint32Array.from({ length: slice.rows }, (_, i) => slice.firstRow + i)
        plan(rows, () => sliced.gradientOf(slice))
      }
    } else if (merged) plan(merged.rows, () => merged.values.view)
  }

  /** The gradient as parts of a norm. */
  gradParts(): GradPart[] {
    const { merged, table } = this
    const sliced = this.#sliced
    if (sliced)
      return table.slices.map(slice => ({
        n: slice.rows * table.width,
        view: () => sliced.gradientOf(slice),
      }))
    return merged ? [{ view: merged.values.view, n: merged.values.size }] : []
  }

  /** Returns what `prepare` took for a step that is not taken. */
  cancel(): void {
    for (const { plan } of this.#prepared) this.#gpu.release(plan.entries)
    this.#done()
  }

  /** Takes step `step` with the merged gradient, as prepared. */
  step(shared: Shared, base: number, step: number): void {
    if (this.#prepared.length) valuesChanged(this.table)
    for (let next = this.#prepared.shift(); next; next = this.#prepared.shift())
      this.#run(shared, next.plan, base, step - 1, next.gradient)
    if (this.idle === 'move') {
      if (this.#sliced) this.#stamps.fill(step)
      else if (this.merged) stamp(this.#stamps, this.merged.rows, step)
    }
    this.#done()
    this.merged = undefined
  }

  #done(): void {
    this.#prepared = []
    this.#sliced?.dispose()
    this.#sliced = undefined
  }

  /** Replays the steps that rows (all of them unless named) sat out, up to step `step`. */
  catchUp(shared: Shared, base: number, step: number, rows?: Uint32Array): void {
    if (this.#asleep || this.idle === 'stay') return
    const behind = behindOf(this.#stamps, rows, step)
    if (!behind.length) return
    valuesChanged(this.table)
    this.#run(shared, this.#plan(behind, base, step), base, step)
    stamp(this.#stamps, behind, step)
  }

  /** By shard, a part of every state. */
  parts(): StatePart[][] {
    return this.table.shards.map(({ rows }, i) =>
      this.#states[i]!.map(view => ({ view, size: this.#valuesOf(rows) })),
    )
  }

  #valuesOf(rows: number): number {
    return this.#byRow ? rows : rows * this.table.width
  }

  /** Every row has taken `step` steps: the state has been written from outside. */
  resume(step: number): void {
    this.#stamps.fill(step)
  }

  dispose(): void {
    this.table.beforeRead = undefined
    for (const view of this.#states.flat()) this.#gpu.release(view)
  }

  /** Ascending `rows` by shard, each with the steps it has taken: all `until` of them where idle rows stay. */
  #plan(rows: Uint32Array, base: number, until: number): Plan {
    const entries = new Uint32Array(rows.length * 2)
    const shards: Plan['shards'] = []
    let i = 0
    for (const [index, shard] of this.table.shards.entries()) {
      const first = i
      for (; i < rows.length && rows[i]! < shard.firstRow + shard.rows; i++) {
        entries[2 * i] = rows[i]! - shard.firstRow
        entries[2 * i + 1] = (this.#stamps[rows[i]!] ?? until) - base
      }
      if (i > first) shards.push({ shard, first, n: i - first, index })
    }
    return { entries: this.#upload(entries), pairs: entries, shards }
  }

  /** Releases the plan after its launches: replay up to `until` steps taken, then one more with `g`. */
  #run(shared: Shared, plan: Plan, base: number, until: number, gradient?: () => View): void {
    try {
      this.#launch(shared, plan, base, until, gradient?.())
    } finally {
      this.#gpu.release(plan.entries)
    }
  }

  #launch(shared: Shared, { entries, pairs, shards }: Plan, base: number, until: number, g?: View): void {
    const step = until - base
    for (const { shard, first, n, index } of shards) {
      const rows = {
        ...shared,
        states: this.#states[index]!,
        w: shard.view,
        entries,
        firstEntry: first,
        n,
        width: this.table.width,
        group: this.group,
      }
      if (this.#byRow) {
        if (g) optimizerByRow(this.#gpu, this.#rule, { ...rows, step, g })
        continue
      }
      const most = this.#gpu.workLimit / UPDATE_WORK / this.table.width
      for (const slice of slicesOf(pairs, { first, n, until: g ? step + 1 : step, most }))
        optimizerRows(this.#gpu, this.#rule, { ...rows, ...slice, until: step, g })
    }
  }

  #upload(data: Uint32Array<ArrayBuffer>): View {
    return this.#gpu.from(data)
  }
}

/**
 * Entries `first` to `first + n - 1` in slices of at most `most` steps together, or of one entry: a row that sat out thousands of steps makes a
 * launch long, and a whole table of them would hold a GPU until the system takes it away. Each takes the steps from its own up to, and
 * without, `until`.
 */
export function slicesOf(
  pairs: ArrayLike<number>,
  { first, n, until, most }: { first: number; n: number; until: number; most: number },
): { firstEntry: number; n: number; steps: number }[] {
  const slices: { firstEntry: number; n: number; steps: number }[] = []
  let slice = { firstEntry: first, n: 0, steps: 0 }
  for (let entry = first; entry < first + n; entry++) {
    const steps = until - pairs[2 * entry + 1]!
    if (slice.n && slice.steps + steps > most) {
      slices.push(slice)
      slice = { firstEntry: entry, n: 0, steps: 0 }
    }
    slice.n++
    slice.steps += steps
  }
  slices.push(slice)
  return slices
}

/** Notes that rows have taken `step` steps. */
function stamp(stamps: Uint32Array, rows: Uint32Array, step: number): void {
  for (let i = 0; i < rows.length; i++) stamps[rows[i]!] = step
}

/** Of `rows`, or of all there are, those that have taken fewer than `step` steps. */
function behindOf(
  stamps: Uint32Array,
  rows: Uint32Array | undefined,
  step: number,
): Uint32Array<ArrayBuffer> {
  const count = rows?.length ?? stamps.length
  const behind = new Uint32Array(count)
  let n = 0
  for (let i = 0; i < count; i++) {
    const row = rows ? rows[i]! : i
    if (stamps[row]! < step) behind[n++] = row
  }
  return behind.slice(0, n)
}

/** Ascending union of ascending lists. */
export function union(lists: readonly Uint32Array[]): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(lists.reduce((sum, list) => sum + list.length, 0))
  let n = 0
  for (const list of lists) {
    all.set(list, n)
    n += list.length
  }
  all.sort()
  return all.filter((row, i) => i === 0 || row !== all[i - 1])
}
