// Parameters exist before a device does: a model can be built, printed and counted without one. Memory comes with
// `allocateDense` and `allocateTables` (from `Module.to`).
import { KernelgradError, ShapeError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import type { TableShard } from '../kernels/embedding.ts'
import { type GradHook, type RemovableHandle, tableHooks } from './hooks.ts'
import type { GradTarget } from './tape.ts'
import { numel, type Shape, Tensor } from './tensor.ts'

/** How a parameter starts, as torch.nn.init names it. */
export type Init =
  | { kind: 'normal'; mean?: number; std: number }
  | { kind: 'uniform'; bound: number }
  | { kind: 'constant'; value: number }

/** A consecutive part of a parameter's values: `size` elements from element `start`. */
export interface Chunk {
  view: View
  start: number
  size: number
}

/** A trained tensor: `DenseParameter` with its gradient beside it, or `TableParameter` with row-sparse gradients. */
export type Parameter = DenseParameter | TableParameter

/** Flat memory that holds many dense parameters: weights, and gradients at the same offsets. */
export interface Arena {
  weights: View
  grads: View
  /** The parameters inside, by byte offset. */
  blocks: { parameter: DenseParameter; offset: number; bytes: number }[]
}

/** Offsets of blocks inside an arena are multiples of this many bytes: what a storage binding needs. */
export const BLOCK_BYTES = 256

/** Any parameter except an embedding table. Its values live in an arena shared with other parameters. */
export class DenseParameter extends Tensor {
  readonly init: Init
  /** The larger parameter whose rows this one is, and where: see `packParameters`. */
  parent: DenseParameter | undefined
  parentOffset = 0
  /** The parameters whose rows make up this one, where it is a pack. */
  readonly parts: DenseParameter[] = []
  #arena: Arena | undefined
  #offset = 0
  #written = false

  constructor(shape: Shape, init: Init) {
    super(shape, 'f32')
    this.init = init
    this.requiresGrad = true
  }

  /** Whether it is trained; of a pack, whether any part is. A frozen parameter takes no part in the backward pass. */
  override get requiresGrad(): boolean {
    return this.parts.length ? this.parts.some(part => part.requiresGrad) : super.requiresGrad
  }

  override set requiresGrad(wanted: boolean) {
    for (const part of this.parts) part.requiresGrad = wanted
    super.requiresGrad = wanted
  }

  override get gpu(): Gpu {
    const arena = this.root.#arena
    if (!arena)
      throw new KernelgradError(
        `a parameter of shape [${this.shape}] has no memory yet; call model.to(gpu) first`,
      )
    return arenaGpu.get(arena)!
  }

  override get view(): View {
    const root = this.root
    if (!root.#arena) {
      throw new KernelgradError(
        `a parameter of shape [${this.shape}] has no memory yet; call model.to(gpu) first`,
      )
    }
    return { buffer: root.#arena.weights.buffer, offset: this.#byteOffset(), size: this.size * 4 }
  }

  /** The parameter that owns the memory: this one, or the pack it belongs to. */
  get root(): DenseParameter {
    return this.parent ?? this
  }

  get arena(): Arena | undefined {
    return this.root.#arena
  }

  /** Whether a gradient has been computed since the last `zeroGrad`. */
  get hasGrad(): boolean {
    return this.root.#written
  }

  /** The gradient's memory, all zero or stale while `hasGrad` is false. */
  get gradView(): View {
    return { buffer: this.root.arena!.grads.buffer, offset: this.#byteOffset(), size: this.size * 4 }
  }

  /** Where a backward step writes the gradient, and whether it adds to what is there. */
  gradTarget(): GradTarget {
    if (this.parent)
      throw new KernelgradError('gradients of packed parameters are written through their pack')
    const accumulate = this.#written
    this.#written = true
    return { view: this.gradView, accumulate }
  }

  /** Forgets the gradient: the next one overwrites it. */
  zeroGrad(): void {
    this.#written = false
  }

  /** The values, in one piece. */
  chunks(): Chunk[] {
    return [{ view: this.view, start: 0, size: this.size }]
  }

  /** The gradient's values; zeros when none was computed. */
  async readGrad(): Promise<Float32Array<ArrayBuffer>> {
    return this.hasGrad ? this.gpu.readFloats(this.gradView) : new Float32Array(this.size)
  }

  /** For `allocateDense`. */
  place(arena: Arena, offset: number): void {
    this.#arena = arena
    this.#offset = offset
  }

  #byteOffset(): number {
    return this.root.#offset + this.parentOffset * 4
  }
}

const arenaGpu = new WeakMap<Arena, Gpu>()

/** Lets `parts` lie side by side, so that one matmul covers all of them: q, k and v. Returns the parameter of the whole. */
export function packParameters(parts: DenseParameter[]): DenseParameter {
  const [rows, ...rest] = parts[0]!.shape
  for (const part of parts) {
    if (part.shape.slice(1).join() !== rest.join()) {
      throw new ShapeError(
        `packed parameters differ behind their first dimension: [${parts[0]!.shape}] and [${part.shape}]`,
      )
    }
  }
  const pack = new DenseParameter([rows! * parts.length, ...rest], { kind: 'constant', value: 0 })
  for (const [i, part] of parts.entries()) {
    part.parent = pack
    part.parentOffset = i * part.size
    pack.parts.push(part)
  }
  return pack
}

/** Gives dense parameters memory: arenas of at most one binding's size, each parameter in an aligned block. */
export function allocateDense(gpu: Gpu, parameters: DenseParameter[]): Arena[] {
  const roots = [...new Set(parameters.map(parameter => parameter.root))]
  const plans: { bytes: number; blocks: Arena['blocks'] }[] = []
  for (const parameter of roots) {
    const bytes = Math.ceil((parameter.size * 4) / BLOCK_BYTES) * BLOCK_BYTES
    let plan = plans.at(-1)
    if (!plan || plan.bytes + bytes > gpu.maxBinding) {
      plan = { bytes: 0, blocks: [] }
      plans.push(plan)
    }
    plan.blocks.push({ parameter, offset: plan.bytes, bytes })
    plan.bytes += bytes
  }
  return plans.map(({ bytes, blocks }) => {
    const block = (label: string): View => ({ ...gpu.allocate(bytes, label), whole: false })
    const arena = { weights: block('parameters'), grads: block('gradients'), blocks }
    gpu.clear(arena.weights)
    gpu.clear(arena.grads)
    arenaGpu.set(arena, gpu)
    for (const { parameter, offset } of blocks) parameter.place(arena, offset)
    return arena
  })
}

/** The gradient of a table after one use: values for some of its rows. */
export interface RowGrad {
  /** Unique rows, ascending. */
  rows: Uint32Array
  /** [rows.length, H]. */
  values: Tensor
}

/** An embedding table [V, H], split over shards of at most one binding's size, with row-sparse gradients. */
export class TableParameter {
  readonly shape: Shape
  readonly init: Init
  readonly paddingIdx: number | undefined
  /** Whether it is trained. */
  requiresGrad = true
  /** Gradients since the last `zeroGrad`, one per use. */
  grads: RowGrad[] = []
  /**
   * Called before rows are read, so that an optimizer which left rows behind brings them up to date; without rows,
   * all of them.
   */
  beforeRead: ((rows?: Uint32Array) => void) | undefined
  #gpu: Gpu | undefined
  #shards: TableShard[] = []

  constructor(shape: readonly [number, number], init: Init, paddingIdx?: number) {
    this.shape = shape
    this.init = init
    this.paddingIdx = paddingIdx
  }

  get gpu(): Gpu {
    if (!this.#gpu)
      throw new KernelgradError(
        `a table of shape [${this.shape}] has no memory yet; call model.to(gpu) first`,
      )
    return this.#gpu
  }

  get shards(): TableShard[] {
    if (!this.#gpu)
      throw new KernelgradError(
        `a table of shape [${this.shape}] has no memory yet; call model.to(gpu) first`,
      )
    return this.#shards
  }

  get size(): number {
    return numel(this.shape)
  }

  get width(): number {
    return this.shape[1]!
  }

  get hasGrad(): boolean {
    return this.grads.length > 0
  }

  /** As `Tensor.registerHook`, with the gradient of one use of the table; what the hook returns replaces its values. */
  registerHook(hook: GradHook<RowGrad>): RemovableHandle {
    return tableHooks.add(this, hook)
  }

  /** Forgets the gradients and frees their memory. */
  zeroGrad(): void {
    for (const { values } of this.grads) values.dispose()
    this.grads = []
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
    return dense
  }

  /** Gives the table memory. */
  allocate(gpu: Gpu): void {
    const [rows, width] = this.shape as [number, number]
    const perShard = Math.min(rows, Math.floor(gpu.maxBinding / (width * 4)))
    this.#gpu = gpu
    for (let firstRow = 0; firstRow < rows; firstRow += perShard) {
      const count = Math.min(perShard, rows - firstRow)
      const view = gpu.allocate(count * width * 4, 'embedding table')
      this.#shards.push({ view, firstRow, rows: count })
    }
  }

  /** Returns the memory. */
  free(): void {
    this.zeroGrad()
    for (const { view } of this.#shards) this.#gpu!.release(view)
    this.#shards = []
    this.#gpu = undefined
  }
}
