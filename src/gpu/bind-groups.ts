// The bind groups of one kernel, found by what a launch binds. Numbers are compared: a text made of them in every launch would take longer
// than all its checks.

/** Numbers a binding has in a key: its buffer's, offset and size; both are -1 where all of the buffer is bound. */
export const KEY_PARTS = 3

interface Bound {
  key: readonly number[]
  group: GPUBindGroup
  /** Another one of the same hash. */
  next: Bound | undefined
}

/** Bind groups by key: `KEY_PARTS` numbers a binding, in order. */
export class BindGroups {
  readonly #byHash = new Map<number, Bound>()
  #size = 0

  /** How many are kept. */
  get size(): number {
    return this.#size
  }

  /** The group of the first `length` numbers of `key`. */
  find(hash: number, key: readonly number[], length: number): GPUBindGroup | undefined {
    for (let bound = this.#byHash.get(hash); bound; bound = bound.next) {
      const known = bound.key
      let i = known.length === length ? 0 : -1
      while (i >= 0 && i < length && known[i] === key[i]) i++
      if (i === length) return bound.group
    }
    return undefined
  }

  /** Keeps a group that `find` has not found. */
  add(hash: number, key: readonly number[], group: GPUBindGroup): void {
    this.#byHash.set(hash, { key, group, next: this.#byHash.get(hash) })
    this.#size++
  }

  clear(): void {
    this.#byHash.clear()
    this.#size = 0
  }
}
