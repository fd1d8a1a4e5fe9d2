import { ShapeError } from '../errors.ts'
import { type BufferState, Buffers, isSpoilt, spoil, wrote } from './buffers.ts'
import type { Failure, Failures } from './failures.ts'
import type { Grid, Kernel, View } from './kernel.ts'
import {
  bindsAll,
  checkGrid,
  checkParams,
  checkRange,
  checkUnmapped,
  checkViews,
  stateOf,
} from './launch-check.ts'
import { bindGroup, Pipelines, SLOT } from './pipelines.ts'
import { bindingsOf, type Launch, probe, trial } from './trials.ts'
import { SUBMIT_WORK, workOf } from './work.ts'

/** Launches after which commands are handed to the device at the latest; a training step stays below. */
const SLOTS = 1024
const STAGING = 1 << 20
/** Bind groups kept per kernel: one for each place it is launched from, with room for batches of other lengths. */
const GROUPS = 512

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
 * there is room for it. A command that turns out to be impossible then is left out, and so is what reads its results: see failures.ts.
 */
export class Recorder {
  readonly counts: RecorderCounts = { launches: 0, submits: 0, uploads: 0 }
  readonly buffers: Buffers
  readonly pipelines: Pipelines
  readonly device: GPUDevice
  readonly failures: Failures
  /** Estimated work of a submit at most, unless one launch is more. */
  readonly workLimit: number
  readonly #limits: GPUSupportedLimits
  /** Of those, read once: asking for it takes as long as a launch's checks. */
  readonly #mostGroups: number
  /** The parameters of launches, binding 0. */
  readonly params: GPUBuffer
  readonly #paramWords = new DataView(new ArrayBuffer(SLOT * SLOTS))
  readonly #staging: GPUBuffer
  readonly #stagingBytes = new Uint8Array(STAGING)
  /** Counts submits, to tell whether a buffer is named by what is recorded now. */
  #recording = 0
  /** Copies that go ahead of everything recorded. */
  #prologue: GPUCommandEncoder | undefined
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  #slot = 0
  #work = 0
  #staged = 0
  #waiting: (() => void)[] | undefined
  /** What the waiting commands wait for beside compilers. */
  #held: Promise<unknown> | undefined
  readonly #afterFlush: (() => void)[] = []
  #caughtUp: Promise<void> | undefined

  constructor(device: GPUDevice, failures: Failures, workLimit = SUBMIT_WORK) {
    this.device = device
    this.workLimit = workLimit
    this.#limits = device.limits
    this.#mostGroups = device.limits.maxComputeWorkgroupsPerDimension
    this.failures = failures
    this.pipelines = new Pipelines(device, error => failures.place(error))
    this.buffers = new Buffers(
      action => this.afterFlush(action),
      (buffer, state) => this.hold(probe(this, buffer, state)),
    )
    const make = (size: number, usage: number, label: string) => device.createBuffer({ size, usage, label })
    this.params = make(SLOT * SLOTS, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, 'params')
    this.#staging = make(STAGING, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST, 'staging')
  }

