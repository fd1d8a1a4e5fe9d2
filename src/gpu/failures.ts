// What has gone wrong on a device, and who is told. WebGPU reports late and beside the calls. A failed call is skipped, its results
// are marked with the failure, and what would read them is skipped and marked too; everything else runs. Whoever reads such a result
// is told, and so is a wait for all work. What ends the device is thrown by every call, and no wait outlives it.

/** One thing that went wrong, and whether a call has thrown it. */
export interface Failure {
  readonly error: Error
  told: boolean
}

/** Failures kept for waits; those beyond are told by their results alone. */
const KEPT = 100

export class Failures {
  /** The device cannot be used any more: every call throws it. */
  #lasting: Error | undefined
  /** Nobody knows what it was about: the next call throws it, whichever it is. */
  #unplaced: Error | undefined
  /** Those that no call has thrown yet. */
  readonly #untold = new Map<string, Failure>()
  readonly #waits = new Set<(error: Error) => void>()

  /** Whether the device is gone or closed. */
  get ended(): boolean {
    return this.#lasting !== undefined
  }

  /** Throws what every call is to be told, if anything is. */
  check(): void {
    if (this.#lasting) throw this.#lasting
    if (!this.#unplaced) return
    const error = this.#unplaced
    this.#unplaced = undefined
    throw error
  }

  /** As `check`, and throws the oldest failure that no call has thrown yet: for waits for all work. */
  checkAll(): void {
    this.check()
    for (const failure of this.#untold.values()) this.tell(failure)
  }

  /** Throws a failure. */
  tell(failure: Failure): never {
    this.check() // a device that is gone matters more
    failure.told = true
    this.#untold.delete(failure.error.message)
    throw failure.error
  }

  /** Notes what went wrong with one call; the same again is one failure until somebody is told. */
  place(error: Error): Failure {
    const known = this.#untold.get(error.message)
    if (known) return known
    const failure = { error, told: false }
    if (this.#untold.size < KEPT) this.#untold.set(error.message, failure)
    return failure
  }

  /** Notes what went wrong with nobody knows which call. */
  pass(error: Error): void {
    this.#unplaced ??= error
  }

  /** The device is gone, which matters more than what went wrong before; pending waits end with it. */
  end(error: Error): void {
    // Until its stack is read, an error of V8 keeps what its callers were called on, such as a model that is gone.
    void error.stack
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
      if (this.#lasting) {
        promise.catch(() => {})
        reject(this.#lasting)
        return
      }
      this.#waits.add(end)
      promise.then(value => {
        this.#waits.delete(end)
        resolve(value)
      }, end)
    })
  }
}
