// What is known of each buffer on the host. WebGPU answers a command that names a wrong buffer by dropping all that was recorded
// with it, later and without saying whose it was; so nothing wrong is recorded.
import { KernelgradError } from '../errors.ts'
import type { Failure } from './failures.ts'

/** A buffer as the recorder knows it. */
export interface BufferState {
  readonly buffer: GPUBuffer
  /** Of the device it is on. */
  readonly owner: Buffers
  /** Stands for it in cache keys. */
  readonly id: number
  readonly size: number
  readonly usage: number
  /** Made by the pool, and so on this device. */
  readonly own: boolean
  /** How many submits there had been when it was last named. */
  recording: number
  /** Handed out by the pool and not returned. */
  held: boolean
  /** Bytes that whoever holds it asked for. */
  asked: number
  /** Nothing was written since it was handed out. */
  empty: boolean
  /** There is no such buffer on the device. */
  missing: boolean
  /** Why nobody may use it: 'destroyed' or 'released'. */
  gone: string | undefined
  /** Why it does not hold what it should. */
  failure: Failure | undefined
}

/** Where a buffer's state stands: on the buffer itself, as a map of all of them takes longer than a launch's other checks. */
const STATE = Symbol('what kernelgrad knows of it')
type Known = GPUBuffer & { [STATE]?: BufferState }
let nextId = 1

/** The states of the buffers of one device. */
export class Buffers {
  readonly #afterFlush: (action: () => void) => void
  readonly #probe: (buffer: GPUBuffer, state: BufferState) => void

  /**
   * @param afterFlush runs an action when what is recorded so far has been submitted
   * @param probe asks the device about a buffer that its pool has not made
   */
  constructor(
    afterFlush: (action: () => void) => void,
    probe: (buffer: GPUBuffer, state: BufferState) => void,
  ) {
    this.#afterFlush = afterFlush
    this.#probe = probe
  }

  /** Takes in a buffer that the pool has just made. */
  add(buffer: GPUBuffer, size: number, usage: number): BufferState {
    return this.#note(buffer, size, usage, true)
  }

  /** The state of a buffer that was named before. */
  peek(buffer: GPUBuffer): BufferState | undefined {
    const state = (buffer as Known)[STATE]
    // What was made from a buffer, by Object.create or as a copy, is none.
    return state && state.owner === this && state.buffer === buffer ? state : undefined
  }

  /** The buffer's state. */
  of(buffer: GPUBuffer): BufferState {
    return (buffer && this.peek(buffer)) ?? this.#meet(buffer)
  }

  /** A buffer nobody has named before: the user's own, or a mistake. */
  #meet(buffer: GPUBuffer): BufferState {
    if (typeof (buffer as GPUBuffer | undefined)?.destroy !== 'function' || typeof buffer.usage !== 'number')
      throw new KernelgradError(`expected a GPUBuffer, got ${told(buffer)}`)
    if ((buffer as Known)[STATE]?.buffer === buffer)
      throw new KernelgradError('the buffer is on another device')
    const state = this.#note(buffer, buffer.size, buffer.usage, false)
    this.#probe(buffer, state)
    return state
  }

  #note(buffer: GPUBuffer, size: number, usage: number, own: boolean): BufferState {
    const state: BufferState = {
      buffer,
      owner: this,
      id: nextId++,
      size,
      usage,
      own,
      recording: -1,
      held: false,
      asked: size,
      empty: own,
      missing: false,
      gone: undefined,
      failure: undefined,
    }
    Object.defineProperty(buffer, STATE, { value: state })
    // Destroying it takes place in the order of the calls: commands that name it and are not submitted would take others with them.
    const destroy = buffer.destroy.bind(buffer)
    let destroyed = false
    buffer.destroy = () => {
      if (destroyed) return undefined
      destroyed = true
      state.gone ??= 'destroyed'
      this.#afterFlush(destroy)
      return undefined
    }
    return state
  }
}

/** A value as a message tells it. */
export function told(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value)
  if (typeof value === 'string') return `'${value}'`
  if (Array.isArray(value)) return `an array of ${value.length}`
  const name = (value as object).constructor?.name
  return typeof value === 'object'
    ? name && name !== 'Object'
      ? `a ${name}`
      : 'an object'
    : `a ${typeof value}`
}

/** Whether reading the buffer would give something else than it should hold. What was told leaves older content as it was. */
export const isSpoilt = ({ failure, missing, empty }: BufferState): boolean =>
  failure !== undefined && (missing || empty || !failure.told)

/** The buffer has been written: what somebody was told about it is over. */
export function wrote(state: BufferState): void {
  state.empty = false
  if (state.failure?.told && !state.missing) state.failure = undefined
}

/** The buffer was to be written and was not. */
export function spoil(state: BufferState, failure: Failure): void {
  if (state.missing) return
  if (!state.failure || state.failure.told) state.failure = failure
}
