import { wait } from '#platform'
import { DeviceError } from '../errors.ts'
import { type AdapterFound, findAdapter } from './adapter.ts'
import type { Grid, Kernel, View } from './kernel.ts'
import { Pipelines } from './pipelines.ts'
import { BufferPool, type MemoryUse } from './pool.ts'
import { lostError, Recorder, type RecorderCounts } from './recorder.ts'

/** How to open a device. */
export interface GpuOptions {
  /** 'auto', 'hardware', 'system' or 'embedded'; the environment's KERNELGRAD_ADAPTER unless given. */
  adapter?: string
  /** Ask for WebGPU's default limits only, as a device that offers no more would give. */
  defaultLimits?: boolean
  /** Fill every buffer that is handed out with NaN, so that reading an element nobody wrote shows. For tests; slow. */
  poison?: boolean
}

/** WGSL features and limits that are used where they are offered and never needed. */
const WANTED_FEATURES: GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query']
const WANTED_LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize'] as const

/**
 * A device with what launching kernels takes: buffer pool, command recorder, pipeline cache, readback. Several can
 * live in one process. Made by `openGpu`.
 */
export class Gpu {
  readonly device: GPUDevice
  readonly adapter: AdapterFound
  readonly pool: BufferPool
  readonly #recorder: Recorder
  readonly #poison: boolean
  #failure: Error | undefined
  #closed = false

  constructor(device: GPUDevice, adapter: AdapterFound, poison: boolean) {
    this.device = device
    this.adapter = adapter
    this.pool = new BufferPool(device)
    this.#recorder = new Recorder(device, new Pipelines(device), {
      check: () => this.#check(),
      fail: error => {
        this.#failure ??= error as Error
      },
    })
    this.#poison = poison
    device.addEventListener('uncapturederror', event => {
      event.preventDefault() // it is thrown by the next flush, not printed
      this.#failure ??= new DeviceError(
        `WebGPU reported: ${(event as GPUUncapturedErrorEvent).error.message}`,
      )
    })
    device.lost.then(info => {
      if (!this.#closed) this.#failure ??= lostError(info.message)
    })
  }

  /** The WGSL and WebGPU features that the device was opened with. */
  get features(): ReadonlySet<string> {
    return this.device.features as unknown as ReadonlySet<string>
  }

  /** The limits that the device was opened with. */
  get limits(): GPUSupportedLimits {
    return this.device.limits
  }

  /** What the device holds now, in bytes and buffers: a count that grows from step to step is a leak. */
  get memory(): Readonly<MemoryUse> {
    return this.pool.use
  }

  /** Launches, submits and other work so far. */
  get counts(): Readonly<RecorderCounts> {
    return this.#recorder.counts
  }

  /** Bytes one binding, and so one shard, may have. */
  get maxBinding(): number {
    return Math.min(this.limits.maxStorageBufferBindingSize, this.limits.maxBufferSize)
  }

  /** A view of a pooled buffer of `bytes` bytes (rounded up to 4) with undefined content. */
  acquire(bytes: number, label?: string): View {
    return this.#view(bytes, size => this.pool.acquire(size, label))
  }

  /** As `acquire`, of a buffer of just that size which is not shared: for what lives as long as a model. */
  allocate(bytes: number, label?: string): View {
    return this.#view(bytes, size => this.pool.allocate(size, label))
  }

  #view(bytes: number, take: (size: number) => GPUBuffer): View {
    const size = Math.max(Math.ceil(bytes / 4) * 4, 4)
    const view = { buffer: take(size), offset: 0, size, whole: true }
    if (this.#poison) this.upload(view, new Uint32Array(view.buffer.size / 4).fill(0x7fc0dead))
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

  /** Launches a kernel; `grid` counts workgroups, folded over dimensions when it is one number. */
  launch<P extends string>(
    kernel: Kernel<P>,
    params: Record<P, number>,
    views: View[],
    grid: Grid | number,
  ): void {
    this.#recorder.launch(kernel, params, views, grid)
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

  /** Waits until the device has done everything recorded so far, without burning a core. */
  async done(): Promise<void> {
    this.flush()
    await wait(this.finished())
    this.#check()
  }

  /** Resolves when the device has done everything flushed so far. Await it through `done` or `InFlight`: they sleep. */
  async finished(): Promise<void> {
    while (this.#recorder.caughtUp) await this.#recorder.caughtUp
    await this.device.queue.onSubmittedWorkDone()
  }

  /** Waits until every kernel launched so far is compiled: before much is uploaded, which would be held until then. */
  async compiled(): Promise<void> {
    while (this.#recorder.caughtUp) await wait(this.#recorder.caughtUp)
    this.#check()
  }

  /** Reads bytes back; waits for everything recorded before. */
  async readBytes({ buffer, offset, size }: View): Promise<ArrayBuffer> {
    const target = this.device.createBuffer({
      size,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    })
    try {
      this.#recorder.copy(buffer, offset, target, 0, size)
      this.flush()
      await this.compiled()
      await wait(target.mapAsync(GPUMapMode.READ))
      this.#check()
      return target.getMappedRange().slice(0)
    } finally {
      target.destroy()
    }
  }

  /** The values of a view as float32; waits for everything recorded before. */
  async readFloats(view: View): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array(await this.readBytes(view))
  }

  /** The values of a view as uint32; waits for everything recorded before. */
  async readUints(view: View): Promise<Uint32Array<ArrayBuffer>> {
    return new Uint32Array(await this.readBytes(view))
  }

  /** Destroys the device. */
  close(): void {
    this.#closed = true
    this.#recorder.destroy()
    this.pool.trim()
    this.device.destroy()
  }

  #check(): void {
    if (this.#failure) throw this.#failure
  }
}

/** Opens a device on the best adapter there is. Throws a DeviceError that says what mends it when there is none. */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const found = await findAdapter(options.adapter)
  const { adapter } = found
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter(feature => adapter.features.has(feature)),
    requiredLimits: options.defaultLimits
      ? {}
      : Object.fromEntries(WANTED_LIMITS.map(limit => [limit, adapter.limits[limit]])),
  })
  return new Gpu(device, found, options.poison ?? false)
}
