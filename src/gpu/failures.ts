// What has gone wrong on a device, and who waits for it. WebGPU reports late and beside the calls; a library's user is told by
// the next call, whichever it is, and no wait outlives the device.
import type { OutOfMemoryError } from '../errors.ts'

export class Failures {
  /** The device cannot be used any more: every call throws it. */
  #lasting: Error | undefined
  /** One call throws it, and things go on. */
  #passing: OutOfMemoryError | undefined
  readonly #waits = new Set<(error: Error) => void>()

  /** Throws what has gone wrong, if anything has. */
  check(): void {
    if (this.#lasting) throw this.#lasting
    if (!this.#passing) return
    const error = this.#passing
    this.#passing = undefined
    throw error
  }

  /** Something after which results mean nothing: the first is what every later call throws. */
  fail(error: Error): void {
    this.#lasting ??= error
  }

  /** Something that one call is told and that leaves the device usable. */
  pass(error: OutOfMemoryError): void {
    this.#passing ??= error
  }

  /** The device is gone, which matters more than what went wrong before; pending waits end with it. */
  end(error: Error): void {
    this.#lasting = error
    for (const end of [...this.#waits]) end(error)
  }

  /** As `promise`, which the end of the device rejects. */
  until<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (error: Error) => {
        this.#waits.delete(end)
        reject(error)
      }
      this.#waits.add(end)
      promise.then(value => {
        this.#waits.delete(end)
        resolve(value)
      }, end)
    })
  }
}
