import { ShapeError } from '../errors.ts'
import { foldGrid, type Grid, type Kernel, type View } from './kernel.ts'
import type { Compiled, Pipelines } from './pipelines.ts'

const SLOT = 256 // bytes of a launch's parameters: the alignment of a dynamic uniform offset
/** Launches after which commands are handed to the device at the latest; a training step stays below. */
const SLOTS = 1024
const STAGING = 1 << 20
/** Bind groups kept per kernel: one for each place it is launched from, with room for batches of other lengths. */
const GROUPS = 512

/** Where failures come from and go to. */
export interface RecorderEvents {
  /** Throws what has gone wrong on the device, if anything has, or what is wrong with a buffer that is to be used. */
  check(...buffers: GPUBuffer[]): void
  /** Takes what went wrong while nobody was calling; the next `check` throws it. */
  fail(error: unknown): void
}

/** A command that is put off; `always` where it has to run even if those before it are dropped. */
interface Waiting {
  run: () => void
  always?: true
}

/** What has been recorded so far, counted. */
export interface RecorderCounts {
  /** Kernel launches recorded. */
  launches: number
  /** Times that commands were handed to the queue. */
  submits: number
  /** Uploads recorded. */
  uploads: number
}

/**
 * Records launches, copies and uploads in program order: one encoder, one open compute pass. `queue.writeBuffer` runs
 * before commands that are recorded but not submitted, so parameters and uploads are gathered in memory, written to
 * two staging buffers just before the submit, and copied from there by the recorded commands.
 *
 * Kernels compile side by side while recording goes on: from the first launch whose kernel is not ready, commands wait in
 * `#waiting` and are recorded, in order, when all are. They wait likewise from the making of a buffer until the device has said that
 * there is room for it: where there is none, all that was recorded since is dropped, and nothing runs on half its inputs.
 */
export class Recorder {
  readonly counts: RecorderCounts = { launches: 0, submits: 0, uploads: 0 }
  readonly #device: GPUDevice
  readonly #pipelines: Pipelines
  readonly #params: GPUBuffer
  readonly #paramWords = new DataView(new ArrayBuffer(SLOT * SLOTS))
  readonly #staging: GPUBuffer
  readonly #stagingBytes = new Uint8Array(STAGING)
  readonly #buffers = new WeakMap<GPUBuffer, { id: number; recording: number }>()
  readonly #events: RecorderEvents
  #nextId = 1
  /** Counts submits, to tell whether a buffer is named by what is recorded now. */
  #recording = 0
  /** Copies that go ahead of everything recorded. */
  #prologue: GPUCommandEncoder | undefined
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  #slot = 0
  #staged = 0
  #waiting: Waiting[] | undefined
  /** What the waiting commands wait for beside compilers. */
  #held: Promise<unknown> | undefined
  /** How many times waiting commands have been dropped. */
  #drops = 0
  readonly #afterFlush: (() => void)[] = []
  #caughtUp: Promise<void> | undefined

  constructor(device: GPUDevice, pipelines: Pipelines, events: RecorderEvents) {
    this.#device = device
    this.#pipelines = pipelines
    this.#events = events
    const make = (size: number, usage: number, label: string) => device.createBuffer({ size, usage, label })
    this.#params = make(SLOT * SLOTS, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, 'params')
    this.#staging = make(STAGING, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST, 'staging')
  }

