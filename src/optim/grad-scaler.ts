import { expectDevice, expectGpu, expectTensor } from '../autograd/checks.ts'
import { scaleBy, type Tensor } from '../autograd/index.ts'
import { COUNT, expectNumber, expectOptions, type Range, shown, UINT32 } from '../check.ts'
import { ConfigError, KernelgradError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import type { UpdateRule } from '../kernels/optimizer.ts'
import { SCALER_BYTES, type ScalerSettings, scalerUpdate } from '../kernels/scaler.ts'

/** How the scale starts (65,536) and changes: by a factor of 2 after 2,000 steps without overflow, of 0.5 after one with. */
export interface GradScalerOptions extends Partial<ScalerSettings> {
  /** What losses are multiplied by at first, default 65,536. */
  initScale?: number
}

/** A scaler's numbers, as torch's `state_dict` names them, and how often it stepped in. */
export interface GradScalerState {
  /** What losses are multiplied by. */
  scale: number
  /** Steps without overflow since the scale last changed. */
  growthTracker: number
  /** Optimizer steps taken; bias correction counts these. */
  taken: number
  /** Optimizer steps skipped because gradients overflowed. */
  skipped: number
}

/** What an optimizer's step hands over. */
export interface ScaledStep {
  /** Whose numbers `history` holds. */
  rule: UpdateRule
  /** [1], the norm of the scaled gradients; unscaled in place. */
  norm: View
  /** [1], what the optimizer multiplies gradients by; overwritten. */
  coefficient: View
  history: View
  /** Index in `history`. */
  step: number
  groups: number
  maxNorm: number
}

const SCALE: Range = {
  says: 'a float32 above 0',
  takes: x => Math.fround(x) > 0 && Math.fround(x) < Infinity,
}
const LOADED: Range = { says: 'a float32 of at least 0', takes: x => x >= 0 && Math.fround(x) < Infinity }
const GROWTH = (x: unknown) => typeof x === 'number' && x > 1 && x < Infinity
const BACKOFF = (x: unknown) => typeof x === 'number' && x > 0 && x < 1

/**
 * Dynamic loss scaling for f16 gradients: `torch.amp.GradScaler`. `scaler.scale(loss).backward()`, then
 * `optimizer.step({ scaler })`, which unscales, clips, skips the step when a gradient overflowed, and updates the scale. All of
 * it happens on the device: nothing is read back. A skipped step does not advance the bias correction, as in PyTorch; a
 * learning-rate schedule, which runs on the host, goes on. One scaler serves one optimizer.
 *
 * @example
 * ```ts
 * import { autocast, GradScaler, scope } from 'kernelgrad'
 *
 * const scaler = new GradScaler(gpu)
 * scope(() => scaler.scale(autocast('f16', () => model.forward(batch)).loss!).backward())
 * optimizer.step({ scaler })
 * optimizer.zeroGrad()
 * ```
 */
export class GradScaler {
  readonly #gpu: Gpu
  readonly #settings: ScalerSettings
  readonly #state: View

  #disposed = false

  /** @throws ConfigError naming the option that is unknown or out of range */
  constructor(gpu: Gpu, options: GradScalerOptions = {}) {
    expectGpu('GradScaler: gpu', gpu)
    expectOptions('GradScaler: options', options, [
      'initScale',
      'growthFactor',
      'backoffFactor',
      'growthInterval',
    ])
    const { initScale = 65536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000 } = options
    expectNumber('GradScaler: initScale', initScale, SCALE)
    if (!(GROWTH(growthFactor) && BACKOFF(backoffFactor))) {
      const got = `${shown(growthFactor)} and ${shown(backoffFactor)}`
      throw new ConfigError(`GradScaler: expected growthFactor > 1 and backoffFactor in (0, 1), got ${got}`)
    }
    expectNumber('GradScaler: growthInterval', growthInterval, COUNT)
    this.#gpu = gpu
    this.#settings = { growthFactor, backoffFactor, growthInterval }
    this.#state = gpu.allocate(SCALER_BYTES, 'gradient scaler')
    this.load({ scale: initScale, growthTracker: 0, taken: 0, skipped: 0 })
  }

  /** The device it is on. */
  get gpu(): Gpu {
    return this.#gpu
  }

  #checkAlive(what: string): void {
    if (this.#disposed)
      throw new KernelgradError(`GradScaler.${what}: the scaler was disposed; make a new one`)
  }

  /** The loss times the scale: call `backward()` on it. The loss itself stays readable. */
  scale(loss: Tensor): Tensor {
    this.#checkAlive('scale')
    expectTensor('GradScaler.scale', 'loss', loss)
    expectDevice('GradScaler.scale', 'loss', loss.gpu, 'the scaler', this.#gpu)
    return scaleBy(loss.keep(), this.#state)
  }

  /** For an optimizer's `step`. */
  update({ rule, ...step }: ScaledStep): void {
    this.#checkAlive('update')
    scalerUpdate(this.#gpu, rule, { ...step, ...this.#settings, state: this.#state })
  }

  /** Waits for the device: for logs, now and then, and for checkpoints. */
  async read(): Promise<GradScalerState> {
    this.#checkAlive('read')
    const words = await this.#gpu.readUints({ ...this.#state, size: SCALER_BYTES })
    const [, growthTracker, taken, skipped] = words as unknown as [number, number, number, number]
    return { scale: new Float32Array(words.buffer)[0]!, growthTracker, taken, skipped }
  }

  /** Goes on from what `read` returned. */
  load(state: GradScalerState): void {
    this.#checkAlive('load')
    expectOptions('GradScaler.load: state', state, ['scale', 'growthTracker', 'taken', 'skipped'])
    const { scale, growthTracker, taken, skipped } = state
    expectNumber('GradScaler.load: scale', scale, LOADED)
    for (const [name, count] of Object.entries({ growthTracker, taken, skipped }))
      expectNumber(`GradScaler.load: ${name}`, count, UINT32)
    const words = Uint32Array.of(0, growthTracker, taken, skipped)
    new Float32Array(words.buffer)[0] = scale
    this.#gpu.upload(this.#state, words)
  }

  /** Frees the scaler's memory. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#gpu.release(this.#state)
  }
}
