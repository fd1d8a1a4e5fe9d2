import { empty, type RowGrad, scope, type TableParameter } from '../autograd/index.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { type AdamWMemory, adamwRows } from '../kernels/adamw.ts'
import { scatterAddRows, type TableShard } from '../kernels/embedding.ts'

/** A consecutive part of a parameter's first and second moments, `size` elements each. */
export interface MomentChunk {
  expAvg: View
  expAvgSq: View
  size: number
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
    const values = scope(() => empty(this.#gpu, [rows.length, this.table.width]))
    this.#gpu.clear(values.view)
    for (const grad of grads) {
      const map = Uint32Array.from(grad.rows, row => at.get(row)!)
      const view = this.#upload(map)
      scatterAddRows(this.#gpu, {
        source: grad.values.view,
        map: view,
        target: values.view,
        n: map.length,
        H: this.table.width,
      })
      this.#gpu.release(view)
    }
    this.table.zeroGrad()
    this.merged = { rows, values }
    this.table.grads = [this.merged]
  }

  /** Takes step `step` (counted from 1) with the merged gradient. */
  step(shared: Shared, base: number, step: number): void {
    if (!this.merged) return
    this.#run(shared, this.merged.rows, base, step - 1, this.merged.values.view)
    for (const row of this.merged.rows) this.#stamps[row] = step
    this.merged = undefined
  }

  /** Replays the steps that rows (all of them unless named) sat out, up to step `step`. */
  catchUp(shared: Shared, base: number, step: number, rows?: Uint32Array): void {
    const behind = rows
      ? rows.filter(row => this.#stamps[row]! < step)
      : Uint32Array.from(this.#stamps.keys()).filter(row => this.#stamps[row]! < step)
    if (!behind.length) return
    this.#run(shared, behind, base, step)
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

  /** One launch per shard over ascending `rows`: replay up to `until` steps taken, then one more with `g`. */
  #run(shared: Shared, rows: Uint32Array, base: number, until: number, g?: View): void {
    const entries = new Uint32Array(rows.length * 2)
    const shards: { shard: TableShard; first: number; n: number; index: number }[] = []
    let i = 0
    for (const [index, shard] of this.table.shards.entries()) {
      const first = i
      for (; i < rows.length && rows[i]! < shard.firstRow + shard.rows; i++) {
        entries[2 * i] = rows[i]! - shard.firstRow
        entries[2 * i + 1] = this.#stamps[rows[i]!]! - base
      }
      if (i > first) shards.push({ shard, first, n: i - first, index })
    }
    const view = this.#upload(entries)
    for (const { shard, first, n, index } of shards) {
      adamwRows(this.#gpu, {
        ...shared,
        ...this.#moments[index]!,
        w: shard.view,
        entries: view,
        firstEntry: first,
        n,
        width: this.table.width,
        group: this.#group,
        until: until - base,
        g,
      })
    }
    this.#gpu.release(view)
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
