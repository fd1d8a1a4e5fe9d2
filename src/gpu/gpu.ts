import { prepareCache, wait } from '#platform'
import {
  ConfigError,
  DeviceError,
  DeviceLostError,
  KernelgradError,
  OutOfMemoryError,
  ShapeError,
} from '../errors.ts'
import { type AdapterFound, findAdapter } from './adapter.ts'
import { told } from './buffers.ts'
import { Failures } from './failures.ts'
import { type Forms, formsFor, type SubgroupSizes, subgroupsOf } from './forms.ts'
import type { Grid, Kernel, View } from './kernel.ts'
import { checkOptions } from './launch-check.ts'
import { BufferPool, type MemoryUse, sizeClass } from './pool.ts'
import { Recorder, type RecorderCounts } from './recorder.ts'
import { guarded } from './scopes.ts'

/** How to open a device. */
export interface GpuOptions {
  /** 'auto', 'hardware', 'system' or 'embedded'; the environment's KERNELGRAD_ADAPTER unless given. */
  adapter?: string
  /**
   * Whose kernel forms are taken: 'hardware', 'system' or 'embedded', and a vendor if one is meant, as in 'hardware/nvidia'. The
   * environment's KERNELGRAD_FORMS unless given, and the adapter's own without that.
   */
  forms?: string
  /** Ask for WebGPU's default limits only, as a device that offers no more would give. */
  defaultLimits?: boolean
  /** Whether subgroup operations are used where the adapter has them: true unless given. Every kernel has a form without. */
  subgroups?: boolean
  /** Fill every buffer that is handed out with NaN, so that reading an element nobody wrote shows. For tests; slow. */
  poison?: boolean
  /**
   * Bytes that all buffers together may have; a buffer that would pass it is refused with an OutOfMemoryError at once. For machines
   * that are shared, and where the device's own memory is the system's.
   */
  memoryLimit?: number
  /**
   * Estimated work, in multiply-adds, that one submit holds at most; 2e10 unless given. Less for a device that is slower than an integrated GPU:
   * systems end what keeps a GPU busy for about two seconds, and the device is lost.
   */
  workLimit?: number
}

const OPTIONS = ['adapter', 'forms', 'defaultLimits', 'subgroups', 'poison', 'memoryLimit', 'workLimit']

/** Matrix units (tensor cores): WebGPU's feature, which Dawn and Chromium offer where experiments are allowed. @internal */
export const MATRIX_FEATURE = 'chromium-experimental-subgroup-matrix'
/** WGSL features and limits that are used where they are offered and never needed. */
const WANTED_FEATURES = ['shader-f16', 'subgroups', 'timestamp-query', MATRIX_FEATURE] as GPUFeatureName[]
const WANTED_LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize'] as const

/** Reads of up to this many bytes keep their buffers. */
const READER = 1 << 20

/**
 * A device with what launching kernels takes: buffer pool, command recorder, pipeline cache, readback. Several can
 * live in one process. Made by `openGpu`.
 *
 * An error belongs to the call it is about. What is known at the call is thrown there. What the device says later, such as that a kernel
 * does not compile or that there is no room for a buffer, leaves out that call and what reads its results; it is thrown where
 * those are read or used, or by the next wait for all work, and all else goes on.
 */
export class Gpu {
  /** WebGPU's own object. */
  readonly device: GPUDevice
  /** The adapter it was opened on. */
  readonly adapter: AdapterFound
  /** Whose kernel forms are taken. */
  readonly forms: Readonly<Forms>
  /** Sizes of its subgroups; undefined where it has not the feature. */
  readonly subgroups: Readonly<SubgroupSizes> | undefined
  /** The WGSL and WebGPU features that the device was opened with. */
  readonly features: ReadonlySet<string>
  /** Where buffers come from. */
  readonly pool: BufferPool
  readonly #recorder: Recorder
  readonly #poison: boolean
  readonly #failures = new Failures()
  /** Buffers that small reads are mapped in, by size. */
  readonly #readers = new Map<number, GPUBuffer[]>()
  #closed = false
  readonly #hear: (event: Event) => void

