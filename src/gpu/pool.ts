import { DeviceError, KernelgradError, OutOfMemoryError } from '../errors.ts'
import type { BufferState, Buffers } from './buffers.ts'
import type { Failure } from './failures.ts'
import { guarded } from './scopes.ts'

/** Bytes a device holds, by what they are doing. */
export interface MemoryUse {
  /** Bytes of buffers handed out and not returned. */
  inUse: number
  /** Bytes of buffers that exist, handed out or waiting in the pool. */
  allocated: number
  /** Largest `allocated` so far. */
  peak: number
  /** Buffers handed out and not returned. */
  buffers: number
  /** Buffers ever made. */
  created: number
  /** Of `inUse`, the bytes of what lives as long as a model, by label. The rest is activations and their gradients. */
  byLabel: Record<string, number>
}

/** How a pool works together with the recorder of its device. */
export interface PoolEvents {
  /** What is known of each buffer. */
  buffers: Buffers
  /** A buffer was asked for, and `verdict` resolves when the device has said whether there is room: until then nothing is to run. */
  hold(verdict: Promise<void>): void
  /** Notes that a buffer is handed out. */
  fresh(state: BufferState): void
  /** Runs `action` once everything recorded so far has been submitted. */
  afterFlush(action: () => void): void
  /** Notes that there was no room; whoever uses the buffer is told, and a wait for all work. */
  fail(error: Error): Failure
}

const MIN_CLASS = 256
const SMALL = 1 << 14
const SPARES = 4

