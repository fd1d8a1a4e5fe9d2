import { empty, type RowGrad, scope, type TableParameter, type Tensor } from '../autograd/index.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { type AdamWMemory, adamwRows } from '../kernels/adamw.ts'
import { scatterAddRows, type TableShard } from '../kernels/embedding.ts'

/** A consecutive part of a parameter's first and second moments, `size` elements each. */
export interface MomentChunk {
  expAvg: View
  expAvgSq: View
  size: number
}

/** Rows that a launch per shard updates. */
interface Plan {
  entries: View
  shards: { shard: TableShard; first: number; n: number; index: number }[]
}

type Shared = Pick<AdamWMemory, 'history' | 'clip' | 'groups'>

/** Moments of one table by shard, and the step each row is up to date with. */
export class TableState {
  readonly table: TableParameter
  /** This step's gradient: unique rows, ascending. */
  merged: RowGrad | undefined
  readonly #gpu: Gpu
  readonly #group: number
  readonly #moments: { m: View; v: View }[]
  /** [V]: how many steps each row has taken. Ids come from the host, and so can this. */
  readonly #stamps: Uint32Array
  /** Whether the last step found the table frozen: steps do not count for its rows. */
  #asleep = false
  #prepared: Plan | undefined

  constructor(gpu: Gpu, table: TableParameter, group: number) {
    this.#gpu = gpu
    this.table = table
    this.#group = group
    this.#stamps = new Uint32Array(table.shape[0]!)
    this.#moments = table.shards.map(({ rows }) => {
      const zeros = () => {
        const view = gpu.allocate(rows * table.width * 4, 'optimizer moments')
        gpu.clear(view)
        return view
      }
      return { m: zeros(), v: zeros() }
    })
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
    this.table.zeroGrad()
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
    if (this.merged) this.#prepared = this.#plan(this.merged.rows, base)
  }

  /** Returns what `prepare` uploaded for a step that is not taken. */
  cancel(): void {
    if (this.#prepared) this.#gpu.release(this.#prepared.entries)
    this.#prepared = undefined
  }

  /** Takes step `step` with the merged gradient, as prepared. */
  step(shared: Shared, base: number, step: number): void {
    if (!this.merged || !this.#prepared) return
    this.#run(shared, this.#prepared, base, step - 1, this.merged.values.view)
    for (const row of this.merged.rows) this.#stamps[row] = step
    this.#prepared = undefined
    this.merged = undefined
  }

  /** Replays the steps that rows (all of them unless named) sat out, up to step `step`. */
  catchUp(shared: Shared, base: number, step: number, rows?: Uint32Array): void {
    if (this.#asleep) return
    const behind = rows
      ? rows.filter(row => this.#stamps[row]! < step)
      : Uint32Array.from(this.#stamps.keys()).filter(row => this.#stamps[row]! < step)
    if (!behind.length) return
    this.#run(shared, this.#plan(behind, base), base, step)
    for (const row of behind) this.#stamps[row] = step
  }

  /** Where the moments lie, by shard. */
  chunks(): MomentChunk[] {
    return this.table.shards.map(({ rows }, i) => {
      const { m, v } = this.#moments[i]!
      return { expAvg: m, expAvgSq: v, size: rows * this.table.width }
    })
  }

  /** Every row has taken `step` steps: the moments have been written from outside. */
  resume(step: number): void {
    this.#stamps.fill(step)
  }

  dispose(): void {
    this.table.beforeRead = undefined
    for (const { m, v } of this.#moments) for (const view of [m, v]) this.#gpu.release(view)
  }

  /** Ascending `rows` by shard, each with the steps it has taken. */
  #plan(rows: Uint32Array, base: number): Plan {
    const entries = new Uint32Array(rows.length * 2)
    const shards: Plan['shards'] = []
    let i = 0
    for (const [index, shard] of this.table.shards.entries()) {
      const first = i
      for (; i < rows.length && rows[i]! < shard.firstRow + shard.rows; i++) {
        entries[2 * i] = rows[i]! - shard.firstRow
        entries[2 * i + 1] = this.#stamps[rows[i]!]! - base
      }
      if (i > first) shards.push({ shard, first, n: i - first, index })
    }
    return { entries: this.#upload(entries), shards }
  }

  /** One launch per shard: replay up to `until` steps taken, then one more with `g`. */
  #run(shared: Shared, { entries, shards }: Plan, base: number, until: number, g?: View): void {
    for (const { shard, first, n, index } of shards) {
      adamwRows(this.#gpu, {
        ...shared,
        ...this.#moments[index]!,
        w: shard.view,
        entries,
        firstEntry: first,
        n,
        width: this.table.width,
        group: this.#group,
        until: until - base,
        g,
      })
    }
    this.#gpu.release(entries)
  }

  #upload(data: Uint32Array<ArrayBuffer>): View {
    return this.#gpu.from(data)
  }
}

/** Ascending union of ascending lists. */
function union(lists: Uint32Array[]): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(lists.reduce((sum, list) => sum + list.length, 0))
  let n = 0
  for (const list of lists) {
    all.set(list, n)
    n += list.length
  }
  all.sort()
  return all.filter((row, i) => i === 0 || row !== all[i - 1])
}