  /** For `openGpu`. */
  constructor(
    device: GPUDevice,
    adapter: AdapterFound,
    {
      poison = false,
      memoryLimit,
      workLimit,
      forms,
    }: Pick<GpuOptions, 'poison' | 'memoryLimit' | 'workLimit'> & { forms?: string | Forms | undefined } = {},
  ) {
    const failures = this.#failures
    this.device = device
    this.adapter = adapter
    this.forms = typeof forms === 'object' ? forms : formsFor(adapter, forms)
    this.features = new Set(device.features as unknown as Iterable<string>) // the device's own asks it every time
    this.subgroups = subgroupsOf(adapter, device)
    this.#recorder = new Recorder(device, failures, workLimit)
    const recorder = this.#recorder
    this.pool = new BufferPool(
      device,
      {
        buffers: recorder.buffers,
        hold: verdict => recorder.hold(verdict),
        fresh: state => recorder.fresh(state),
        afterFlush: action => recorder.afterFlush(action),
        fail: error => failures.place(error),
      },
      memoryLimit,
    )
    this.#poison = poison
    this.#hear = event => {
      event.preventDefault() // it is thrown by the next call, not printed
      const { error } = event as GPUUncapturedErrorEvent
      const kind = error instanceof GPUOutOfMemoryError ? OutOfMemoryError : DeviceError
      failures.pass(
        new kind(`WebGPU reported, and what was recorded with it may not have run: ${error.message}`),
      )
    }
    device.addEventListener('uncapturederror', this.#hear)
    device.lost.then(({ reason, message }) => {
      if (!this.#closed)
        failures.end(new DeviceLostError(`the WebGPU device was lost (${reason}): ${message}`, reason))
    })
  }

  /** The limits that the device was opened with. */
  get limits(): GPUSupportedLimits {
    return this.device.limits
  }

  /** What the device holds now, in bytes and buffers: a count that grows from step to step is a leak. */
  get memory(): Readonly<MemoryUse> {
    return this.pool.use
  }

  /** Estimated work, in multiply-adds, of a submit at most: see `GpuOptions`. */
  get workLimit(): number {
    return this.#recorder.workLimit
  }

  /** Launches, submits and other work so far. */
  get counts(): Readonly<RecorderCounts> {
    return this.#recorder.counts
  }

  /** What is kept for later launches: compiled kernels, and bind groups of them all. */
  get caches(): { kernels: number; bindGroups: number } {
    const { count: kernels, groups: bindGroups } = this.#recorder.pipelines
    return { kernels, bindGroups }
  }

  /** Bytes one binding, and so one shard, may have. */
  get maxBinding(): number {
    return Math.min(this.limits.maxStorageBufferBindingSize, this.limits.maxBufferSize)
  }

  /** A view of a pooled buffer of `bytes` bytes (rounded up to 4) with undefined content. */
  acquire(bytes: number, label?: string): View {
    return this.#view(bytes, size => this.pool.acquire(size, label))
  }

  /**
   * Calls `body` with what takes buffers as `acquire` does; all of them are released when it ends, also by an error, such as that of a launch
   * whose input could not be computed.
   */
  scratch<T>(body: (take: (bytes: number, label?: string) => View) => T): T {
    const taken: View[] = []
    try {
      return body((bytes, label) => {
        const view = this.acquire(bytes, label)
        taken.push(view)
        return view
      })
    } finally {
      for (const view of taken) this.release(view)
    }
  }

  /** As `acquire`, of a buffer of just that size which is not shared: for what lives as long as a model. */
  allocate(bytes: number, label?: string): View {
    return this.#view(bytes, size => this.pool.allocate(size, label))
  }

  #view(bytes: number, take: (size: number) => GPUBuffer): View {
    if (!Number.isFinite(bytes) || bytes < 0)
      throw new ShapeError(`a buffer of ${told(bytes)} bytes, expected a number from 0`)
    const size = Math.max(Math.ceil(bytes / 4) * 4, 4)
    const view = { buffer: take(size), offset: 0, size, whole: true }
    const state = this.#recorder.buffers.of(view.buffer)
    state.asked = size
    if (this.#poison) {
      this.upload(view, new Uint32Array(view.buffer.size / 4).fill(0x7fc0dead))
      this.#recorder.fresh(state)
    }
    return view
  }