  /** Launches a kernel over `grid` workgroups (a number is folded over dimensions). */
  launch<P extends string>(
    kernel: Kernel<P>,
    params: Record<P, number>,
    views: View[],
    grid: Grid | number,
    estimate?: number,
  ): void {
    this.failures.check()
    const compiled = this.pipelines.get(kernel)
    const { bindings, groups } = compiled
    if (!Array.isArray(views) || views.length !== bindings.length) {
      throw new ShapeError(
        `kernel ${kernel.name} binds ${bindings.length} buffers, got ${Array.isArray(views) ? views.length : 'no array of views'}`,
      )
    }
    const values = checkParams(kernel, compiled.params, params)
    const folded = checkGrid(kernel, grid, this.#mostGroups)
    const work = workOf(kernel, folded, estimate)
    const states = new Array<BufferState>(views.length)
    let key = ''
    for (let i = 0; i < views.length; i++) {
      const view = views[i]!
      const state = this.#known(view, kernel.name, i)
      if (bindings[i] === 'read' || state.missing) this.#tell(state)
      states[i] = state
      key += bindsAll(view, state) ? `${state.id} ` : `${state.id}:${view.offset}:${view.size} `
    }
    const launch: Launch = { kernel, compiled, values, views, states, grid: folded, work, key }
    if (!groups.has(key)) {
      checkViews(kernel, views, states, this.#limits)
      const answer = trial(this, launch)
      if (answer) this.hold(answer)
    }
    if (!compiled.pipeline && !this.#waiting) this.#startWaiting()
    this.counts.launches++
    if (!this.#waiting) {
      this.#launch(launch)
      return
    }
    launch.bound ??= bindingsOf(launch)
    this.#waiting.push(() => this.#launch(launch))
  }

  /** The state of a view's buffer, which can be used; `what` is told, or the kernel and its binding `i`. */
  #known(view: View, what: string, i?: number): BufferState {
    const buffer = (view as View | undefined)?.buffer
    const state = buffer && this.buffers.peek(buffer)
    if (state && !state.gone) return state
    return stateOf(this.buffers, i === undefined ? what : `kernel ${what}, binding ${i + 1}`, view)
  }

  /** Throws why a buffer does not hold what it should; while commands wait it is not known yet. */
  #tell(state: BufferState): void {
    if (state.failure && !this.#waiting && isSpoilt(state)) this.failures.tell(state.failure)
  }

  /** Lets commands wait for `verdict` too, which does not reject. */
  hold(verdict: Promise<void>): void {
    if (!this.#waiting) this.#startWaiting()
    this.#held = Promise.all([this.#held, verdict])
  }

  /** Notes that a buffer is handed out, in order with the commands around it: what it held is nobody's. */
  fresh(state: BufferState): void {
    this.#defer(() => {
      state.empty = true
      if (!state.missing) state.failure = undefined
    })
  }

  /** Why a buffer does not hold what it should; a wait for `caughtUp` comes first. */
  failureOf(buffer: GPUBuffer): Failure | undefined {
    const state = this.buffers.of(buffer)
    return isSpoilt(state) ? state.failure : undefined
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
    let held: Promise<unknown> | undefined
    do {
      held = this.#held
      await held
      await this.pipelines.ready()
    } while (held !== this.#held || this.pipelines.compiling)
    const commands = this.#waiting!
    this.#waiting = undefined
    this.#held = undefined
    this.#caughtUp = undefined
    for (const run of commands) {
      try {
        run()
      } catch (error) {
        this.failures.pass(error as Error)
      }
    }
  }

  /** Runs a command now, or puts it off while others wait. */
  #defer(run: () => void): void {
    if (this.#waiting) this.#waiting.push(run)
    else run()
  }

  /** Leaves a command out, whose results are then what they were. */
  #skip(failure: Failure, written: Iterable<BufferState>): void {
    // Somebody was told of it before; whoever waits for this command was not.
    const untold = failure.told ? this.failures.place(failure.error) : failure
    for (const state of written) spoil(state, untold)
  }

  #launch(launch: Launch): void {
    const { kernel, compiled, values, states, grid, work, key } = launch
    const { bindings, params } = compiled
    let failure = launch.refused ?? compiled.failure
    let spoilt: Failure | undefined
    for (let i = 0; i < states.length; i++) {
      const state = states[i]!
      if (!state.failure || !isSpoilt(state)) continue
      if (bindings[i] === 'read' || state.missing) failure ??= state.failure
      else spoilt ??= state.failure
    }
    if (failure) {
      this.#skip(
        failure,
        states.filter((_, i) => bindings[i] === 'write'),
      )
      return
    }
    if (this.#slot === SLOTS || (this.#slot && this.#work + work > this.workLimit)) this.#submit()
    this.#work += work
    const offset = this.#slot++ * SLOT
    for (let i = 0, at = offset; i < values.length; i++, at += 4) {
      if (params[i]![1] === 'f32') this.#paramWords.setFloat32(at, values[i]!, true)
      else this.#paramWords.setUint32(at, values[i]!, true)
    }
    let group = compiled.groups.get(key)
    if (!group) {
      group = bindGroup(
        this.device,
        kernel.name,
        compiled.layout,
        this.params,
        launch.bound ?? bindingsOf(launch),
      )
      if (compiled.groups.size === GROUPS) compiled.groups.clear()
      compiled.groups.set(key, group)
    }
    this.#encoder ??= this.device.createCommandEncoder()
    this.#pass ??= this.#encoder.beginComputePass()
    this.#pass.setPipeline(compiled.pipeline!)
    this.#pass.setBindGroup(0, group, [offset])
    this.#pass.dispatchWorkgroups(grid[0], grid[1], grid[2])
    for (let i = 0; i < states.length; i++) {
      const state = states[i]!
      state.recording = this.#recording
      if (bindings[i] !== 'write') continue
      wrote(state)
      // What may have been computed from something spoilt is told of too.
      if (spoilt) spoil(state, spoilt)
    }
  }

