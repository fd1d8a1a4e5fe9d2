// An embedding table: split over shards of at most one binding's size, with gradients for some of its rows or, where every row has
// one, a slice of rows at a time.
import { expectNumber, NATURAL, shown } from '../check.ts'
import { ArgumentError, ConfigError, KernelgradError, ShapeError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import type { TableShard } from '../kernels/embedding.ts'
import { numel } from '../kernels/strides.ts'
import { expectGpu } from './checks.ts'
import { type GradHook, type RemovableHandle, tableHooks } from './hooks.ts'
import { type Chunk, expectInit, expectSizes, type Init } from './parameter.ts'
import type { Shape, Tensor } from './tensor.ts'

/** The gradient of a table after one use: values for some of its rows. */
export interface RowGrad {
  /** Unique rows, ascending. */
  rows: Uint32Array
  /** [rows.length, H]. */
  values: Tensor
}

/** Consecutive rows of a table whose gradient is computed at once. @internal */
export interface TableSlice {
  /** Number of its first row in the table. */
  firstRow: number
  /** Number of rows. */
  rows: number
  /** [rows, H], the values. */
  view: View
  /** Which shard it lies in. */
  shard: number
}

/**
 * A gradient for every row of a table that has more than one slice, after one use: computed a slice at a time, as often as it is asked for, because
 * the whole would be as large as the table. The table's values must not have changed since, except in slices that are done with.
 * @internal
 */
export interface SlicedGrad {
  /** How many changes there were when it was made; none where it is computed from what was kept. */
  since: number | undefined
  /** Writes the gradient of a slice's rows, [rows, H], or adds it to what is there. */
  write(slice: TableSlice, into: View, accumulate: boolean): void
  /** Frees what it is computed from. */
  dispose(): void
}

/** Bytes of a slice at most; 64 rows where they take more. */
const SLICE_BYTES = 2 ** 24
/** Slices start at multiples of so many rows of a shard, where every binding can. */
const SLICE_ROWS = 64

/** An embedding table [V, H], split over shards of at most one binding's size, with row-sparse gradients. */
export class TableParameter {
  /** [V, H]. */
  readonly shape: Shape
  /** How it starts. */
  readonly init: Init
  /** The row that starts at zero and gets no gradient. */
  readonly paddingIdx: number | undefined
  /** Whether it is trained. */
  requiresGrad = true
  /** Gradients since the last `zeroGrad`, one per use. */
  grads: RowGrad[] = []
  /** Gradients for all rows since the last `zeroGrad`, one per use that has them. */
  sliced: SlicedGrad[] = []
  /** Which change was the last of its values: see `valuesChanged`. */
  changedAt = 0
  /**
   * Called before rows are read, so that an optimizer which left rows behind brings them up to date; without rows,
   * all of them.
   */
  beforeRead: ((rows?: Uint32Array) => void) | undefined
  #gpu: Gpu | undefined
  #shards: TableShard[] = []
  #slices: TableSlice[] = []

  /** It has no memory until its module is given a device. */
  constructor(shape: readonly [number, number], init: Init, paddingIdx?: number) {
    expectSizes('TableParameter', shape)
    if (shape.length !== 2)
      throw new ShapeError(`TableParameter: shape is [${shape}], expected [rows, width]`)
    expectInit('TableParameter', init)
    if (paddingIdx !== undefined) {
      expectNumber('TableParameter: paddingIdx', paddingIdx, NATURAL)
      if (paddingIdx >= shape[0])
        throw new ConfigError(
          `TableParameter: paddingIdx is ${paddingIdx}, expected a row of the table, 0 to ${shape[0] - 1}`,
        )
    }
    this.shape = shape
    this.init = init
    this.paddingIdx = paddingIdx
  }

  /** Whether it has memory. */
  get placed(): boolean {
    return this.#gpu !== undefined
  }

  /** The device it is on. Throws a KernelgradError before it has memory. */
  get gpu(): Gpu {
    if (!this.#gpu)
      throw new KernelgradError(
        `a table of shape [${this.shape}] has no memory yet; call model.to(gpu) first`,
      )
    return this.#gpu
  }

  /** Its rows by shard, each at most one binding. Throws a KernelgradError before it has memory. */
  get shards(): TableShard[] {
    if (!this.#gpu)
      throw new KernelgradError(
        `a table of shape [${this.shape}] has no memory yet; call model.to(gpu) first`,
      )
    return this.#shards
  }

  /** All its rows, in pieces of at most 16 MiB that lie in one shard each. Throws a KernelgradError before it has memory. */
  get slices(): readonly TableSlice[] {
    return this.shards && this.#slices
  }

  /** Number of elements, V H. */
  get size(): number {
    return numel(this.shape)
  }

  /** H. */
  get width(): number {
    return this.shape[1]!
  }

  /** Whether there is a gradient since the last `zeroGrad`. */
  get hasGrad(): boolean {
    return this.grads.length + this.sliced.length > 0
  }

  /** As `Tensor.registerHook`, with the gradient of one use of the table; what the hook returns replaces its values. */
  registerHook(hook: GradHook<RowGrad>): RemovableHandle {
    return tableHooks.add(this, hook)
  }

  /**
   * The gradients for all rows, to be computed now.
   * @throws KernelgradError where the values that one is computed from are no longer there
   */
  slicedNow(): readonly SlicedGrad[] {
    if (this.sliced.some(({ since = this.changedAt }) => since < this.changedAt))
      throw new KernelgradError(
        `the gradient of a table of shape [${this.shape}] is computed from the table's values when it is asked for, and they have changed since ` +
          'backward(), by a step or by being written; call zeroGrad() after each step, and write values before the forward pass',
      )
    return this.sliced
  }

  /** Forgets the gradients and frees their memory. */
  zeroGrad(): void {
    for (const { values } of this.grads) values.dispose()
    for (const grad of this.sliced) grad.dispose()
    this.grads = []
    this.sliced = []
  }

  /** The values by shard, every row up to date. */
  chunks(): Chunk[] {
    this.beforeRead?.()
    return this.shards.map(({ view, firstRow, rows }) => ({
      view: { ...view, size: rows * this.width * 4 },
      start: firstRow * this.width,
      size: rows * this.width,
    }))
  }

  /** The gradient as a dense [V, H] array; for tests and small tables. */
  async readGrad(): Promise<Float32Array<ArrayBuffer>> {
    const dense = new Float32Array(this.size)
    for (const { rows, values } of this.grads) {
      const data = await values.read()
      for (const [i, row] of rows.entries()) {
        for (let c = 0; c < this.width; c++) dense[row * this.width + c]! += data[i * this.width + c]!
      }
    }
    const sliced = this.slicedNow()
    for (const slice of sliced.length ? this.#slices : []) {
      const view = this.gpu.acquire(slice.rows * this.width * 4)
      for (const [i, grad] of sliced.entries()) grad.write(slice, view, i > 0)
      const data = await this.gpu.readFloats(view).finally(() => this.gpu.release(view))
      for (const [i, value] of data.entries()) dense[slice.firstRow * this.width + i]! += value
    }
    return dense
  }

  /** Gives the table memory. */
  allocate(gpu: Gpu): void {
    expectGpu('TableParameter.allocate: gpu', gpu)
    if (this.#gpu)
      throw new ConfigError(`a table of shape [${this.shape}] has memory already; free() it first`)
    const [rows, width] = this.shape as [number, number]
    const perShard = Math.min(rows, Math.floor(gpu.maxBinding / (width * 4)))
    this.#gpu = gpu
    for (let firstRow = 0; firstRow < rows; firstRow += perShard) {
      const count = Math.min(perShard, rows - firstRow)
      const view = gpu.allocate(count * width * 4, 'embedding table')
      this.#shards.push({ view, firstRow, rows: count })
    }
    const perSlice = Math.max(1, Math.floor(SLICE_BYTES / (width * 4 * SLICE_ROWS))) * SLICE_ROWS
    this.#slices = this.#shards.flatMap(({ view, firstRow, rows }, shard) =>
      Array.from({ length: Math.ceil(rows / perSlice) }, (_, i) => {
        const count = Math.min(perSlice, rows - i * perSlice)
        const [offset, size] = [view.offset + i * perSlice * width * 4, count * width * 4]
        return {
          firstRow: firstRow + i * perSlice,
          rows: count,
          view: { buffer: view.buffer, offset, size },
          shard,
        }
      }),
    )
  }

  /** Returns the memory. */
  free(): void {
    this.zeroGrad()
    for (const { view } of this.#shards) this.#gpu!.release(view)
    this.#shards = []
    this.#slices = []
    this.#gpu = undefined
  }
}

/** @throws ArgumentError unless `table` is an embedding table; KernelgradError where it has no memory */
export function expectTable(op: string, name: string, table: unknown): asserts table is TableParameter {
  if (!(table instanceof TableParameter))
    throw new ArgumentError(
      `${op}: ${name} is ${shown(table)}, expected a TableParameter, as Embedding.weight`,
    )
  if (!table.placed)
    throw new KernelgradError(
      `${op}: ${name}, a table of shape [${table.shape}], has no memory yet; call model.to(gpu) first`,
    )
}