  /** Returns the buffer of a view from `acquire` or `allocate`. */
  release(view: View): void {
    const later = this.pool.release(view.buffer)
    if (later) this.#recorder.afterFlush(later)
  }

  /** A buffer holding `data`; `release` it. */
  from(data: Float32Array | Uint32Array | Int32Array): View {
    const view = this.#view(data.byteLength, size => this.pool.acquireForUpload(size))
    this.upload(view, data)
    return view
  }

  /**
   * Launches a kernel; `grid` counts workgroups, folded over dimensions when it is one number. `work` estimates its multiply-adds, for kernels
   * whose invocations loop over much: what is recorded is submitted before it passes `workLimit`.
   * @throws ConfigError or DeviceError for a kernel that cannot be right, ShapeError for parameters, views or a grid that do not
   *   fit it; nothing is recorded then. What only the compiler knows is thrown by whoever waits for the results.
   */
  launch<P extends string>(
    kernel: Kernel<P>,
    params: Record<P, number>,
    views: View[],
    grid: Grid | number,
    work?: number,
  ): void {
    this.#recorder.launch(kernel, params, views, grid, work)
  }

  /** Writes host data to the start of a view (or `at` bytes into it), in order with the launches around it. */
  upload(view: View, data: ArrayBufferView, at = 0): void {
    this.#recorder.upload(view.buffer, view.offset + at, data)
  }

  /** Copies bytes from one buffer to another; both sizes must be at least `size`. */
  copy(source: View, target: View, size = source.size): void {
    this.#recorder.copy(source.buffer, source.offset, target.buffer, target.offset, size)
  }

  /** Sets a view to zero. */
  clear(view: View): void {
    this.#recorder.clear(view)
  }

  /** Hands recorded commands to the device. */
  flush(): void {
    this.#recorder.flush()
  }

  /**
   * Waits until the device has done everything recorded so far, without burning a core.
   * @throws DeviceLostError, also when the device is lost meanwhile; OutOfMemoryError where there was no room for a buffer.
   */
  async done(): Promise<void> {
    this.flush()
    await wait(this.finished())
    await this.settled()
  }