  /** Copies bytes between buffers; offsets and size are multiples of 4. */
  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, size: number): void {
    this.failures.check()
    const read = { buffer: source, offset: sourceOffset, size }
    const written = { buffer: target, offset: targetOffset, size }
    const from = this.#known(read, 'copy: the source')
    const to = this.#known(written, 'copy: the target')
    checkRange('copy: the source', from, read, 'COPY_SRC')
    checkRange('copy: the target', to, written, 'COPY_DST')
    if (from === to) throw new ShapeError('copy: source and target are one buffer')
    checkUnmapped('copy', target)
    this.#tell(from)
    if (to.missing) this.#tell(to)
    if (size === 0) return
    this.#defer(() => {
      const failure = isSpoilt(from) ? from.failure : to.missing ? to.failure : undefined
      if (failure) {
        this.#skip(failure, [to])
        return
      }
      from.recording = this.#recording
      to.recording = this.#recording
      this.#encode().copyBufferToBuffer(source, sourceOffset, target, targetOffset, size)
      wrote(to)
    })
  }

  /** Sets bytes to zero. */
  clear(view: View): void {
    this.failures.check()
    const { buffer, offset, size } = view
    const state = this.#known(view, 'clear')
    checkRange('clear', state, view, 'COPY_DST')
    checkUnmapped('clear', buffer)
    if (state.missing) this.#tell(state)
    this.#defer(() => {
      if (size === 0) return
      if (state.missing) {
        this.#skip(state.failure!, [])
        return
      }
      state.recording = this.#recording
      this.#encode().clearBuffer(buffer, offset, size)
      wrote(state)
    })
  }

  /**
   * Writes host data, in order with the launches around it. Length and offset are multiples of 4 bytes. Data for a buffer
   * that nothing recorded so far names goes ahead, so that it does not end the compute pass.
   */
  upload(buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
    this.failures.check()
    if (!ArrayBuffer.isView(data)) throw new ShapeError('upload: expected a typed array')
    const view = { buffer, offset, size: data.byteLength }
    const state = this.#known(view, 'upload')
    checkRange('upload', state, view, 'COPY_DST')
    checkUnmapped('upload', buffer)
    if (state.missing) this.#tell(state)
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    if (!this.#waiting) {
      this.#upload(buffer, state, offset, bytes)
      return
    }
    const copy = bytes.slice() // the caller may write over its own
    this.#waiting.push(() => this.#upload(buffer, state, offset, copy))
  }

  #upload(buffer: GPUBuffer, state: BufferState, offset: number, bytes: Uint8Array): void {
    this.counts.uploads++
    if (bytes.length === 0) return
    if (state.missing) {
      this.#skip(state.failure!, [])
      return
    }
    wrote(state)
    if (bytes.length > STAGING / 4) {
      this.#submit()
      this.device.queue.writeBuffer(buffer, offset, bytes as Uint8Array<ArrayBuffer>)
      return
    }
    if (this.#staged + bytes.length > STAGING) this.#submit()
    this.#stagingBytes.set(bytes, this.#staged)
    const named = state.recording === this.#recording
    this.#prologue ??= named ? undefined : this.device.createCommandEncoder()
    const encoder = named ? this.#encode() : this.#prologue!
    encoder.copyBufferToBuffer(this.#staging, this.#staged, buffer, offset, bytes.length)
    this.#staged += bytes.length
  }

  /** Runs `action` once everything recorded so far has been submitted. */
  afterFlush(action: () => void): void {
    this.#defer(() => {
      if (this.#encoder || this.#prologue) this.#afterFlush.push(action)
      else action()
    })
  }

  /** Submits what is recorded. */
  flush(): void {
    this.failures.check()
    this.#defer(() => this.#submit())
  }

  #submit(): void {
    if (!(this.#encoder || this.#prologue)) return
    this.#pass?.end()
    const { queue } = this.device
    if (this.#slot) queue.writeBuffer(this.params, 0, this.#paramWords.buffer, 0, this.#slot * SLOT)
    if (this.#staged) queue.writeBuffer(this.#staging, 0, this.#stagingBytes, 0, this.#staged)
    queue.submit([this.#prologue, this.#encoder].flatMap(encoder => encoder?.finish() ?? []))
    this.counts.submits++
    this.#recording++
    this.#prologue = undefined
    this.#encoder = undefined
    this.#pass = undefined
    this.#slot = 0
    this.#work = 0
    this.#staged = 0
    for (const action of this.#afterFlush.splice(0)) action()
  }

  /** An encoder outside the compute pass. */
  #encode(): GPUCommandEncoder {
    this.#pass?.end()
    this.#pass = undefined
    this.#encoder ??= this.device.createCommandEncoder()
    return this.#encoder
  }

  /** Frees the recorder's own buffers. */
  destroy(): void {
    this.params.destroy()
    this.#staging.destroy()
    this.pipelines.destroy()
  }
}
