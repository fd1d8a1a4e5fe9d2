import type { RowGrad, SlicedGrad, TableParameter, TableSlice } from '../autograd/index.ts'
import type { View } from '../gpu/index.ts'
import { scatterAddRows } from '../kernels/embedding.ts'

/**
 * A step's gradient of a table in which every row has one, a slice at a time: that of every use which has all rows, plus that of the lookups'
 * rows, `merged`.
 */
export class SlicedTable {
  readonly #table: TableParameter
  readonly #sliced: readonly SlicedGrad[]
  readonly #merged: RowGrad | undefined
  /** [rows, H] of the largest slice; overwritten by the next. */
  readonly #values: View
  /** Memory for the lookups' rows of a slice. */
  readonly #some: View | undefined

  constructor(table: TableParameter, merged: RowGrad | undefined) {
    this.#table = table
    this.#sliced = table.slicedNow()
    this.#merged = merged
    const { gpu, slices, width } = table
    const largest = Math.max(...slices.map(({ rows }) => rows))
    const most = Math.min(largest, merged?.rows.length ?? 0)
    this.#values = gpu.acquire(largest * width * 4, 'gradient of a slice')
    try {
      this.#some = most ? gpu.acquire(most * width * 4, 'gradient of a slice’s lookups') : undefined
    } catch (error) {
      gpu.release(this.#values)
      throw error
    }
  }

  /** The gradient of a slice's rows, [rows, H]; the next call overwrites it. */
  gradientOf(slice: TableSlice): View {
    const { width } = this.#table
    for (const [i, grad] of this.#sliced.entries()) grad.write(slice, this.#values, i > 0)
    this.#addLookups(slice)
    return { ...this.#values, size: slice.rows * width * 4 }
  }

  #addLookups({ firstRow, rows }: TableSlice): void {
    if (!this.#merged || !this.#some) return
    const { gpu, width: H } = this.#table
    const { rows: all, values } = this.#merged
    const inside = all.filter(row => row >= firstRow && row < firstRow + rows)
    const n = inside.length
    if (!n) return
    // Where they begin in the gradient, no binding may: they are copied first.
    const { buffer, offset } = values.view
    const source = { buffer, offset: offset + all.indexOf(inside[0]!) * H * 4, size: n * H * 4 }
    gpu.copy(source, this.#some, n * H * 4)
    const map = gpu.from(inside.map(row => row - firstRow))
    try {
      scatterAddRows(gpu, { source: this.#some, map, target: this.#values, n, H })
    } finally {
      gpu.release(map)
    }
  }

  dispose(): void {
    const { gpu } = this.#table
    gpu.release(this.#values)
    if (this.#some) gpu.release(this.#some)
  }
}
