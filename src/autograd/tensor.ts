import { expectDims, expectFlag, expectOneOf, expectOptions, shown, toFloats, toUints } from '../check.ts'
import { ArgumentError, KernelgradError, ShapeError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { cast } from '../kernels/cast.ts'
import { expectGpu } from '../kernels/checks.ts'
import { numel } from '../kernels/strides.ts'
import { type GradHook, type RemovableHandle, tensorHooks } from './hooks.ts'
import { track, untrack } from './scope.ts'
import { reading } from './synchronous.ts'

/** Element types. f16 is storage only, two in a 32-bit word: kernels load it to float32 and compute there. */
export type DType = 'f32' | 'f16' | 'u32'
/** Sizes of the dimensions, the slowest first. */
export type Shape = readonly number[]

/** Whether a tensor of this shape may be f16: kernels move four halves at a time, so rows are multiples of four. */
export function fitsF16(shape: Shape): boolean {
  if (!Array.isArray(shape)) expectDims('fitsF16: shape', shape)
  return (shape.at(-1) ?? 1) % 4 === 0
}

function checkShape(shape: Shape, dtype: DType): Shape {
  if (dtype === 'f16' && !fitsF16(shape)) {
    throw new ShapeError(
      `an f16 tensor's last dimension is a multiple of 4, got shape [${shape}]; use f32, or cast to f32 first`,
    )
  }
  return shape
}

export const DTYPES: readonly string[] = ['f32', 'f16', 'u32']

/** Bytes of one element. */
const BYTES: Record<DType, number> = { f32: 4, f16: 2, u32: 4 }

/**
 * An array on a device: row-major and contiguous. Tensors own their memory and give it back on
 * `dispose()`, at the end of the scope they were made in, or, for results recorded on the tape, when the backward pass
 * has consumed them.
 */
export class Tensor {
  /** Sizes of the dimensions; [] is a scalar. */
  readonly shape: Shape
  /** Element type. */
  readonly dtype: DType
  /** The gradient of a leaf tensor after `backward()`. */
  grad: Tensor | undefined
  /** Whether the tape leaves this tensor alive after the backward pass; see `keep()`. */
  kept = false
  /**
   * The values that `tensor` was given, of a u32 tensor: operations check ids, labels and offsets against them without reading anything
   * back. What is written to the memory later is not seen here; for that, make the tensor with `empty`.
   */
  readonly known: Uint32Array | undefined
  /** For the operation it is a result of, and the count of tensors that nothing will free: see growth.ts. */
  growth = 0
  /** Of a parameter, see changes.ts. */
  changedAt = 0
  #view: View | undefined
  #refs = 1
  #requiresGrad = false
  readonly #gpu: Gpu | undefined
  readonly #base: Tensor | undefined

  /** For `empty`, `tensor` and `alias`. */
  constructor(
    shape: Shape,
    dtype: DType,
    memory?: { gpu: Gpu; view: View; base?: Tensor; known?: Uint32Array | undefined },
  ) {
    this.shape = shape
    this.dtype = dtype
    this.#gpu = memory?.gpu
    this.#view = memory?.view
    this.#base = memory?.base
    this.known = memory?.known
    if (memory) track(this)
  }

  /** The device it is on. */
  get gpu(): Gpu {
    return this.#gpu!
  }

  /** Whether a gradient is wanted for this tensor, or flows through it. */
  get requiresGrad(): boolean {
    return this.#requiresGrad
  }

  set requiresGrad(wanted: boolean) {
    expectFlag('requiresGrad', wanted)
    if (wanted && this.dtype === 'u32')
      throw new ArgumentError(
        `requiresGrad: a u32 tensor of shape [${this.shape}] has no gradient, expected f32 or f16`,
      )
    this.#requiresGrad = wanted
  }

  /** The memory: bytes of a device buffer. Throws once the tensor is disposed. */
  get view(): View {
    if (!this.#view) {
      throw new KernelgradError(
        `a tensor of shape [${this.shape}] was used after its memory was freed; keep() it, or return it from its scope`,
      )
    }
    return this.#view
  }

  /** Number of elements. */
  get size(): number {
    return numel(this.shape)
  }

  /** Bytes of its elements; the view may be longer. */
  get bytes(): number {
    return this.size * BYTES[this.dtype]
  }

  /** How kernels find the values of a tensor that is no uint32. */
  get storage(): 'f32' | 'f16' {
    return this.dtype === 'f16' ? 'f16' : 'f32'
  }

  /** Whether its memory has been freed. */
  get disposed(): boolean {
    return this.#view === undefined
  }

  /** Whether someone else holds this tensor's memory too; another's memory under a shape of its own goes with that tensor's scope. */
  get shared(): boolean {
    return this.#refs > 1 || this.#base !== undefined
  }

  /** The tensor whose memory this one shares, under another shape; see `alias`. */
  get base(): Tensor | undefined {
    return this.#base
  }

  /** One more holder; `dispose()` frees the memory when the last one lets go. */
  retain(): this {
    this.#refs++
    return this
  }

  /** Keeps a recorded result alive through the backward pass, until its scope ends. */
  keep(): this {
    this.kept = true
    return this
  }

  /**
   * Calls `hook` with this tensor's gradient in every backward pass, once it is complete; what the hook returns takes the
   * gradient's place: `torch.Tensor.register_hook`. Of a parameter it is the gradient of that pass alone, before it is added to
   * those of other micro-batches, and of a scaled loss it is scaled.
   *
   * @example
   * ```ts
   * import { scale } from 'kernelgrad'
   *
   * const handle = model.head.weight.registerHook(grad => scale(grad, 0.1))
   * handle.remove()
   * ```
   */
  registerHook(hook: GradHook): RemovableHandle {
    return tensorHooks.add(this, hook)
  }

  /** Lets go of the memory; it is freed when nobody else holds it. */
  dispose(): void {
    if (--this.#refs > 0 || !this.#view) return
    this.free()
  }

  /** Frees the memory whoever holds it; for scopes. */
  free(): void {
    if (!this.#view) return
    untrack(this)
    if (this.#base) this.#base.dispose()
    else this.gpu.release(this.#view)
    this.#view = undefined
    this.grad?.dispose()
    this.grad = undefined
  }

  /** The values as float32, once the device has computed them. */
  read(): Promise<Float32Array<ArrayBuffer>> {
    return reading(this.#read())
  }

  async #read(): Promise<Float32Array<ArrayBuffer>> {
    if (this.size === 0) return new Float32Array(0)
    const size = this.size * 4
    if (this.dtype !== 'f16') return this.gpu.readFloats({ ...this.view, size })
    const floats = this.gpu.acquire(size)
    cast(this.gpu, { x: this.view, y: floats, n: this.size, to: 'f32' })
    try {
      return await this.gpu.readFloats({ ...floats, size })
    } finally {
      this.gpu.release(floats)
    }
  }

  /** The value of a tensor of one element. */
  item(): Promise<number> {
    return reading(this.#item())
  }

  async #item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item() takes a tensor of one element, this one has shape [${this.shape}]`)
    return (await this.read())[0]!
  }
}

/**
 * A tensor with undefined content.
 * @throws ShapeError for a shape that is no list of whole numbers; ConfigError for a dtype there is not
 */
export function empty(gpu: Gpu, shape: Shape, dtype: DType = 'f32'): Tensor {
  expectGpu('empty: gpu', gpu)
  expectDims('empty: shape', shape)
  if (!DTYPES.includes(dtype)) expectOneOf('empty: dtype', dtype, DTYPES)
  return new Tensor(checkShape(shape, dtype), dtype, {
    gpu,
    view: gpu.acquire(numel(shape) * BYTES[dtype]),
  })
}

/**
 * The same memory under another shape; it lives until both tensors are disposed.
 * @throws ShapeError for a shape of another number of elements
 */
export function alias(base: Tensor, shape: Shape): Tensor {
  if (!(base instanceof Tensor)) throw new ArgumentError(`alias: base is ${shown(base)}, expected a tensor`)
  expectDims('alias: shape', shape)
  if (numel(shape) !== base.size)
    throw new ShapeError(`alias: cannot view shape [${base.shape}] as [${shape}]`)
  checkShape(shape, base.dtype)
  const { gpu, view, known } = base
  return new Tensor(shape, base.dtype, { gpu, view, base: base.retain(), known })
}

/**
 * A tensor holding `data`; float32, or uint32 for a Uint32Array or where `dtype` says so. Arrays of numbers are converted where that is
 * exact; of typed arrays, only these two are taken.
 *
 * @example
 * ```ts
 * import { tensor } from 'kernelgrad'
 *
 * const x = tensor(gpu, [1, 2, 3, 4, 5, 6], [2, 3], { requiresGrad: true })
 * const labels = tensor(gpu, Uint32Array.of(0, 1))
 * const ids = tensor(gpu, [0, 1], [2], { dtype: 'u32' })
 * ```
 *
 * @throws ArgumentError for other data; ConfigError naming the index of an element that is no number, or that the dtype does not
 * hold; ShapeError for a shape of another number of elements
 */
export function tensor(
  gpu: Gpu,
  data: Float32Array | Uint32Array | readonly number[],
  shape?: Shape,
  options?: { requiresGrad?: boolean; dtype?: 'f32' | 'u32' | undefined },
): Tensor {
  expectGpu('tensor: gpu', gpu)
  if (options !== undefined) expectOptions('tensor: options', options, ['requiresGrad', 'dtype'])
  const { requiresGrad = false, dtype = data instanceof Uint32Array ? 'u32' : 'f32' } = options ?? {}
  expectOneOf('tensor: dtype', dtype, ['f32', 'u32'])
  const typed = dtype === 'u32' ? toUints('tensor: data', data) : toFloats('tensor: data', data)
  if (shape !== undefined) expectDims('tensor: shape', shape)
  const dims = shape ?? [typed.length]
  if (numel(dims) !== typed.length)
    throw new ShapeError(`tensor of shape [${dims}] needs ${numel(dims)} values, got ${typed.length}`)
  if (requiresGrad !== false && dtype === 'u32')
    throw new ArgumentError('tensor: requiresGrad is true for u32 data, which has no gradient; expected f32')
  const known = typed instanceof Uint32Array ? typed.slice() : undefined
  const made = new Tensor(dims, dtype, { gpu, view: gpu.from(typed), known })
  if (requiresGrad !== false) made.requiresGrad = requiresGrad
  return made
}