  /** Launches a kernel over `grid` workgroups (a number is folded over dimensions). */
  launch<P extends string>(
    kernel: Kernel<P>,
    params: Record<P, number>,
    views: View[],
    grid: Grid | number,
  ): void {
    if (views.length !== kernel.bindings.length) {
      throw new ShapeError(
        `kernel ${kernel.name} binds ${kernel.bindings.length} buffers, got ${views.length}`,
      )
    }
    this.#events.check()
    for (const { buffer } of views) this.#events.check(buffer)
    for (const name in kernel.params) {
      if (params[name] === undefined)
        throw new ShapeError(`kernel ${kernel.name}: no value for params.${name}`)
    }
    const compiled = this.#pipelines.get(kernel)
    if (!compiled.pipeline && !this.#waiting) this.#startWaiting()
    this.counts.launches++
    const run = () => this.#launch(kernel, compiled, params, views, grid)
    if (!this.#defer(run)) run()
  }

  /** Lets commands wait for `verdict` too; the result drops those recorded from now on, unless they have been. */
  hold(verdict: Promise<void>): () => boolean {
    if (!this.#waiting) this.#startWaiting()
    this.#held = Promise.all([this.#held, verdict])
    const [drops, { length }] = [this.#drops, this.#waiting!]
    return () => {
      if (drops !== this.#drops) return false
      this.#drops++
      this.#waiting = this.#waiting!.filter(({ always }, i) => always || i < length)
      return true
    }
  }

  /** Resolves when no command waits for a kernel to compile or a buffer to be made; absent when none does. */
  get caughtUp(): Promise<void> | undefined {
    return this.#caughtUp
  }

  #startWaiting(): void {
    this.#submit()
    this.#waiting = []
    this.#caughtUp = this.#catchUp()
  }

  async #catchUp(): Promise<void> {
    let commands: Waiting[] = []
    try {
      let held: Promise<unknown> | undefined
      do {
        held = this.#held
        await held
        await this.#pipelines.ready()
      } while (held !== this.#held || this.#pipelines.compiling)
      commands = this.#waiting!
    } catch (error) {
      this.#events.fail(error)
    }
    this.#waiting = undefined
    this.#held = undefined
    this.#caughtUp = undefined
    try {
      for (const { run } of commands) run()
    } catch (error) {
      this.#events.fail(error)
    }
  }

  /** Puts a command off while others wait; false when it is to be recorded now. */
  #defer(run: () => void): boolean {
    this.#waiting?.push({ run })
    return this.#waiting !== undefined
  }

  #launch(
    kernel: Kernel,
    compiled: Compiled,
    params: Record<string, number>,
    views: View[],
    grid: Grid | number,
  ): void {
    if (this.#slot === SLOTS) this.#submit()
    const offset = this.#slot++ * SLOT
    let at = offset
    for (const name in kernel.params) {
      const value = params[name]!
      if (kernel.params[name] === 'f32') this.#paramWords.setFloat32(at, value, true)
      else this.#paramWords.setUint32(at, value, true)
      at += 4
    }
    let key = ''
    for (const { buffer, offset, size, whole } of views)
      key += whole ? `${this.#touch(buffer)} ` : `${this.#touch(buffer)}:${offset}:${size} `
    let group = compiled.groups.get(key)
    if (!group) {
      checkAliases(kernel, views)
      group = this.#device.createBindGroup({
        label: kernel.name,
        layout: compiled.layout,
        entries: [
          { binding: 0, resource: { buffer: this.#params, size: SLOT } },
          ...views.map((view, i) => ({ binding: i + 1, resource: bound(view) })),
        ],
      })
      if (compiled.groups.size === GROUPS) compiled.groups.clear()
      compiled.groups.set(key, group)
    }
    this.#encoder ??= this.#device.createCommandEncoder()
    this.#pass ??= this.#encoder.beginComputePass()
    this.#pass.setPipeline(compiled.pipeline!)
    this.#pass.setBindGroup(0, group, [offset])
    this.#pass.dispatchWorkgroups(...(typeof grid === 'number' ? foldGrid(grid) : grid))
  }

  /** Notes that what is recorded names the buffer; returns a number that stands for it in cache keys. */
  #touch(buffer: GPUBuffer): number {
    let known = this.#buffers.get(buffer)
    if (!known) {
      known = { id: this.#nextId++, recording: -1 }
      this.#buffers.set(buffer, known)
    }
    known.recording = this.#recording
    return known.id
  }

  /** Copies bytes between buffers; offsets and size are multiples of 4. */
  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, size: number): void {
    this.#events.check(source, target)
    if (size === 0) return
    const run = () => {
      this.#touch(source)
      this.#touch(target)
      this.#encode().copyBufferToBuffer(source, sourceOffset, target, targetOffset, size)
    }
    if (!this.#defer(run)) run()
  }

  /** Sets bytes to zero. */
  clear({ buffer, offset, size }: View): void {
    this.#events.check(buffer)
    const run = () => {
      this.#touch(buffer)
      if (size > 0) this.#encode().clearBuffer(buffer, offset, size)
    }
    if (!this.#defer(run)) run()
  }

  /**
   * Writes host data, in order with the launches around it. Length and offset are multiples of 4 bytes. Data for a buffer
   * that nothing recorded so far names goes ahead, so that it does not end the compute pass.
   */
  upload(buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
    this.#events.check(buffer)
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    if (!this.#waiting) {
      this.#upload(buffer, offset, bytes)
      return
    }
    const copy = bytes.slice() // the caller may write over its own
    this.#waiting.push({ run: () => this.#upload(buffer, offset, copy) })
  }

  #upload(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
    this.counts.uploads++
    if (bytes.length > STAGING / 4) {
      this.#submit()
      this.#device.queue.writeBuffer(buffer, offset, bytes as Uint8Array<ArrayBuffer>)
      return
    }
    if (bytes.length === 0) return
    if (this.#staged + bytes.length > STAGING) this.#submit()
    this.#stagingBytes.set(bytes, this.#staged)
    const named = this.#buffers.get(buffer)?.recording === this.#recording
    this.#prologue ??= named ? undefined : this.#device.createCommandEncoder()
    const encoder = named ? this.#encode() : this.#prologue!
    encoder.copyBufferToBuffer(this.#staging, this.#staged, buffer, offset, bytes.length)
    this.#staged += bytes.length
  }

  /** Runs `action` once everything recorded so far has been submitted. */
  afterFlush(action: () => void): void {
    const run = () => {
      if (this.#encoder || this.#prologue) this.#afterFlush.push(action)
      else action()
    }
    if (this.#waiting) this.#waiting.push({ run, always: true })
    else run()
  }

  /** Submits what is recorded. */
  flush(): void {
    this.#events.check()
    const run = () => this.#submit()
    if (!this.#defer(run)) run()
  }

  #submit(): void {
    if (!(this.#encoder || this.#prologue)) return
    this.#pass?.end()
    const { queue } = this.#device
    if (this.#slot) queue.writeBuffer(this.#params, 0, this.#paramWords.buffer, 0, this.#slot * SLOT)
    if (this.#staged) queue.writeBuffer(this.#staging, 0, this.#stagingBytes, 0, this.#staged)
    queue.submit([this.#prologue, this.#encoder].flatMap(encoder => encoder?.finish() ?? []))
    this.counts.submits++
    this.#recording++
    this.#prologue = undefined
    this.#encoder = undefined
    this.#pass = undefined
    this.#slot = 0
    this.#staged = 0
    for (const action of this.#afterFlush.splice(0)) action()
  }

  /** An encoder outside the compute pass. */
  #encode(): GPUCommandEncoder {
    this.#pass?.end()
    this.#pass = undefined
    this.#encoder ??= this.#device.createCommandEncoder()
    return this.#encoder
  }

  /** Frees the recorder's own buffers. */
  destroy(): void {
    this.#params.destroy()
    this.#staging.destroy()
  }
}

/**
 * A pooled view binds its whole buffer: batches differ in length from step to step while their pooled buffers are the
 * same, and so are then their bind groups.
 */
const bound = ({ buffer, offset, size, whole }: View): GPUBufferBinding =>
  whole ? { buffer } : { buffer, offset, size }

/** WebGPU refuses a buffer that one launch both reads and writes, but does not say which kernel's it was. */
function checkAliases({ name, bindings }: Kernel, views: View[]): void {
  for (const [i, { buffer }] of views.entries()) {
    const other = views.findIndex((view, j) => view.buffer === buffer && bindings[j] !== bindings[i])
    if (other >= 0) {
      throw new ShapeError(
        `kernel ${name}: bindings ${Math.min(i, other) + 1} and ${Math.max(i, other) + 1} are one buffer, once to read and once to write`,
      )
    }
  }
}
