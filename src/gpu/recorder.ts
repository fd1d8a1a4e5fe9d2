import { ShapeError } from '../errors.ts'
import { KEY_PARTS } from './bind-groups.ts'
import { type BufferState, Buffers, isSpoilt, spoil, wrote } from './buffers.ts'
import { Commands } from './commands.ts'
import type { Failure, Failures } from './failures.ts'
import type { Grid, Kernel, View } from './kernel.ts'
import {
  bindsAll,
  checkGrid,
  checkRange,
  checkUnmapped,
  checkViews,
  stateOf,
  writeParams,
} from './launch-check.ts'
import { bindGroup, type Compiled, Pipelines } from './pipelines.ts'
import { bindingsOf, type Launch, probe, trial } from './trials.ts'
import { SUBMIT_WORK, workOf } from './work.ts'

/** Bind groups kept per kernel: one for each place it is launched from, with room for batches of other lengths. */
const GROUPS = 512

function empty(state: BufferState): void {
  state.empty = true
  if (!state.missing) state.failure = undefined
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
  readonly #commands: Commands
  /** What the launch at hand binds: made once, as every launch has it. */
  readonly #key: number[] = []
  #waiting: (() => void)[] | undefined
  /** What the waiting commands wait for beside compilers. */
  #held: Promise<unknown> | undefined
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
    this.#commands = new Commands(device, this.counts, workLimit)
  }

  /** The parameters of launches, binding 0. */
  get params(): GPUBuffer {
    return this.#commands.params
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
    const { at, words: slots } = this.#commands
    writeParams(kernel, compiled.params, params, slots, at)
    const folded = checkGrid(kernel, grid, this.#mostGroups)
    const work = workOf(kernel, folded, estimate)
    const states = new Array<BufferState>(views.length)
    const key = this.#key
    let hash = 0
    let failed = compiled.failure !== undefined
    for (let i = 0; i < views.length; i++) {
      const view = views[i]!
      const state = this.#known(view, kernel.name, i)
      if (state.failure) {
        failed = true
        if (bindings[i] === 'read' || state.missing) this.#tell(state)
      }
      states[i] = state
      const all = bindsAll(view, state)
      key[KEY_PARTS * i] = state.id
      key[KEY_PARTS * i + 1] = all ? -1 : view.offset
      key[KEY_PARTS * i + 2] = all ? -1 : view.size
      hash = (Math.imul(hash, 31) + state.id) | 0
      if (!all && typeof view.offset === 'number') hash = (Math.imul(hash, 31) + view.offset) | 0
    }
    const group = groups.find(hash, key, KEY_PARTS * views.length)
    if (group && !failed && !this.#waiting) {
      this.counts.launches++
      this.#dispatch(compiled, group, states, folded, work)
      return
    }
    const words = slots.uints.slice(at, at + compiled.params.length)
    const own = key.slice(0, KEY_PARTS * views.length)
    const launch: Launch = { kernel, compiled, words, views, states, grid: folded, work, hash, key: own }
    if (!group) {
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
    if (this.#waiting) this.#waiting.push(() => empty(state))
    else empty(state)
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
    this.#commands.submit()
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
    const { kernel, compiled, words, states, grid, work, hash, key } = launch
    const { bindings, groups } = compiled
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
    let group = groups.find(hash, key, key.length)
    if (!group) {
      const bound = launch.bound ?? bindingsOf(launch)
      group = bindGroup(this.device, kernel.name, compiled.layout, this.params, bound)
      if (groups.size === GROUPS) groups.clear()
      groups.add(hash, key, group)
    }
    this.#commands.words.uints.set(words, this.#commands.at)
    this.#dispatch(compiled, group, states, grid, work, spoilt)
  }

  /** Records a launch whose parameters stand in the next slot. */
  #dispatch(
    { pipeline, bindings }: Compiled,
    group: GPUBindGroup,
    states: readonly BufferState[],
    grid: Grid,
    work: number,
    spoilt?: Failure,
  ): void {
    this.#commands.dispatch(pipeline!, group, grid, work)
    const { submits } = this.counts
    for (let i = 0; i < states.length; i++) {
      const state = states[i]!
      state.recording = submits
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
      from.recording = this.counts.submits
      to.recording = this.counts.submits
      this.#commands.encode().copyBufferToBuffer(source, sourceOffset, target, targetOffset, size)
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
      state.recording = this.counts.submits
      this.#commands.encode().clearBuffer(buffer, offset, size)
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
    const commands = this.#commands
    if (!commands.takes(bytes.length)) {
      commands.submit()
      this.device.queue.writeBuffer(buffer, offset, bytes as Uint8Array<ArrayBuffer>)
      return
    }
    commands.reserve(bytes.length)
    commands.upload(buffer, offset, bytes, state.recording !== this.counts.submits)
  }

  /** Runs `action` once everything recorded so far has been submitted. */
  afterFlush(action: () => void): void {
    if (this.#waiting) this.#waiting.push(() => this.#commands.after(action))
    else this.#commands.after(action)
  }

  /** Submits what is recorded. */
  flush(): void {
    this.failures.check()
    this.#defer(() => this.#commands.submit())
  }

  /** Frees the recorder's own buffers. */
  destroy(): void {
    this.#commands.destroy()
    this.pipelines.destroy()
  }
}