  /** Resolves when the device has done everything flushed so far. Await it through `done` or `InFlight`: they sleep. */
  async finished(): Promise<void> {
    while (this.#recorder.caughtUp) await this.#failures.until(this.#recorder.caughtUp)
    await this.#failures.until(this.device.queue.onSubmittedWorkDone())
  }

  /** Waits until every kernel launched so far is compiled: before much is uploaded, which would be held until then. */
  async compiled(): Promise<void> {
    await this.#caughtUp()
    this.#failures.checkAll()
  }

  async #caughtUp(): Promise<void> {
    while (this.#recorder.caughtUp) await wait(this.#failures.until(this.#recorder.caughtUp))
  }

  /**
   * Waits until the device has said whether there is room for every buffer made so far; mostly it has. What was computed before is
   * then whole: an optimizer's step, which changes what cannot be computed again, comes after it.
   * @throws OutOfMemoryError
   */
  async settled(): Promise<void> {
    const { settled } = this.pool
    if (settled) await wait(this.#failures.until(settled))
    this.#failures.checkAll()
  }

  /**
   * Reads bytes back; waits for everything recorded before.
   * @throws what went wrong with the work that was to fill them: see `Gpu`
   */
  async readBytes({ buffer, offset, size }: View): Promise<ArrayBuffer> {
    this.#failures.check()
    const target = this.#reader(size)
    let mapped = false
    try {
      this.#recorder.copy(buffer, offset, target, 0, size)
      this.flush()
      await this.#caughtUp()
      this.#checkRead(target)
      await wait(this.#failures.until(target.mapAsync(GPUMapMode.READ, 0, size)))
      mapped = true
      this.#checkRead(target)
      return target.getMappedRange(0, size).slice(0)
    } catch (error) {
      // A map that is refused says less than why it was, and a loss may be told a moment later.
      await new Promise(resolve => setTimeout(resolve))
      this.#failures.check()
      if (error instanceof KernelgradError) throw error
      throw new DeviceError(`the device refuses to read ${size} bytes back: ${(error as Error).message}`, {
        cause: error,
      })
    } finally {
      if (mapped) target.unmap()
      if (mapped && target.size <= READER) this.#readers.get(target.size)!.push(target)
      else target.destroy()
    }
  }

  #checkRead(target: GPUBuffer): void {
    const failure = this.#recorder.failureOf(target)
    if (failure) this.#failures.tell(failure)
    this.#failures.check()
  }

  /** A buffer to map `size` bytes in. A new one holds up what is recorded, so those for small reads are kept. */
  #reader(size: number): GPUBuffer {
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ
    const whole = size <= READER ? sizeClass(size) : size
    if (!this.#readers.has(whole)) this.#readers.set(whole, [])
    const reader = this.#readers.get(whole)!.pop() ?? this.pool.create(whole, usage, 'a buffer to read from')
    this.#recorder.fresh(this.#recorder.buffers.of(reader))
    return reader
  }

  /** The values of a view as float32; waits for everything recorded before. */
  async readFloats(view: View): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array(await this.readBytes(view))
  }

  /** The values of a view as uint32; waits for everything recorded before. */
  async readUints(view: View): Promise<Uint32Array<ArrayBuffer>> {
    return new Uint32Array(await this.readBytes(view))
  }

  /** Destroys the device; waits that are pending end with an error, and so does every later use. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#failures.end(new DeviceError('the device was used after it was closed'))
    this.#recorder.destroy()
    this.pool.trim()
    this.device.destroy()
    // What the device keeps outlives it in Node.
    this.device.removeEventListener('uncapturederror', this.#hear)
  }
}

/**
 * Opens a device on the best adapter there is. Throws a DeviceError that says what mends it when there is none.
 *
 * @example
 * ```ts
 * import { openGpu } from 'kernelgrad'
 *
 * const gpu = await openGpu()
 * console.log(gpu.adapter.line)
 * gpu.close()
 * ```
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  checkOptions('openGpu', options, OPTIONS)
  const { memoryLimit, workLimit, subgroups = true, poison = false, defaultLimits = false } = options
  for (const [name, flag] of Object.entries({ subgroups, poison, defaultLimits }))
    if (typeof flag !== 'boolean')
      throw new ConfigError(`openGpu: ${name} is ${told(flag)}, expected true or false`)
  if (memoryLimit !== undefined && !(typeof memoryLimit === 'number' && memoryLimit > 0))
    throw new ConfigError(`openGpu: memoryLimit is ${told(memoryLimit)}, expected bytes, more than 0`)
  if (workLimit !== undefined && !(typeof workLimit === 'number' && workLimit > 0))
    throw new ConfigError(`openGpu: workLimit is ${told(workLimit)}, expected multiply-adds, more than 0`)
  const [found] = await Promise.all([findAdapter(options.adapter), prepareCache()])
  const { adapter } = found
  const forms = formsFor(found, options.forms) // refused before there is a device
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter(
      f => adapter.features.has(f) && (subgroups || !f.includes('subgroup')),
    ),
    requiredLimits: defaultLimits
      ? {}
      : Object.fromEntries(WANTED_LIMITS.map(limit => [limit, adapter.limits[limit]])),
  })
  const [gpu, refused] = guarded(device, () => new Gpu(device, found, { ...options, forms }))
  const error = await refused
  if (gpu && !error) return gpu
  device.destroy()
  throw new OutOfMemoryError(`out of device memory: opening a device needs 1.3 MB: ${error?.message}`)
}