const ADVICE =
  'Lower the batch size (more gradient_accumulation_steps make up for it), the longest text (max_position_embeddings) or the hidden size; fp16: true halves activations'

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e5 ? 3 : 1)} MB`

/** Buffers by size. */
type FreeLists = Map<number, GPUBuffer[]>

/** Rounds up to the next of four steps per power of two, so at most a fifth of a buffer is slack. */
export function sizeClass(bytes: number): number {
  if (bytes <= MIN_CLASS) return MIN_CLASS
  // The bits of a whole number are counted: every buffer is asked for by its class, and a logarithm takes longer than all else.
  const bits = bytes <= 2 ** 31 ? 32 - Math.clz32(bytes - 1) : Math.ceil(Math.log2(bytes))
  const step = 2 ** Math.max(bits - 3, 8)
  return Math.ceil(bytes / step) * step
}

/**
 * Storage buffers by size class. A returned buffer is handed out again at once: one queue runs commands in order, so
 * whatever still reads the old content was recorded before whatever writes the new.
 *
 * Batches differ in length from step to step. So that a longer one needs no new buffers, each is made one class larger than
 * asked for, and one that is up to two classes too large will do.
 */
export class BufferPool {
  readonly use: MemoryUse = { inUse: 0, allocated: 0, peak: 0, buffers: 0, created: 0, byLabel: {} }
  readonly #device: GPUDevice
  readonly #free: FreeLists = new Map()
  readonly #freeForUpload: FreeLists = new Map()
  readonly #forUpload = new WeakSet<GPUBuffer>()
  /** Those that `allocated` counts. */
  readonly #counted = new WeakSet<GPUBuffer>()
  readonly #own = new Map<GPUBuffer, string>()
  readonly #verdicts = new Set<Promise<void>>()
  readonly #limit: number
  readonly #memoryLimit: number
  readonly #events: PoolEvents

  /** @param memoryLimit bytes that all buffers together may have. */
  constructor(device: GPUDevice, events: PoolEvents, memoryLimit = Number.POSITIVE_INFINITY) {
    this.#device = device
    this.#events = events
    this.#memoryLimit = memoryLimit
    this.#limit = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize)
  }

  /** A storage buffer of at least `bytes` bytes; its content is whatever was there. */
  acquire(bytes: number, label = ''): GPUBuffer {
    return this.#take(bytes, label, this.#free)
  }

  /** A buffer of just `bytes` bytes that nobody else has had; `release` gives it back to the caller to destroy. */
  allocate(bytes: number, label = ''): GPUBuffer {
    this.#checkSize(bytes, label)
    const buffer = this.#create(bytes, label)
    const kind = label || 'other'
    this.#own.set(buffer, kind)
    this.use.byLabel[kind] = (this.use.byLabel[kind] ?? 0) + bytes
    return this.#handOut(buffer)
  }

  /** A buffer as from `acquire`, which is not handed out twice between two submits: for uploads. */
  acquireForUpload(bytes: number): GPUBuffer {
    const buffer = this.#take(bytes, '', this.#freeForUpload)
    if (this.#forUpload.has(buffer)) return buffer
    this.#forUpload.add(buffer)
    // Some steps upload more than others, so small ones come with spares, where there is room for them.
    for (let i = 0; i < SPARES && buffer.size <= SMALL; i++) {
      if (this.use.allocated + buffer.size > this.#memoryLimit) break
      const spare = this.#create(buffer.size, '')
      this.#forUpload.add(spare)
      this.#events.buffers.of(spare).gone = 'released'
      this.#put(this.#freeForUpload, spare)
    }
    return buffer
  }

  /**
   * Returns a buffer. The result, if any, is to be called when the commands that name the buffer have been submitted.
   * @throws KernelgradError for a buffer that is not handed out: it would be handed out twice
   */
  release(buffer: GPUBuffer): (() => void) | undefined {
    const state = this.#events.buffers.of(buffer)
    if (!state.own)
      throw new KernelgradError('a buffer was released that acquire, allocate and from have not made')
    if (!state.held) throw new KernelgradError('a buffer was released twice')
    const destroyed = state.gone !== undefined
    state.held = false
    state.gone ??= 'released'
    this.use.inUse -= state.size
    this.use.buffers--
    const label = this.#own.get(buffer)
    if (label !== undefined) this.use.byLabel[label]! -= state.size
    const own = this.#own.delete(buffer)
    if (state.missing) return undefined
    if (own || destroyed) {
      this.#uncount(buffer)
      return () => buffer.destroy()
    }
    if (this.#forUpload.has(buffer)) {
      return () => {
        if (!state.missing) this.#put(this.#freeForUpload, buffer)
      }
    }
    this.#put(this.#free, buffer)
    return undefined
  }

  /** Destroys the buffers nobody holds, once what is recorded no longer needs them. */
  trim(): void {
    for (const lists of [this.#free, this.#freeForUpload]) {
      for (const buffer of [...lists.values()].flat()) {
        this.#uncount(buffer)
        this.#events.afterFlush(() => buffer.destroy())
      }
      lists.clear()
    }
  }

  /** The device will have the buffer's memory back, or never had it. */
  #uncount(buffer: GPUBuffer): void {
    if (this.#counted.delete(buffer)) this.use.allocated -= buffer.size
  }

  /** Resolves when the device has said of every buffer asked for so far whether there was room; absent when it has. */
  get settled(): Promise<unknown> | undefined {
    return this.#verdicts.size ? Promise.all(this.#verdicts) : undefined
  }

  /**
   * A buffer that is used only when the device has said that there is room for it.
   * @throws OutOfMemoryError where the device throws at once
   */
  create(size: number, usage: number, label: string): GPUBuffer {
    let thrown: Error | undefined
    const [buffer, found] = guarded(this.#device, () => {
      try {
        return this.#device.createBuffer({ size, usage, label })
      } catch (error) {
        thrown = error as Error
        return undefined
      }
    })
    if (!buffer) throw this.#outOfMemory(size, label, `the device refuses it: ${thrown?.message}`)
    const state = this.#events.buffers.add(buffer, size, usage)
    const verdict: Promise<void> = found.then(error => {
      this.#verdicts.delete(verdict)
      if (!error) return
      this.#uncount(buffer)
      this.#refuse(
        buffer,
        state,
        this.#outOfMemory(size, label, `the device has no room for it: ${error.message}`),
      )
    })
    this.#verdicts.add(verdict)
    this.#events.hold(verdict)
    return buffer
  }

  /** There is no such buffer: memory that nobody holds is let go. */
  #refuse(buffer: GPUBuffer, state: BufferState, error: OutOfMemoryError): void {
    state.missing = true
    for (const lists of [this.#free, this.#freeForUpload]) {
      const list = lists.get(buffer.size) ?? []
      const at = list.indexOf(buffer)
      if (at >= 0) list.splice(at, 1)
    }
    state.failure = this.#events.fail(error)
    this.trim()
  }

  #outOfMemory(requested: number, label: string, why: string): OutOfMemoryError {
    const { inUse, allocated, byLabel } = this.use
    const kept = Object.entries(byLabel).filter(([, bytes]) => bytes > 0)
    const rest = inUse - kept.reduce((sum, [, bytes]) => sum + bytes, 0)
    const parts = [...kept.sort(([, a], [, b]) => b - a), ['activations and their gradients', rest] as const]
    return new OutOfMemoryError(
      `out of device memory: ${label || 'a buffer'} needs ${megabytes(requested)}, and ${why}; in use are ${parts
        .map(([name, bytes]) => `${megabytes(bytes)} of ${name}`)
        .join(', ')}. ${ADVICE}`,
      { requested, allocated },
    )
  }

  #take(bytes: number, label: string, free: FreeLists): GPUBuffer {
    this.#checkSize(bytes, label)
    const size = this.#class(bytes)
    return this.#handOut(free.get(size)?.pop() ?? this.#larger(size, label, free))
  }

  #larger(than: number, label: string, free: FreeLists): GPUBuffer {
    const size = this.#class(than + 1)
    return free.get(size)?.pop() ?? free.get(this.#class(size + 1))?.pop() ?? this.#create(size, label)
  }

  /** The oldest buffer is handed out first: steps of one shape then get the same buffers, and with them the same bind groups. */
  #put(lists: FreeLists, buffer: GPUBuffer): void {
    const { buffers } = this.#events
    const { id, size } = buffers.of(buffer)
    const list = lists.get(size) ?? []
    lists.set(size, list)
    let at = list.length
    while (at > 0 && buffers.of(list[at - 1]!).id < id) at--
    list.splice(at, 0, buffer)
  }

  #class(bytes: number): number {
    return Math.min(sizeClass(bytes), this.#limit)
  }

  #checkSize(bytes: number, label: string): void {
    if (bytes <= this.#limit) return
    throw new DeviceError(
      `${label || 'a buffer'} needs ${bytes} bytes, more than the ${this.#limit} bytes this device binds at once; split it into shards`,
    )
  }

  #handOut(buffer: GPUBuffer): GPUBuffer {
    const state = this.#events.buffers.of(buffer)
    state.gone = undefined
    state.held = true
    this.#events.fresh(state)
    this.use.inUse += state.size // asking the buffer itself takes longer than all else here
    this.use.buffers++
    return buffer
  }

  #create(size: number, label: string): GPUBuffer {
    if (this.use.allocated + size > this.#memoryLimit) this.trim()
    if (this.use.allocated + size > this.#memoryLimit)
      throw this.#outOfMemory(size, label, `the memory limit is ${megabytes(this.#memoryLimit)}`)
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
    const buffer = this.create(size, usage, label)
    this.#counted.add(buffer)
    this.use.allocated += size
    this.use.peak = Math.max(this.use.peak, this.use.allocated)
    this.use.created++
    return buffer
  }
}
