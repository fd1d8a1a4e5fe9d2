// What is being encoded for the next submit: one encoder, one open compute pass, the parameters of its launches and what it uploads.
import type { Grid } from './kernel.ts'
import { ParamWords } from './launch-check.ts'
import { SLOT } from './pipelines.ts'

/** Launches after which commands are handed to the device at the latest; a training step stays below. */
const SLOTS = 1024
const STAGING = 1 << 20
const WORDS = SLOT / 4

export class Commands {
  /** The parameters of launches, binding 0. */
  readonly params: GPUBuffer
  /** A slot for each launch, and one to check a launch's parameters in where all are taken. */
  readonly words = new ParamWords((SLOTS + 1) * WORDS)
  readonly #device: GPUDevice
  readonly #counts: { submits: number }
  readonly #staging: GPUBuffer
  readonly #stagingBytes = new Uint8Array(STAGING)
  /** Copies that go ahead of everything else. */
  #prologue: GPUCommandEncoder | undefined
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  /** Set in the pass. */
  #pipeline: GPUComputePipeline | undefined
  #slot = 0
  #work = 0
  #staged = 0
  /** Where a launch's parameters are: made once, as every launch has one. */
  readonly #offset = new Uint32Array(1)
  readonly #after: (() => void)[] = []

  readonly #workLimit: number

  /**
   * @param counts has the submits counted
   * @param workLimit of a submit at most, unless one launch is more
   */
  constructor(device: GPUDevice, counts: { submits: number }, workLimit: number) {
    this.#workLimit = workLimit
    this.#device = device
    this.#counts = counts
    const make = (size: number, usage: number, label: string) => device.createBuffer({ size, usage, label })
    this.params = make(SLOT * SLOTS, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, 'params')
    this.#staging = make(STAGING, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST, 'staging')
  }

  /** The word of `words` that the next launch's parameters start at. */
  get at(): number {
    return this.#slot * WORDS
  }

  /**
   * Encodes a launch whose parameters stand where `at` says. Every launch comes by: native calls are few, and each as short as
   * can be.
   */
  dispatch(pipeline: GPUComputePipeline, group: GPUBindGroup, [x, y, z]: Grid, work: number): void {
    if (this.#slot === SLOTS || (this.#slot && this.#work + work > this.#workLimit)) {
      const { at } = this
      this.submit()
      this.words.uints.copyWithin(0, at, at + WORDS)
    }
    this.#work += work
    this.#offset[0] = this.#slot++ * SLOT
    this.#encoder ??= this.#device.createCommandEncoder()
    this.#pass ??= this.#encoder.beginComputePass()
    const pass = this.#pass
    if (this.#pipeline !== pipeline) pass.setPipeline(pipeline)
    this.#pipeline = pipeline
    pass.setBindGroup(0, group, this.#offset, 0, 1)
    if (y === 1 && z === 1) pass.dispatchWorkgroups(x)
    else pass.dispatchWorkgroups(x, y, z)
  }

  /** An encoder outside the compute pass. */
  encode(): GPUCommandEncoder {
    this.#endPass()
    this.#encoder ??= this.#device.createCommandEncoder()
    return this.#encoder
  }

  /** Whether an upload of so many bytes can be gathered; `submit` may have to come first. */
  takes(bytes: number): boolean {
    return bytes <= STAGING / 4
  }

  /** Makes room for an upload. */
  reserve(bytes: number): void {
    if (this.#staged + bytes > STAGING) this.submit()
  }

  /** Encodes an upload there is room for: in its place, or ahead of everything, so that it does not end the compute pass. */
  upload(buffer: GPUBuffer, offset: number, bytes: Uint8Array, ahead: boolean): void {
    this.#stagingBytes.set(bytes, this.#staged)
    if (ahead) this.#prologue ??= this.#device.createCommandEncoder()
    const encoder = ahead ? this.#prologue! : this.encode()
    encoder.copyBufferToBuffer(this.#staging, this.#staged, buffer, offset, bytes.length)
    this.#staged += bytes.length
  }

  /** Runs `action` once everything encoded so far has been submitted. */
  after(action: () => void): void {
    if (this.#encoder || this.#prologue) this.#after.push(action)
    else action()
  }

  /** Hands what is encoded to the queue. */
  submit(): void {
    if (!(this.#encoder || this.#prologue)) return
    this.#endPass()
    const { queue } = this.#device
    if (this.#slot) queue.writeBuffer(this.params, 0, this.words.uints.buffer, 0, this.#slot * SLOT)
    if (this.#staged) queue.writeBuffer(this.#staging, 0, this.#stagingBytes, 0, this.#staged)
    queue.submit([this.#prologue, this.#encoder].flatMap(encoder => encoder?.finish() ?? []))
    this.#counts.submits++
    this.#prologue = undefined
    this.#encoder = undefined
    this.#slot = 0
    this.#work = 0
    this.#staged = 0
    for (const action of this.#after.splice(0)) action()
  }

  #endPass(): void {
    this.#pass?.end()
    this.#pass = undefined
    this.#pipeline = undefined
  }

  /** Frees the buffers of its own. */
  destroy(): void {
    this.params.destroy()
    this.#staging.destroy()
  }
}
