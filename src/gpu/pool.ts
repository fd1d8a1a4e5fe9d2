import { DeviceError } from '../errors.ts'

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
}

const MIN_CLASS = 256
const SMALL = 1 << 14
const SPARES = 4

/** Buffers by size. */
type FreeLists = Map<number, GPUBuffer[]>

function put(lists: FreeLists, buffer: GPUBuffer): void {
  const list = lists.get(buffer.size)
  if (list) list.push(buffer)
  else lists.set(buffer.size, [buffer])
}

/** Rounds up to the next of four steps per power of two, so at most a fifth of a buffer is slack. */
export function sizeClass(bytes: number): number {
  if (bytes <= MIN_CLASS) return MIN_CLASS
  const step = 2 ** Math.max(Math.ceil(Math.log2(bytes)) - 3, 8)
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
  readonly use: MemoryUse = { inUse: 0, allocated: 0, peak: 0, buffers: 0, created: 0 }
  readonly #device: GPUDevice
  readonly #free: FreeLists = new Map()
  readonly #freeForUpload: FreeLists = new Map()
  readonly #forUpload = new WeakSet<GPUBuffer>()
  readonly #own = new WeakSet<GPUBuffer>()
  readonly #limit: number

  constructor(device: GPUDevice) {
    this.#device = device
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
    this.#own.add(buffer)
    return this.#handOut(buffer)
  }

  /** A buffer as from `acquire`, which is not handed out twice between two submits: for uploads. */
  acquireForUpload(bytes: number): GPUBuffer {
    const buffer = this.#take(bytes, '', this.#freeForUpload)
    if (this.#forUpload.has(buffer)) return buffer
    this.#forUpload.add(buffer)
    // Some steps upload more than others, so small ones come with spares.
    for (let i = 0; i < SPARES && buffer.size <= SMALL; i++) {
      const spare = this.#create(buffer.size, '')
      this.#forUpload.add(spare)
      put(this.#freeForUpload, spare)
    }
    return buffer
  }

  /** Returns a buffer. The result, if any, is to be called when the commands that name the buffer have been submitted. */
  release(buffer: GPUBuffer): (() => void) | undefined {
    this.use.inUse -= buffer.size
    this.use.buffers--
    if (this.#own.delete(buffer)) {
      this.use.allocated -= buffer.size
      return () => buffer.destroy()
    }
    if (this.#forUpload.has(buffer)) return () => put(this.#freeForUpload, buffer)
    put(this.#free, buffer)
    return undefined
  }

  /** Destroys the buffers nobody holds. */
  trim(): void {
    for (const lists of [this.#free, this.#freeForUpload]) {
      for (const buffer of [...lists.values()].flat()) {
        this.use.allocated -= buffer.size
        buffer.destroy()
      }
      lists.clear()
    }
  }

  #take(bytes: number, label: string, free: FreeLists): GPUBuffer {
    this.#checkSize(bytes, label)
    const size = this.#class(bytes)
    const larger = this.#class(size + 1)
    const take = (size: number) => free.get(size)?.pop()
    const buffer = take(size) ?? take(larger) ?? take(this.#class(larger + 1)) ?? this.#create(larger, label)
    return this.#handOut(buffer)
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
    this.use.inUse += buffer.size
    this.use.buffers++
    return buffer
  }

  #create(size: number, label: string): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
    const buffer = this.#device.createBuffer({ size, usage, label })
    this.use.allocated += size
    this.use.peak = Math.max(this.use.peak, this.use.allocated)
    this.use.created++
    return buffer
  }
}
